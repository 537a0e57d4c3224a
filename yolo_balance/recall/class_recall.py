"""Recall of one class at one threshold: hits, intervals, precision and the verdict on a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from yolo_balance.arrays import Floats, Ints
from yolo_balance.bounded_files import shown
from yolo_balance.ranges import Confidence, Count, Share
from yolo_balance.recall.evidence.intervals import effective_interval, exact_high, exact_low, interval
from yolo_balance.recall.evidence.verdicts import Bounds, RecallVerdict, verdict
from yolo_balance.recall.outcomes import Outcomes

Range: TypeAlias = tuple[int, int]
ROUNDING = 0.006
"""Most that figures of a report which were rounded to two decimals contradict each other by."""


@dataclass(frozen=True)
class ClassRecall:
    """Recall of one class at one budget.

    Attributes:
        n: Objects of the class in the split.
        hits: Objects found at the threshold.
        recall: hits / n; None without objects: no data is not zero.
        low, high: Wilson's interval of `hits` out of `n`; None without objects.
        threshold: Confidence at and above which boxes count.
        target: Recall promised for the class; None without a target.
        confidence: Level of the interval.
        n_effective: Independent objects that say as much as these n, which share images or units of images
            (`effective_sizes`).
        wilson: Wilson's interval at `n_effective`; with an object per image it is (low, high).
        exact: Clopper and Pearson's interval at `n_effective`, which is wider.
        false_boxes: Boxes of the class at or above the threshold that found nothing, over all images.
        precision: hits / (hits + false_boxes); None without any box.
        images: Images, or units of images, that hold the n objects; `n_effective` if all objects had been found.
        whole: Number of these on which every object of the class is found; None in an older report.
    """

    n: int
    hits: int
    recall: float | None
    low: float | None
    high: float | None
    threshold: Confidence
    target: float | None = None
    confidence: float = 0.95
    n_effective: float | None = None
    wilson: Bounds | None = None
    exact: Bounds | None = None
    false_boxes: Count = 0
    precision: Share | None = None
    images: int | None = None
    whole: int | None = None

    def __post_init__(self) -> None:
        """Refuse a row that cannot be; raises ValueError that begins with the key."""
        if self.n < 0:
            raise ValueError(f"n: expected 0 or more objects, got {self.n}")
        if not 0 <= self.hits <= self.n:
            raise ValueError(f"hits: expected 0 to n = {self.n}, got {self.hits}")
        if self.n == 0 and self.recall is not None:
            raise ValueError(f"recall: expected null without objects, got {self.recall}")
        for key, value in (("recall", self.recall), ("low", self.low), ("high", self.high)):
            if (value is None and self.n) or (value is not None and not 0 <= value <= 1):
                raise ValueError(f"{key}: expected a number in [0, 1], got {shown(value)}")
        if self.recall is not None and abs(self.recall - self.hits / self.n) > ROUNDING:
            raise ValueError(f"recall: expected hits / n = {self.hits / self.n:.4g}, got {self.recall}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low: expected no more than high = {self.high}, got {self.low}")
        for key, bounds in (("wilson", self.wilson), ("exact", self.exact)):
            if bounds is not None and not 0 <= bounds[0] <= bounds[1] <= 1:
                raise ValueError(f"{key}: expected two numbers in [0, 1], the lower one first, got {shown(bounds)}")
        intervals = {"wilson": self.wilson, "exact": self.exact}
        if self.low is not None and self.high is not None:
            intervals["low"] = self.low, self.high
        for key, bounds in intervals.items():
            if self.recall is None or bounds is None:
                continue
            if not bounds[0] - ROUNDING <= self.recall <= bounds[1] + ROUNDING:
                raise ValueError(f"{key}: expected an interval around recall = {self.recall:.4g}, got {shown(bounds)}")
        if self.n_effective is not None and self.n and not self.n_effective > 0:
            raise ValueError(f"n_effective: expected a number above 0, got {self.n_effective}")
        if self.target is not None and not 0 < self.target <= 1:
            raise ValueError(f"target: expected a recall in (0, 1], got {self.target}")
        if self.images is not None and not min(self.n, 1) <= self.images <= self.n:
            raise ValueError(f"images: expected 1 to n = {self.n}, got {self.images}")
        if self.whole is not None and not 0 <= self.whole <= min(self.hits, self.judged_n):
            raise ValueError(f"whole: expected 0 to {min(self.hits, self.judged_n)}, got {self.whole}")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence: expected a level in (0, 1), got {self.confidence}")

    @property
    def judged_n(self) -> int:
        """Units that verdicts count: images that hold the class, of which objects share; objects if none share."""
        return self.n if self.images is None else self.images

    @property
    def judged_hits(self) -> Range:
        """Fewest and most of `judged_n` that have every object found; they differ in an older report only."""
        misses = self.n - self.hits
        if self.whole is not None:
            return self.whole, self.whole
        if self.judged_n == self.n:
            return self.hits, self.hits
        return max(self.judged_n - misses, 0), self.judged_n - min(misses, 1)

    @property
    def judged_recall(self) -> float | None:
        """Share of `judged_n` that has every object found, the lowest it may be; None without data."""
        return self.judged_hits[0] / self.judged_n if self.judged_n else None

    @property
    def judged_bounds(self) -> Bounds | None:
        """Clopper and Pearson's interval of `judged_hits`, which verdicts use; None without data."""
        if not self.judged_n:
            return None
        (fewest, most), tail = self.judged_hits, (1 - self.confidence) / 2
        return exact_low(fewest, self.judged_n, tail), exact_high(most, self.judged_n, tail)

    @property
    def shared(self) -> bool:
        """Whether objects share images, so that verdicts count images with every object found."""
        return self.judged_n != self.n

    @property
    def bounds(self) -> Bounds | None:
        """Interval that describes the recall of objects: Wilson's, approximate where objects share images."""
        if self.wilson is not None:
            return self.wilson
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def counted(self) -> str:
        """Name of one of `judged_n`."""
        return "unit" if self.shared else "object"

    @property
    def verdict(self) -> RecallVerdict | None:
        """Verdict of `verdicts.verdict` on the target; None without a target."""
        if self.target is None:
            return None
        return verdict(self.judged_n, *(self.judged_bounds or (None, None)), target=self.target)


