"""Quality focal loss: hard anchors weigh more; Li et al., Generalized Focal Loss (2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision, preserving


def quality_focal(logits: Tensor, target: Tensor, *, beta: float = 2.0) -> Tensor:
    """Focal loss for soft targets.

        QFL = |target - sigma|^beta * BCE(sigma, target),   sigma = sigmoid(logits)

    beta = 0 is cross-entropy. The loss is zero where the score equals its soft target. The factor carries gradient, as
    in the paper.

    Args:
        logits: Any shape.
        target: Same shape, in [0, 1].
        beta: Exponent, >= 0.

    Returns:
        Elementwise loss, at least float32, same shape.
    """
    logits, target = full_precision(logits), full_precision(target)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return _modulation(logits, target, beta) * loss


def _modulation(logits: Tensor, target: Tensor, beta: float) -> Tensor:
    """|target - sigma|^beta; finite gradient also where the difference is zero and beta below 1."""
    if beta == 0:
        return torch.ones_like(logits)
    difference = (target - logits.sigmoid()).abs()
    positive = difference > 0
    return torch.where(positive, difference, 1.0).pow(beta) * positive


class QualityFocal(Term):
    """Quality focal weights on the host's classification loss, its sum preserved."""

    def __init__(self, beta: float = 2.0):
        self.beta = beta

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """(B, A, C) |target - sigma|^beta, times sum(loss) / sum(weighted loss), that ratio detached.

        Without the ratio the loss would shrink by the share of easy anchors, orders of magnitude.
        """
        weights = _modulation(assignment.logits_in_full(), full_precision(assignment.target_scores), self.beta)
        return preserving(weights, loss)
