"""Recall against false boxes per image as the confidence threshold moves (FROC)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Ints
from yolo_balance.recall.evidence.intervals import interval
from yolo_balance.recall.outcomes import Outcomes

POINTS = 200


@dataclass(frozen=True)
class Froc:
    """Free-response ROC curves of C classes at K thresholds that all classes share.

    Bunch et al., A free response approach to the measurement and characterization of radiographic-observer
    performance (1977): nothing bounds the number of false marks, so they are counted per image.

    Attributes:
        threshold: (K,) confidences, falling.
        false_alarms: (K,) false boxes per clean image at or above each, of all classes together; on a split without
            clean images per image. Rising.
        hits: (C, K) objects found at or above each.
        objects: (C,) objects there are.
    """

    threshold: Floats
    false_alarms: Floats
    hits: Ints
    objects: Ints

    @property
    def recall(self) -> Floats:
        """(C, K) hits / objects; NaN for a class without objects."""
        return np.where(self.objects[:, None] > 0, self.hits / np.maximum(self.objects, 1)[:, None], np.nan)

    def band(self, c: int, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Return (K,) lower and upper bounds of class c: Wilson intervals, one per threshold."""
        distinct, place = np.unique(self.hits[c], return_inverse=True)
        bounds = np.array([interval(int(hits), int(self.objects[c]), confidence=confidence) for hits in distinct])
        return bounds[place, 0], bounds[place, 1]


def froc(outcomes: Outcomes, through: npt.ArrayLike = (), *, points: int = POINTS) -> Froc:
    """Read a split at many thresholds.

    Each is the lowest that allows some number of false boxes: none, all there are, and numbers between them in equal
    ratios, so that a logarithmic axis is covered evenly.

    Args:
        outcomes: Boxes and objects of the split.
        through: Thresholds that the curves pass through besides, as those of a report's budgets.
        points: Largest number of thresholds, those of `through` among them.

    Example:
        >>> from yolo_balance.recall import ImageOutcome
        >>> found = ImageOutcome.of([[1.0, 0.0]], [0], [0, 0], [0.5, 0.75])
        >>> curve = froc(Outcomes.pool([found, ImageOutcome.of([[]], [0], [], [])], num_classes=1))
        >>> curve.false_alarms.tolist(), curve.recall[0].tolist()
        ([0.0, 0.5], [0.0, 0.5])
    """
    besides = np.asarray(through, np.float64)
    false = np.sort(outcomes.confidence[outcomes.alarming])
    steps = np.geomspace(1, max(len(false), 1), max(points - 1 - len(besides), 1))
    allowed = np.unique(steps.astype(np.int64)) - 1
    too_many = false[::-1][allowed[allowed < len(false)]].astype(np.float32)
    rising = np.unique(np.concatenate([[0.0], np.nextafter(too_many, np.float32(np.inf)), besides]))
    k, found = len(rising), outcomes.hit
    first = k - np.searchsorted(rising, outcomes.confidence[found], side="right")  # falling threshold that counts it
    slot = outcomes.predicted[found] * (k + 1) + first
    new = np.bincount(slot, minlength=outcomes.num_classes * (k + 1)).reshape(outcomes.num_classes, k + 1)
    return Froc(
        threshold=rising[::-1],
        false_alarms=(len(false) - np.searchsorted(false, rising)[::-1]) / max(outcomes.alarm_images, 1),
        hits=new[:, :k].cumsum(axis=1),
        objects=outcomes.objects,
    )
