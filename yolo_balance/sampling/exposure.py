"""Boxes per class that the network was shown: requested, drawn, and reached (left after augmentation)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Ints
from yolo_balance.files import csv_text
from yolo_balance.sampling.epoch import SamplingPlan
from yolo_balance.sampling.pastes import requested_shares
from yolo_balance.sampling.statistics import ClassStatistics, shares

COLUMNS = ("epoch", "class", "natural", "requested", "drawn", "reached", "boxes", "pasted")
TOLERANCE = 0.01
"""Deviation of a class's share that is ignored: one percentage point."""
CHANCE = 3.0
"""Standard deviations that are put down to chance."""


@dataclass(frozen=True)
class Deviation:
    """A class whose share of the boxes drawn in an epoch is off its plan by more than tolerance and chance.

    Attributes:
        name: The class.
        requested: Share of boxes that the plan requested.
        drawn: Share of boxes drawn.
        partners: Whether the deviation comes from tiles and partners, and not from the loader's own images.
        outside: Whether Ultralytics chose any of the epoch's tiles and partners, and not the plan.
    """

    name: str
    requested: float
    drawn: float
    partners: bool
    outside: bool


class Exposure:
    """Counts one epoch at a time, and all of them together.

    Attributes:
        names: C class names, by class id.
        natural: (C,) shares of boxes in the data.
        requested: (C,) shares of boxes that the epoch's plan requests.
        images: Images the loader gave in this epoch, tiles and partners aside.
        picked: (2, C) boxes of every image picked in this epoch, those pasted included: the loader's own, and tiles and
            partners.
        pasted: (C,) boxes among them that were pasted.
        outside: Tiles and partners of this epoch that Ultralytics chose, and not the plan.
        reached: (C,) boxes of those images in the batches, after augmentation.
        before: (3, C) boxes drawn, reached and requested among those drawn, in the epochs before this one.
        ended: Epochs that `before` sums.
    """

    def __init__(self, names: list[str], statistics: ClassStatistics):
        self.names, self.statistics = names, statistics
        self.natural = self.requested = statistics.box_shares()
        self._plan: SamplingPlan | None = None
        self._forget()
        self.before: Floats = np.zeros((3, len(names)))
        self.ended = 0

    @property
    def drawn(self) -> Ints:
        """(C,) boxes of everything picked in this epoch."""
        drawn: Ints = self.picked.sum(0)
        return drawn

    @property
    def total(self) -> Floats:
        """(3, C) boxes drawn, reached and requested among those drawn, in all epochs."""
        total: Floats = self.before + np.stack([self.drawn, self.reached, self.requested * self.drawn.sum()])
        return total

    @property
    def epochs(self) -> int:
        """Epochs that `total` sums."""
        return self.ended + (self.images > 0)

    def start_epoch(self, plan: SamplingPlan | None, *, again: bool = False) -> None:
        """Start counting an epoch: a new one, or the same one `again`; without a plan images are drawn as in stock."""
        if not again:
            self.before, self.ended = self.total, self.epochs
        if plan is not self._plan:  # most epochs share one, and the sums are over all boxes
            self.requested = requested_shares(self.statistics, plan)
            self._plan = plan
        self._forget()

    def _forget(self) -> None:
        self.images = self.outside = 0
        self.picked: Ints = np.zeros((2, len(self.names)), np.int64)
        self.pasted: Ints = np.zeros(len(self.names), np.int64)
        self.reached: Ints = np.zeros(len(self.names), np.int64)

    def add(
        self, picked: Ints, classes: npt.ArrayLike, images: int, outside: int = 0, pasted: Ints | None = None
    ) -> None:
        """Count one batch.

        Args:
            picked: (2, C) labelled boxes of the images that the loader chose, and of their tiles and partners.
            classes: Class of every box in the batch.
            images: Images of the batch.
            outside: Tiles and partners that Ultralytics chose, and not the plan.
            pasted: (2, C) boxes that were pasted into the same images; None for none.
        """
        self.picked += picked
        if pasted is not None:
            self.picked += pasted
            self.pasted += pasted.sum(0)
        self.reached += np.bincount(np.asarray(classes, np.int64).ravel(), minlength=len(self.names))
        self.images += images
        self.outside += outside

    def counts(self) -> Ints:
        """Return the epoch's counts in one array, to be summed over ranks."""
        return np.concatenate([self.picked.ravel(), self.reached, self.pasted, [self.images, self.outside]])

    def set_counts(self, counts: Ints) -> None:
        """Restore the array that `counts` returned."""
        c = len(self.names)
        self.picked, self.reached = counts[: 2 * c].reshape(2, c), counts[2 * c : 3 * c]
        self.pasted = counts[3 * c : 4 * c]
        self.images, self.outside = map(int, counts[4 * c :])

    def rows(self, epoch: int) -> list[tuple[str, ...]]:
        """Return one row per class in the order of COLUMNS; `epoch` counts from 1 as in results.csv."""
        table = np.stack([self.natural, self.requested, shares(self.drawn), shares(self.reached)], axis=1)
        pasted = self.pasted / np.maximum(self.drawn, 1)
        return [
            (str(epoch), csv_text(name), *(f"{share:.5f}" for share in row), str(boxes), f"{part:.5f}")
            for name, row, boxes, part in zip(self.names, table, self.reached, pasted, strict=True)
        ]

    def deviations(self) -> list[Deviation]:
        """Return classes off by more than one percentage point and three standard deviations of independent draws."""
        if self._plan is None or not self.drawn.any():
            return []
        chance = CHANCE * share_deviation(
            self.statistics,
            self._plan.expectation,
            self.statistics.box_shares(self._plan.expectation),
            int(self.drawn.sum()),
        )
        drawn = shares(self.drawn)
        off = np.abs(drawn - self.requested) > TOLERANCE + chance
        own, others = (shares(boxes) - self.requested if boxes.any() else np.zeros_like(drawn) for boxes in self.picked)
        partners, outside = np.abs(others) > np.abs(own), self.outside > 0
        return [
            Deviation(self.names[c], float(self.requested[c]), float(drawn[c]), bool(partners[c]), outside)
            for c in np.flatnonzero(off)
        ]

    def unreached(self) -> Ints:
        """Return classes that were drawn for the first time in this epoch and reached the network in no box."""
        first: Ints = np.flatnonzero((self.before[0] == 0) & (self.drawn > 0) & (self.reached == 0))
        return first


