"""Online hard example mining (OHEM); Shrivastava et al. (2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.magnitude import preserving
from yolo_balance.losses.negatives import negatives_per_image


@torch.no_grad()
def ohem(loss: Tensor, num: int | Tensor) -> Tensor:
    """Choose the hardest samples.

        taken = the `num` samples of the highest loss

    Equal losses are taken in the order given. `num` = 0 takes none, `num` >= N takes all.

    Args:
        loss: (N,) loss of each sample; with leading dimensions the samples lie along the last one.
        num: Samples to take: a number, or an integer tensor that broadcasts against `loss`, such as (B, 1).

    Returns:
        Bool mask in the shape of `loss` with exactly min(num, N) entries set.
    """
    order = torch.argsort(loss, dim=-1, descending=True, stable=True)
    first = (torch.arange(loss.shape[-1], device=loss.device) < num).expand_as(order)
    return torch.zeros_like(first).scatter(-1, order, first)


class HardNegatives(Term):
    """The classification loss reads only each image's hardest negatives, `ratio` times its positives.

    The loss of the negatives that are read is rescaled to what all of the batch's negatives lost, so the balance
    between positives and negatives stays and only its bearers change. A `ratio` that takes all gives ones.
    """

    def __init__(self, *, ratio: float):
        self.ratio = ratio

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A), detached: 0 for negatives not read, one constant for those that are, 1 for positives."""
        foreground = assignment.foreground
        hardness = loss.masked_fill(foreground, -torch.inf)  # behind every negative; they weigh 1 in any case
        read = ohem(hardness, negatives_per_image(foreground, self.ratio))
        return preserving(full_precision(read), loss, ~foreground)