def read_classes(
    outcomes: Outcomes,
    names: Sequence[str],
    thresholds: Floats,
    n_effective: Floats,
    images: Ints,
    confidence: float,
    targets: Mapping[str, float],
) -> dict[str, ClassRecall]:
    """Read each of C classes at its threshold; by name in class-id order.

    `n_effective` is that of `effective_sizes`, `images` the number of units that hold the class; (C,) each.
    """
    hits = outcomes.hits_at(thresholds)
    false = np.bincount(outcomes.predicted[outcomes.counts(thresholds) & ~outcomes.hit], minlength=len(names))
    missed = ~outcomes.detected(thresholds)
    classes, _ = np.unique(np.stack([outcomes.object_class, outcomes.object_unit])[:, missed], axis=1)
    whole = images - np.bincount(classes, minlength=len(names))
    columns = [array.tolist() for array in (outcomes.objects, hits, thresholds, n_effective, images, whole, false)]
    return {
        name: _class_recall(*row, confidence=confidence, target=targets.get(name))
        for name, *row in zip(names, *columns, strict=True)
    }


def _class_recall(
    n: int,
    hits: int,
    threshold: float,
    size: float,
    images: int,
    whole: int,
    false: int,
    *,
    confidence: float,
    target: float | None,
) -> ClassRecall:
    precision = hits / (hits + false) if hits + false else None
    at = (threshold, target, confidence)
    if n == 0:
        return ClassRecall(0, 0, None, None, None, *at, None, None, None, false, precision, 0, 0)
    low, high = interval(hits, n, confidence=confidence)
    wilson = (low, high) if size == n else effective_interval(hits / n, size, confidence=confidence)
    exact = effective_interval(hits / n, size, confidence=confidence, method="exact")
    return ClassRecall(n, hits, hits / n, low, high, *at, size, wilson, exact, false, precision, images, whole)
