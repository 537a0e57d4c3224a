"""Weights by class: inverse frequency, and the effective number of samples, Cui et al. (2019).

Counts are statistics of a data set, known before training: their functions are numpy in float64. The term is torch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from yolo_balance.arrays import Floats, Ints
from yolo_balance.losses.assignment import Assignment, Term
from yolo_balance.losses.magnitude import RunningScale
from yolo_balance.losses.per_class import PerClass


def inverse_frequency_weights(counts: Ints | Floats, *, power: float = 1.0) -> Floats:
    """Compute weights that grow as a class gets rarer.

        w_c = (max n / n_c)^power

    power = 0 gives ones, 0.5 the square root, 1 the inverse frequency. A class without any object has weight 1: it has
    no positive to weigh, and an infinite weight on its column would be spent on its negatives.

    Args:
        counts: (C,) n_c, objects of each class, >= 0.
        power: Exponent, >= 0.

    Returns:
        float64 (C,), at least 1, the commonest class having 1.
    """
    n = np.asarray(counts, np.float64)
    return np.where(n > 0, n.max(initial=0) / np.where(n > 0, n, 1), 1.0) ** power


def effective_number_weights(counts: Ints | Floats, *, beta: float = 0.999) -> Floats:
    """Compute weights by the inverse effective number of samples, Cui et al. (2019).

        E(n) = (1 - beta^n) / (1 - beta)
        w_c  = max E / E(n_c)

    Objects of a class overlap in what they show, the more the more there are of them. beta = 0 gives ones: the first
    object shows all. Towards 1 the weights tend to the inverse frequency. A class without any object has weight 1.

    Args:
        counts: (C,) n_c, objects of each class, >= 0.
        beta: Share of a class's variety that another object leaves unseen, in [0, 1).

    Returns:
        float64 (C,), at least 1, the commonest class having 1.
    """
    n = np.asarray(counts, np.float64)
    log_beta = np.log1p(beta - 1) if beta > 0 else -np.inf
    shown = -np.expm1(np.where(n > 0, n, 1) * log_beta)  # 1 - beta^n; 1 / (1 - beta) is common to all classes
    return np.where(n > 0, shown.max(where=n > 0, initial=0) / shown, 1.0)


def normalised(weights: Floats, shares: Floats) -> Floats:
    """Scale weights to a mean of 1 over an epoch's boxes: w / sum(share * w).

    Args:
        weights: (C,), > 0.
        shares: (C,) each class's share of the boxes that an epoch shows, summing to 1; all 0 leaves weights as they
            are.

    Returns:
        float64 (C,).
    """
    mean = float(np.sum(np.asarray(shares, np.float64) * weights))
    return np.asarray(weights, np.float64) / (mean if mean > 0 else 1.0)


class ClassWeights(Term):
    """Weights on the classification loss by class.

    `positives` weighs each positive at its own class, which moves the balance of the class's positive and negative
    gradient, hence its scores and its recall. `column` weighs all of a class's binary problem, negatives included, as
    Ultralytics' own `cls_pw` does. `column` changes how fast the class is learnt; balance and scores stay.

    The gradient of a batch is not restored: in a batch of one class that would undo the weights. Weights that come from
    `normalised` have mean 1 over an epoch's boxes. Rare objects lose more than common ones, so that the gradient would
    still grow: `weighted` rescales the loss to stock's gradient over the last batches.

    Args:
        weights: (C,), mean 1 over an epoch's boxes.
        on: Part of the loss that is weighed: `positives` or `column`.
    """

    def __init__(self, weights: npt.ArrayLike | Tensor, *, on: Literal["positives", "column"]):
        self.weights, self.on, self.running = PerClass(weights), on, RunningScale()

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor | None:
        """Return (1, 1, C) w[c] for `column`, None for `positives`."""
        return self.weights.on(loss.device).view(1, 1, -1) if self.on == "column" else None

    def own_weights(self, assignment: Assignment) -> Tensor | None:
        """Return (B, A) w[c] at positives of class c, 1 elsewhere, for `positives`; None for `column`."""
        if self.on == "column":
            return None
        return torch.where(assignment.foreground, self.weights.on(assignment.labels.device)[assignment.labels], 1.0)
