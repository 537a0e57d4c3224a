"""Equalized Focal Loss: rare classes get a focal loss of their own exponent; Li et al. (2022).

For soft targets its authors have the equalised quality focal loss (EQFL, in United-Perception), which is the form here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.focal import power
from yolo_balance.losses.gradient_ratio import GradientRatio, trained_on
from yolo_balance.losses.magnitude import preserving


def focusing_factors(ratio: Tensor, *, gamma: float = 2.0, scale: float = 8.0) -> Tensor:
    """Compute the focal exponent of each class.

        gamma_c = gamma + scale * (1 - g_c),   g_c clamped to [0, 1]

    gamma for a class in balance, gamma + scale for one whose positives have had no gradient. scale = 0 gives gamma.

    Args:
        ratio: (C,) g, gradient of positives / of negatives, >= 0, as from `GradientRatio`.
        gamma: Exponent of a class in balance, > 0; the paper's gamma_b.
        scale: Largest addition to gamma, for the least balanced class, >= 0.

    Returns:
        (C,), at least float32, detached.
    """
    return gamma + scale * (1 - full_precision(ratio).detach().clamp(0, 1))


def equalized_focal(logits: Tensor, target: Tensor, gamma_c: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Compute the equalised focal loss, in quality focal's form for soft targets.

        EFL = gamma_c / gamma * |target - sigma|^gamma_c * BCE(sigma, target),   sigma = sigmoid(logits)

    The reference form; training uses `EqualizedFocal`, which weighs Ultralytics' own loss and preserves its sum.

    At hard targets this is the paper's (gamma_c / gamma) (1 - p_t)^gamma_c (-log p_t), without its constant alpha_t.
    The larger exponent spares a rare class the gradient of its many easy negatives, and gamma_c / gamma makes up for
    what its hard entries lose by that. gamma_c = gamma in all classes is quality focal. The modulation carries
    gradient, the exponents do not.

    Args:
        logits: (..., C).
        target: Same shape, in [0, 1].
        gamma_c: (C,) exponent of each class, > 0.
        gamma: The exponent of a class in balance, > 0.

    Returns:
        Elementwise loss, at least float32, same shape.
    """
    logits, target = full_precision(logits), full_precision(target)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return _factor(logits, target, full_precision(gamma_c).detach(), gamma) * loss


def _factor(logits: Tensor, target: Tensor, gamma_c: Tensor, gamma: float) -> Tensor:
    """Return gamma_c / gamma * |target - sigma|^gamma_c."""
    return gamma_c / gamma * power((target - logits.sigmoid()).abs(), gamma_c)


@torch.no_grad()
def equalized_focal_gradient(logits: Tensor, target: Tensor, gamma_c: Tensor, *, gamma: float = 2.0) -> Tensor:
    """Compute the size of the loss's gradient, in closed form.

        |dEFL / dlogit| = gamma_c / gamma * d^(gamma_c - 1) (d^2 + gamma_c sigma (1 - sigma) BCE)
        d = |target - sigma|

    The second part comes from the modulation and has the sign of the first. At a hard target it is up to gamma_c times
    as large, most so for easy entries: without it a class's many negatives would look too small. Arguments as
    `equalized_focal`.

    Returns:
        (..., C), at least float32, >= 0, detached.
    """
    logits, target, gamma_c = full_precision(logits), full_precision(target), full_precision(gamma_c)
    sigma = logits.sigmoid()
    d = (target - sigma).abs()
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    size = d.square() + gamma_c * sigma * (1 - sigma) * loss
    return gamma_c / gamma * power(d, gamma_c - 1) * size


class EqualizedFocal(Term):
    """Equalised focal weights on Ultralytics' classification loss, its sum preserved.

    Gradients are counted of the loss with these weights, as the published code does by a hook on the backward pass, and
    before the factor that preserves the sum, which is one number for the whole batch. Weights of other terms are not
    counted. In the first batch the ratio is 1, hence the weights are quality focal's. `max_weight` has no part here: an
    exponent multiplies nothing, and a smaller one would give a rare class back the many easy negatives that the term
    spares it.

    Args:
        gradients: The run's gradients, updated by every batch that is trained on.
        gamma: Exponent of a class in balance.
        scale: Largest addition to gamma, for the least balanced class.
    """

    def __init__(self, gradients: GradientRatio, *, gamma: float, scale: float):
        self.gradients, self.gamma, self.scale = gradients, gamma, scale

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A, C) gamma_c / gamma |target - sigma|^gamma_c, times detached sum(loss) / sum(weighted loss)."""
        gamma_c = focusing_factors(self.gradients.ratio(loss.device), gamma=self.gamma, scale=self.scale)
        logits, target = assignment.logits_in_full(), full_precision(assignment.target_scores)
        weights = _factor(logits, target, gamma_c, self.gamma)
        if trained_on(logits):
            gradient = equalized_focal_gradient(logits, target, gamma_c, gamma=self.gamma)
            self.gradients.add(gradient, assignment.positive)
        return preserving(weights, loss)
