"""A cap on the hardest entries, because the hardest are where wrong labels are; winsorising, Tukey (1962)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision


@torch.no_grad()
def capping_weights(loss: Tensor, mask: Tensor, *, share: float) -> Tensor:
    """Compute weights that bring the largest losses down to the largest of the rest.

        n = number of samples, m = ceil(share * n)
        q = loss of the sample of rank m (0 is the largest)
        w = min(1, q / loss)

    A mislabelled object, or an object without a label, has the largest loss of its batch once the network fits, and
    a rule that prefers hard entries prefers such a loss most. A capped entry keeps a gradient: among few samples the
    largest loss may as well be that of the rare object. Fewer than two samples are left alone, as is all at share 0.

    Args:
        loss: (N,) loss of each sample, >= 0.
        mask: (N,) bool, the entries that are samples; the others get weight 1.
        share: Share of the samples that is capped, in [0, 1).

    Returns:
        (N,), at least float32, in [0, 1], detached.
    """
    loss = full_precision(loss).detach()
    if share == 0 or not len(loss):
        return torch.ones_like(loss)
    falling = loss.masked_fill(~mask, -torch.inf).sort(descending=True).values
    n = mask.sum()
    m = torch.minimum((share * n).ceil().long(), (n - 1).clamp(min=0))
    q = falling.gather(0, m.view(1))
    return torch.where(mask & (loss > q), q / loss, 1.0)


class Trim(Term):
    """The largest losses of positives and of negatives, each capped at the largest of the rest.

    Negatives are ranked among those whose score is above `MIN_SCORE`: among thousands of easy negatives a share of all
    would be every negative that teaches anything. Comes after the terms that prefer hard entries.

    Args:
        share: Share of the positives, and of the ranked negatives, of a batch that is capped.
    """

    MIN_SCORE = 0.05

    def __init__(self, *, share: float):
        self.share = share

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A) weights, detached, in [0, 1]."""
        a = assignment
        negatives = ~a.foreground & (a.sigma.amax(-1) > self.MIN_SCORE)
        weights = [
            capping_weights(loss.flatten(), mask.flatten(), share=self.share) for mask in (a.foreground, negatives)
        ]
        return (weights[0] * weights[1]).view_as(loss)
