"""IoU-balanced sampling of negatives; Pang et al., Libra R-CNN (2019)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.magnitude import preserving
from yolo_balance.losses.negatives import negatives_per_image


@torch.no_grad()
def iou_balanced_negatives(
    max_iou: Tensor, num: int | Tensor, *, bins: int = 3, generator: Generator | None = None, mask: Tensor | None = None
) -> Tensor:
    """Draw negatives evenly over the range of overlap, so that those close to an object are not lost in the many.

    1. [0, highest max_iou] is cut into K equal bins.
    2. floor(num / K) negatives are drawn from each bin without replacement, all of it where it holds fewer.
    3. What is short of `num` is drawn without replacement from all that are left.

    K = 1, or an overlap that is 0 throughout, is a plain random draw.

    Args:
        max_iou: (N,) highest IoU of each sample with any object, >= 0; with leading dimensions the samples lie along
            the last one, and each row is a draw of its own.
        num: Samples to take: a number, or an integer tensor that broadcasts against `max_iou`, such as (B, 1).
        bins: K, >= 1.
        generator: Source of the random numbers, on the device of `max_iou`; None: torch's own.
        mask: Bool in the shape of `max_iou`, the entries that may be taken. None: all. With a mask a dense grid needs
            no selection, whose size only the device knows.

    Returns:
        Bool mask in the shape of `max_iou` with exactly min(num, N) entries set, N being the number that may be taken.
    """
    if not max_iou.shape[-1]:
        return torch.zeros_like(max_iou, dtype=torch.bool)
    index, size, given = _bins(max_iou, num, bins, mask)
    inside, between = torch.rand((2, *max_iou.shape), generator=generator, device=max_iou.device)
    position = torch.arange(max_iou.shape[-1], device=max_iou.device)

    # By bin, and at random inside it; halved random numbers never round up into the next bin.
    ordered, order = (index + inside / 2).sort(dim=-1)
    last_given = (size.cumsum(-1) - size + given).gather(-1, ordered.long().clamp(max=bins - 1))

    # First the entries that each bin gives, then the rest at random, then those that may not be taken. The rest needs a
    # random number of its own: in the order of the first one, the rest of a small bin would come last.
    tier = (ordered >= bins).int() - (position < last_given).int()
    order = order.gather(-1, torch.argsort(tier + between, dim=-1))
    taken = position < size.sum(-1, keepdim=True).clamp(max=num)
    return torch.zeros_like(taken).scatter(-1, order, taken)


@torch.no_grad()
def iou_balanced_weights(max_iou: Tensor, num: int | Tensor, *, bins: int = 3, mask: Tensor | None = None) -> Tensor:
    """Compute the chance with which `iou_balanced_negatives` takes each sample: its expected mask, exactly.

        g = min(floor(num / K), n)                        what a bin of n samples gives
        e = (min(num, N) - sum of g) / (N - sum of g)     chance of one that is left over
        w = 1 - (1 - g / n) * (1 - e)

    Arguments as in `iou_balanced_negatives`; entries that may not be taken get weight 0.

    Returns:
        Weights in [0, 1] in the shape of `max_iou`, at least float32, summing to min(num, N) along the last dimension.
    """
    if not max_iou.shape[-1]:
        return full_precision(max_iou)
    index, size, given = _bins(max_iou, num, bins, mask)
    total, sure = size.sum(-1, keepdim=True), given.sum(-1, keepdim=True)
    chance = (total.clamp(max=num) - sure) / (total - sure).clamp(min=1)
    weights = 1 - (1 - given / size.clamp(min=1)) * (1 - chance)
    weights = torch.cat([weights, torch.zeros_like(chance)], -1)  # entries that may not be taken lie in bin K
    return weights.to(full_precision(max_iou).dtype).gather(-1, index)


def _bins(max_iou: Tensor, num: int | Tensor, bins: int, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return each entry's bin (..., N), K where it may not be taken; entries (..., K) in a bin and those it gives."""
    max_iou = full_precision(max_iou)
    if mask is not None:
        max_iou = max_iou.masked_fill(~mask, 0.0)
    highest = max_iou.amax(-1, keepdim=True).clamp(min=1e-9)
    index = (max_iou / highest * bins).long().clamp(0, bins - 1)
    if mask is not None:
        index = index.masked_fill(~mask, bins)
    size = (index.unsqueeze(-1) == torch.arange(bins, device=index.device)).sum(-2)
    return index, size, size.clamp(max=num // bins)


class IoUBalancedNegatives(Term):
    """The classification loss reads only negatives drawn evenly over overlap, `ratio` times each image's positives.

    The loss of the negatives that are read is rescaled to what all of the batch's negatives lost. With `draw` off,
    every negative is weighed by its chance of being drawn, rescaled likewise: the same balance without the noise. A
    `ratio` that takes all gives ones.
    """

    def __init__(self, *, ratio: float, bins: int, draw: bool):
        self.ratio, self.bins, self.draw = ratio, bins, draw

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A) weights, detached; 1 for positives."""
        foreground = assignment.foreground
        choose = iou_balanced_negatives if self.draw else iou_balanced_weights
        num = negatives_per_image(foreground, self.ratio)
        chosen = choose(assignment.max_iou, num, bins=self.bins, mask=~foreground)
        return preserving(full_precision(chosen), loss, ~foreground)