def lost(drawn: Ints | Floats, reached: Ints | Floats) -> Floats:
    """Return (C,) 1 - reached / drawn; NaN where nothing was drawn."""
    return np.where(drawn > 0, 1 - reached / np.maximum(drawn, 1), np.nan)


def share_deviation(statistics: ClassStatistics, expectation: Floats, requested: Floats, boxes: int) -> Floats:
    """Compute (C,) standard deviation of a class's share among so many boxes of independently drawn images.

    A share is a ratio, sum of b_c(I) over sum of b(I); to first order its variance after N draws with probabilities
    p(I) is sum of p(I) (b_c(I) - s_c b(I))^2 / (N mean(b)^2), and N mean(b) is the number of boxes.

    Args:
        statistics: The labels; b_c(I) boxes of class c in image I, b(I) all of them.
        expectation: (num_images,) expected appearances, to which p is proportional.
        requested: (C,) shares s_c.
        boxes: Boxes drawn.
    """
    image, label, b_c = statistics.pairs
    p = expectation / expectation.sum()
    b = np.bincount(statistics.image_index, minlength=statistics.num_images)
    own = np.bincount(
        label, weights=p[image] * (b_c**2 - 2 * requested[label] * b_c * b[image]), minlength=len(requested)
    )
    mean = float((p * b).sum())
    return np.sqrt(np.maximum(own + requested**2 * float((p * b**2).sum()), 0.0) / (mean * boxes))
