"""Number of pastes by class: the sampling plan says what is wanted, and pastes take over a part of it.

A plan asks for so many boxes of a class in an epoch. A share s of them is pasted, and the images that hold the class
are repeated less often by as much. Each class keeps its share of all boxes, while its objects appear in new places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.sampling.epoch import SamplingPlan
from yolo_balance.sampling.statistics import ClassStatistics, shares

FEW_OBJECTS = 30
"""Objects below which any class counts as rare."""
MANY_OBJECTS = 100
"""Objects from which on a class needs no pastes."""
MOST_USES = 20
"""Times that one object may be pasted in an epoch."""


def rare_classes(boxes: Ints) -> Bools:
    """Return (C,) classes that `classes: rare` pastes: below the median count or of under 30 objects, but under 100.

    Args:
        boxes: (C,) objects of each class in the train split; classes without any do not count.
    """
    present = boxes > 0
    median = np.median(boxes[present]) if present.any() else 0
    rare: Bools = present & ((boxes < median) | (boxes < FEW_OBJECTS)) & (boxes < MANY_OBJECTS)
    return rare


@dataclass(frozen=True)
class PasteWish:
    """Classes to be pasted, and the caps on how often.

    Attributes:
        objects: (C,) objects of each class that can be pasted; 0 for a class that is not to be pasted.
        p: Largest share of an epoch's images that are pasted on.
        max_objects: Most objects pasted into one image.
        share: Largest share of a class's boxes that are pasted.
        close: Last epochs without pastes, a count or a share of the run.
        alone: Whether no sampling plan says what is wanted; then as many are pasted as `share` allows.
    """

    objects: Ints
    p: float
    max_objects: int
    share: float
    close: int | float = 0
    alone: bool = False

    def taken_over(self, wanted: Floats, size: int) -> Floats:
        """Return (C,) shares of the boxes wanted that pastes are to take over.

        Args:
            wanted: (C,) boxes of an epoch that the plan asks for.
            size: Images of an epoch.
        """
        most = np.minimum(self.share * wanted, MOST_USES * self.objects)
        return np.divide(self._within(most, size), wanted, out=np.zeros(len(wanted)), where=wanted > 0)

    def pasted(self, wanted: Floats, real: Floats, size: int) -> Floats:
        """Return (C,) boxes of an epoch to be pasted, so that classes keep the shares that the plan asks for.

        With B boxes in all, class c is to have q_c B of them. Classes that are not pasted have their real boxes R, so
        B = sum of R / (1 - sum of q_c), and q_c B - R_c are missing.

        Args:
            wanted: (C,) boxes of an epoch that the plan asks for.
            real: (C,) boxes of the images that the epoch shows.
            size: Images of an epoch.
        """
        chosen = self.objects > 0
        most = np.minimum(self.share / (1 - self.share) * real, MOST_USES * self.objects)
        if not self.alone:
            q = shares(wanted)
            rest = 1 - q[chosen].sum()
            if rest > 1e-9:
                most = np.minimum(most, np.maximum(q * real[~chosen].sum() / rest - real, 0))
        return self._within(np.where(chosen, most, 0.0), size)

    def _within(self, boxes: Floats, size: int) -> Floats:
        """Return the boxes, all lowered alike to what `p` and `max_objects` leave room for."""
        room, total = self.p * self.max_objects * size, float(boxes.sum())
        return boxes * min(1.0, room / total) if total > 0 else boxes


def requested_shares(statistics: ClassStatistics, plan: SamplingPlan | None) -> Floats:
    """Return (C,) share of each class in all boxes that a plan shows, pastes included; None is the data as it is."""
    if plan is None or plan.pasted is None:
        return statistics.box_shares(None if plan is None else plan.expectation)
    return shares(statistics.boxes_shown(plan.expectation) + plan.pasted)


def pasted_shares(statistics: ClassStatistics, plan: SamplingPlan | None) -> Floats:
    """Return (C,) share of the boxes of each class that a plan has pasted."""
    if plan is None or plan.pasted is None:
        return np.zeros(statistics.num_classes)
    total = statistics.boxes_shown(plan.expectation) + plan.pasted
    return np.divide(plan.pasted, total, out=np.zeros_like(total), where=total > 0)
