"""Images per group that the network was shown: requested by the plan, and drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Ints
from yolo_balance.sampling.epoch import SamplingPlan
from yolo_balance.sampling.image_weights import ImageWeights


class GroupExposure:
    """Counts the loader's own images by group, one epoch at a time and all of them together; partners are not counted.

    Attributes:
        weights: The groups.
        requested: (G,) images that the plans of all epochs requested.
        before: (G,) images drawn in the epochs before this one.
        drawn: (G,) images drawn in this epoch.
    """

    def __init__(self, weights: ImageWeights):
        self.weights = weights
        self.requested, self.before = np.zeros(len(weights.names)), np.zeros(len(weights.names), np.int64)
        self.drawn: Ints = np.zeros_like(self.before)

    def start_epoch(self, plan: SamplingPlan, *, again: bool = False) -> None:
        """Start counting an epoch: a new one, or the same one `again`."""
        if not again:
            self.before = self.before + self.drawn
            self.requested = self.requested + self.weights.sums(plan.expectation)
        self.drawn = np.zeros_like(self.before)

    def add(self, images: npt.ArrayLike) -> None:
        """Count images by index."""
        group = self.weights.group[np.asarray(images, np.int64)]
        self.drawn = self.drawn + np.bincount(group, minlength=len(self.drawn))

    @property
    def natural(self) -> Floats:
        """(G,) images of the data."""
        return self.weights.sums(np.ones(len(self.weights.group)))

    @property
    def total(self) -> Ints:
        """(G,) images drawn in all epochs."""
        total: Ints = self.before + self.drawn
        return total
