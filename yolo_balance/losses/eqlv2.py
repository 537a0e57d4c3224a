"""Equalization Loss v2: the gradients of a class's positives and negatives are balanced; Tan et al. (2021)."""

from __future__ import annotations

import numpy.typing as npt
import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.gradient_ratio import GradientRatio, trained_on
from yolo_balance.losses.magnitude import ratio
from yolo_balance.losses.per_class import PerClass

LEAST = 1e-6
"""Smallest weight of negatives: positives are weighed by q / r."""


def eqlv2_weights(ratio: Tensor, *, alpha: float = 4.0, gamma: float = 12.0, mu: float = 0.8) -> tuple[Tensor, Tensor]:
    """Compute weights of each class's positives and negatives from its gradient ratio.

        f(x) = 1 / (1 + exp(-gamma (x - mu)))
        r    = f(g)
        q    = 1 + alpha (1 - f(g))

    A class whose positives get little gradient beside its negatives has its negatives turned down and its positives
    turned up; at a large ratio both weights are 1. alpha = 0 leaves positives alone.

    Args:
        ratio: (C,) g, gradient of positives / of negatives, >= 0, as from `GradientRatio`.
        alpha: Largest gain of positives.
        gamma: Steepness of f, > 0.
        mu: Ratio at which f is one half.

    Returns:
        q and r, (C,) each, at least float32, detached.
    """
    f = (gamma * (full_precision(ratio).detach() - mu)).sigmoid()
    return 1 + alpha * (1 - f), f


class EQLv2(Term):
    """EQLv2 weights on Ultralytics' classification loss, its sum preserved.

    Gradients are counted with q and r in force, as the published code does, and before the factor that preserves
    the sum. The preserving factor is one number for the whole batch: it says nothing about the balance of a class, and
    would let batches with few positives count differently from others. Weights of other terms are not counted. In the
    first batch the ratio is 1, hence all classes alike.

    Args:
        gradients: The run's gradients, updated by every batch that is trained on.
        alpha: Largest gain of positives.
        gamma: Steepness of the map from ratio to weight.
        mu: Ratio at which that map is one half.
        room: (C,) largest q of each class, >= 1: the rest of the user's `max_weight` after the class's other factors.
            q is relative to a class in balance, whose q is 1. None: no cap.
    """

    def __init__(
        self, gradients: GradientRatio, *, alpha: float, gamma: float, mu: float, room: npt.ArrayLike | Tensor | None
    ):
        self.gradients, self.alpha, self.gamma, self.mu = gradients, alpha, gamma, mu
        self.room = None if room is None else PerClass(room)

    def _weights(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return (C,) q and r from the gradients counted so far."""
        q, r = eqlv2_weights(self.gradients.ratio(device), alpha=self.alpha, gamma=self.gamma, mu=self.mu)
        return (q if self.room is None else torch.minimum(q, self.room.on(q.device))), r.clamp(min=LEAST)

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (1, 1, C) r, times sum(loss) / sum(weighted loss), where positives' own class has q; detached."""
        a, (q, r), loss = assignment, self._weights(loss.device), loss.detach()
        own = torch.where(a.foreground, loss.gather(-1, a.labels.unsqueeze(-1)).squeeze(-1), 0.0)
        column = loss.sum((0, 1))
        return (r * ratio(column.sum(), (r * column).sum() + ((q - r)[a.labels] * own).sum())).view(1, 1, -1)

    def own_weights(self, assignment: Assignment) -> Tensor:
        """Return (B, A) q / r at positives, 1 elsewhere, which makes their r a q; then count the batch's gradients."""
        a, logits = assignment, assignment.logits_in_full()
        q, r = self._weights(logits.device)
        if trained_on(logits):
            self.gradients.update(a, q, r)
        return torch.where(a.foreground, (q / r)[a.labels], 1.0)
