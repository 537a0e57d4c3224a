"""Classification-aware regression loss (CARL); Cao et al., Prime Sample Attention (2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision


def carl_weights(
    score: Tensor, *, k: float = 1.0, bias: float = 0.2, mask: Tensor | None = None, base: Tensor | None = None
) -> Tensor:
    """Compute regression weights that grow with the score.

        v  = ((1 - bias) * score + bias)^k
        v' = v * sum(t) / sum(t * v),   t = 1 as published: v * N / sum(v)

    Nothing is detached: a positive whose box loss is above the mean is pushed to a lower score, one with a smaller loss
    to a higher score, so that classification learns which boxes are good. k = 0 or bias = 1 gives ones.

    t are weights that the box losses L have already: on a task-aligned head their sum is sum(t * v' * L). The mean that
    decides which losses are large has to be weighted alike: the gradient for score i is then proportional to
    t_i (L_i - sum(t v L) / sum(t v)). With t = 1 in its place it compares t_i L_i, which is largest for the best
    aligned boxes, and pushes down the very scores it should raise.

    Args:
        score: (N,) predicted score of each positive's own class, in [0, 1], with gradient.
        k: Exponent.
        bias: Base at score 0, in [0, 1].
        mask: (N,) bool, the entries that are positives; the others get weight 0. None: all are.
        base: (N,) t, detached. None: ones.

    Returns:
        (N,), at least float32, sum(t * v') == sum(t) over the positives, so with t = 1 summing to their number.
        Gradient flows to `score`, also through the normaliser. An empty set gives an empty (or all-zero) result that
        still carries gradient.
    """
    v = ((1 - bias) * full_precision(score) + bias).clamp(min=1e-9).pow(k)
    if mask is not None:
        v = v * mask
    if base is not None:
        t = full_precision(base).detach()
        return v * ((t if mask is None else t * mask).sum() / (t * v).sum().clamp(min=1e-9))
    return v * ((v.numel() if mask is None else mask.sum()) / v.sum().clamp(min=1e-9))


def with_gradient_share(x: Tensor, share: float) -> Tensor:
    """Return `x` with only that share of its gradient flowing back."""
    return x if share == 1 else x.detach() if share == 0 else share * x + (1 - share) * x.detach()


class CARL(Term):
    """CARL on a positive's box weight: v', or 1 + gain * v' as in the paper, which adds the term to the box loss.

    Without a gain the box loss keeps its size. With one it grows by that share, however confident the model is.

    Args:
        k: Exponent of the score.
        bias: Importance at score zero.
        gain: Size of the added loss; None puts v' in place of Ultralytics' equal weights.
        gradient: Share of the gradient that reaches the score. The paper's two losses count alike; where
            Ultralytics multiplies its box loss by more than its classification loss, their ratio puts that right.
        published: Whether v' has mean 1 over positives, as published, and not over the stock box weights.
    """

    def __init__(self, *, k: float, bias: float, gain: float | None, gradient: float, published: bool):
        self.k, self.bias, self.gain, self.gradient, self.published = k, bias, gain, gradient, published

    def box_weights(self, assignment: Assignment) -> Tensor:
        """Return (B, A) weights v' or 1 + gain * v'; 1 where not foreground."""
        mask = assignment.foreground
        v = carl_weights(
            with_gradient_share(assignment.scores, self.gradient).flatten(),
            k=self.k,
            bias=self.bias,
            mask=mask.flatten(),
            base=None if self.published else assignment.stock_box_weights.flatten(),
        ).view_as(mask)
        if self.gain is None:
            return torch.where(mask, v, 1.0)
        return torch.ones_like(v).add(v, alpha=self.gain)
