"""Focal losses: hard anchors weigh more; for soft targets Li et al. (2020), for hard ones Lin et al. (2017)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.magnitude import preserving, ratio


def quality_focal(logits: Tensor, target: Tensor, *, beta: float = 2.0) -> Tensor:
    """Compute the focal loss for soft targets; Li et al., Generalized Focal Loss (2020).

        QFL = |target - sigma|^beta * BCE(sigma, target),   sigma = sigmoid(logits)

    The reference form; training uses `QualityFocal`, which weighs Ultralytics' own loss and preserves its sum.

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
    return modulation(logits, target, beta) * loss


def focal(logits: Tensor, target: Tensor, *, gamma: float = 2.0, alpha: float | None = 0.25) -> Tensor:
    """Compute the focal loss for hard targets; Lin et al. (2017).

        p_t     = sigma where y, else 1 - sigma,   sigma = sigmoid(logits), y = target > 0
        alpha_t = alpha where y, else 1 - alpha
        FL      = -alpha_t (1 - p_t)^gamma log p_t

    gamma = 0 is alpha-balanced cross-entropy, with alpha None plain cross-entropy. The factor carries gradient, as in
    the paper.

    Args:
        logits: Any shape.
        target: Same shape; all above 0 is a positive.
        gamma: Exponent, >= 0.
        alpha: Weight of positives, in (0, 1), 1 - alpha being that of negatives; None weighs both with 1.

    Returns:
        Elementwise loss, at least float32, same shape.
    """
    y = target > 0
    logits = full_precision(logits)
    return _focal_factor(logits, y, gamma, alpha) * -F.logsigmoid(torch.where(y, logits, -logits))


def _focal_factor(logits: Tensor, y: Tensor, gamma: float, alpha: float | None) -> Tensor:
    """Return alpha_t (1 - p_t)^gamma by its logarithm: the power and its gradient are finite for any logit."""
    factor = (gamma * F.logsigmoid(torch.where(y, -logits, logits))).exp()
    return factor if alpha is None else factor * torch.where(y, alpha, 1 - alpha)


def power(x: Tensor, exponent: float | Tensor) -> Tensor:
    """Return x^exponent for x >= 0, with a finite gradient also at zero and for exponents below 1."""
    if not isinstance(exponent, Tensor) and exponent == 0:
        return torch.ones_like(x)
    positive = x > torch.finfo(x.dtype).tiny  # smaller values count as zero: their derivative could overflow
    return torch.where(positive, x, 1.0).pow(exponent) * positive


def modulation(
    logits: Tensor, target: Tensor, beta: float, *, sigma: Tensor | None = None, preserve: Tensor | None = None
) -> Tensor:
    """Return |target - sigma|^beta elementwise, with gradient to the logits.

    Args:
        logits: Any shape, at least float32.
        target: Same shape.
        beta: Exponent, >= 0.
        sigma: Sigmoid of the logits where it is known already, detached.
        preserve: Elementwise loss whose sum the factors are to preserve, rescaled by a detached ratio. None: plain.
    """
    if beta == 0:
        return torch.ones_like(logits)
    sigma = logits.detach().sigmoid() if sigma is None else sigma
    factor: Tensor = _Modulation.apply(logits, target, beta, sigma, None if preserve is None else preserve.detach())
    return factor


class _Modulation(torch.autograd.Function):
    """(logits.sigmoid() - target).abs() ** beta, times the ratio that preserves a sum; the gradient in closed form.

    Written by hand because that chain of operations takes three times as long.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, target: Tensor, beta: float, sigma: Tensor, preserve: Tensor | None
    ) -> Tensor:
        d = sigma - target
        ctx.save_for_backward(sigma, d)
        ctx.beta, ctx.scale = beta, beta
        factor = d.square() if beta == 2 else d.abs() if beta == 1 else d.abs().pow_(beta)
        if preserve is not None:
            scale = ratio(preserve.sum(), torch.dot(factor.flatten(), preserve.flatten()))  # no third grid in memory
            ctx.scale = beta * scale
            factor.mul_(scale)
        return factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Multiply the gradient by beta |d|^(beta - 1) sign(d) sigma (1 - sigma), 0 where d is, times the ratio."""
        sigma, d = ctx.saved_tensors
        slope = (1 - sigma).mul_(sigma)
        if ctx.beta == 2:
            slope.mul_(d)
        else:
            slope.mul_(d.sign())
            if ctx.beta != 1:
                slope.mul_(power(d.abs(), ctx.beta - 1))
        return slope.mul_(grad).mul_(ctx.scale), None, None, None, None


class QualityFocal(Term):
    """Quality focal weights on Ultralytics' classification loss, its sum preserved."""

    def __init__(self, *, beta: float):
        self.beta = beta

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A, C) |target - sigma|^beta, times sum(loss) / sum(weighted loss), that ratio detached.

        Without the ratio the loss would shrink by the share of easy anchors, orders of magnitude.
        """
        a = assignment
        return modulation(a.logits_in_full(), full_precision(a.target_scores), self.beta, sigma=a.sigma, preserve=loss)


class ClassicFocal(Term):
    """Focal weights on Ultralytics' classification loss, whose targets stay soft; its sum preserved.

    A positive is each foreground anchor's own class, whatever its soft target. The factor falls as a positive's score
    rises, past its soft target, too: unlike the quality form this one draws scores above their targets.
    """

    def __init__(self, *, gamma: float, alpha: float | None):
        self.gamma, self.alpha = gamma, alpha

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A, C) alpha_t (1 - p_t)^gamma, times sum(loss) / sum(weighted loss), that ratio detached."""
        weights = _focal_factor(assignment.logits_in_full(), assignment.positive, self.gamma, self.alpha)
        return preserving(weights, loss)
