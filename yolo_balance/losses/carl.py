"""Classification-aware regression loss (CARL); Cao et al., Prime Sample Attention (2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision


def carl_weights(score: Tensor, *, k: float = 1.0, bias: float = 0.2, mask: Tensor | None = None) -> Tensor:
    """Regression weights that grow with the score.

        v  = ((1 - bias) * score + bias)^k
        v' = v * N / sum(v)

    Nothing is detached: a positive with a large box loss is pushed to a lower score, one with a small loss to a higher
    score, so that classification learns which boxes are good. k = 0 or bias = 1 gives ones.

    Args:
        score: (N,) predicted score of each positive's own class, in [0, 1], with gradient.
        k: Exponent.
        bias: Base at score 0, in [0, 1].
        mask: (N,) bool, the entries that are positives; the others get weight 0. None: all are.

    Returns:
        (N,), at least float32, summing to the number of positives; gradient flows to `score`, also through the
        normaliser. An empty set gives an empty (or all-zero) result that still carries gradient.
    """
    v = ((1 - bias) * full_precision(score) + bias).clamp(min=1e-9).pow(k)
    if mask is None:
        return v * (v.numel() / v.sum().clamp(min=1e-9))
    v = v * mask
    return v * (mask.sum() / v.sum().clamp(min=1e-9))


class CARL(Term):
    """CARL as an added box loss: every positive's box weight becomes 1 + gain * v', v' of mean 1.

    As in the paper the term is added to the regression loss, so the mean box weight is 1 + gain: `gain` says how much
    box loss is added, and the normaliser keeps that amount independent of how confident the model is.
    """

    def __init__(self, k: float = 1.0, bias: float = 0.2, gain: float = 0.5):
        self.k, self.bias, self.gain = k, bias, gain

    def box_weights(self, assignment: Assignment) -> Tensor:
        """(B, A) 1 + gain * v'; 1 where not foreground."""
        mask = assignment.foreground
        v = carl_weights(assignment.scores.flatten(), k=self.k, bias=self.bias, mask=mask.flatten())
        return torch.ones_like(v).add(v, alpha=self.gain).view_as(mask)
