"""Image rates: images that a line passes, reviews and rejects, and the wrong ones among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from yolo_balance.arrays import Bools, Ints
from yolo_balance.recall.evidence.effective_size import effective_images
from yolo_balance.recall.evidence.intervals import effective_interval, interval
from yolo_balance.recall.matching import BACKGROUND_IOU
from yolo_balance.recall.outcomes import Outcomes

MISS_LINE = 0.02
"""Highest share of defective images passed: the miss rate of AIAG, Measurement Systems Analysis, 4th edition (2010)."""

FALSE_ALARM_LINE = 0.05
"""Highest share of clean images rejected: the false-alarm rate of the same attribute study."""

RateVerdict = Literal["met", "missed", "cannot conclude"]


@dataclass(frozen=True)
class Escape:
    """Escape: defective images that pass because no box on them counts.

    Attributes:
        n: Defective images; of a class, those that hold an object of it.
        passed: Images without a counted box of any class.
        without_hit: Images rejected for a wrong reason: none of the counted boxes found an object. The boxes cover it
            too loosely, bear the name of another class, or lie elsewhere.
        by_luck: Images of `without_hit` on which all counted boxes lie on nothing: none overlaps an object, of whatever
            class, by BACKGROUND_IOU.
        rate: passed / n; None without images: no data is not zero.
        low, high: Bounds of the interval, None without images.
        verdict: Against MISS_LINE: `met` if the whole interval is at or below it, `missed` if it is above it.
    """

    n: int
    passed: int
    without_hit: int
    by_luck: int
    rate: float | None
    low: float | None
    high: float | None
    verdict: RateVerdict | None


@dataclass(frozen=True)
class Overkill:
    """Overkill: clean images that are rejected because a box on them counts.

    Attributes:
        n: Clean images.
        rejected: Images with a counted box; of a class, with a counted box of that class.
        rate: rejected / n; None without clean images.
        low, high: Bounds of the interval, None without clean images.
        verdict: Against FALSE_ALARM_LINE, as in `Escape`.
    """

    n: int
    rejected: int
    rate: float | None
    low: float | None
    high: float | None
    verdict: RateVerdict | None


@dataclass(frozen=True)
class ClassImages:
    """Escape and overkill of one class."""

    escape: Escape
    overkill: Overkill


@dataclass(frozen=True)
class ImageRates:
    """Escape and overkill at an operating point.

    Attributes:
        confidence: Level of the Wilson intervals.
        thresholds: Confidence at and above which boxes count, by class name.
        escape: Over all defective images.
        overkill: Over all clean images.
        classes: By class name, in class-id order.
    """

    confidence: float
    thresholds: Mapping[str, float]
    escape: Escape
    overkill: Overkill
    classes: Mapping[str, ClassImages]

    @classmethod
    def of(
        cls, outcomes: Outcomes, threshold: float | npt.ArrayLike, names: Sequence[str], *, confidence: float = 0.95
    ) -> ImageRates:
        """Read a validation pass at a threshold, one for all classes or (C,) one for each."""
        counted, clean = outcomes.counts(threshold), outcomes.clean
        near = np.maximum(outcomes.own_iou, outcomes.other_iou) >= np.float32(BACKGROUND_IOU)
        images = np.arange(outcomes.images)
        rejected, found, reasoned = (
            np.isin(images, outcomes.image[counted & of]) for of in (counted, outcomes.hit, near)
        )

        size = partial(effective_images, unit=outcomes.unit)

        def escape(of: Bools) -> Escape:
            n, passed = int(of.sum()), int((of & ~rejected).sum())
            without_hit, by_luck = (int((of & rejected & ~reason).sum()) for reason in (found, reasoned))
            share = _share(passed, n, confidence, size(~rejected, of))
            return Escape(n, passed, without_hit, by_luck, *share, _verdict(*share[1:], MISS_LINE))

        def overkill(wrong: Ints) -> Overkill:
            n, count, part = int(clean.sum()), len(wrong), np.zeros(outcomes.images, bool)
            part[wrong] = True
            share = _share(count, n, confidence, size(part, clean))
            return Overkill(n, count, *share, _verdict(*share[1:], FALSE_ALARM_LINE))

        false = counted & clean[outcomes.image]
        kinds, on = np.unique(np.stack([outcomes.predicted[false], outcomes.image[false]]), axis=1)
        wrong = np.split(on, np.searchsorted(kinds, np.arange(1, len(names))))  # by class of a counted box

        return cls(
            confidence,
            _by_class(threshold, names),
            escape(~clean),
            overkill(np.flatnonzero(clean & rejected)),
            {name: ClassImages(escape(_holding(outcomes, c)), overkill(wrong[c])) for c, name in enumerate(names)},
        )


@dataclass(frozen=True)
class ImageShare:
    """Number and share of images in a zone, with an interval.

    Attributes:
        count: Images in the zone.
        share: count / all images; None without images.
        low, high: Bounds of the interval, None without images.
    """

    count: int
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ZoneShares:
    """Images of one kind over the three zones.

    Attributes:
        n: The images.
        passed: Images on which no box reaches its class's lower threshold.
        reviewed: The rest, for a person to look at.
        rejected: Images on which a box reaches its class's higher threshold.
    """

    n: int
    passed: ImageShare
    reviewed: ImageShare
    rejected: ImageShare


@dataclass(frozen=True)
class Zones:
    """Images over three zones: pass, review, reject.

    Attributes:
        confidence: Level of the Wilson intervals.
        pass_below: The lower threshold, by class name.
        reject_from: The higher threshold, by class name.
        clean: Images without objects.
        defective: Images with objects.
        classes: Images that hold an object of the class, by class name, in class-id order.
    """

    confidence: float
    pass_below: Mapping[str, float]
    reject_from: Mapping[str, float]
    clean: ZoneShares
    defective: ZoneShares
    classes: Mapping[str, ZoneShares]


def zones(
    outcomes: Outcomes,
    pass_below: float | npt.ArrayLike,
    reject_from: float | npt.ArrayLike,
    names: Sequence[str],
    *,
    confidence: float = 0.95,
) -> Zones:
    """Divide the images of a validation pass by two thresholds.

    An image is rejected if any box on it reaches its class's higher threshold, passed if none reaches its class's lower
    one, else reviewed. With equal thresholds nothing is reviewed. Both are one for all classes or (C,) one for each.

    Raises:
        ValueError: A lower threshold above its higher one.
    """
    lower, higher = _by_class(pass_below, names), _by_class(reject_from, names)
    for name in names:
        if not lower[name] <= higher[name]:
            raise ValueError(
                f"expected pass_below at most reject_from, got {lower[name]} and {higher[name]} for class {name}"
            )
    images = np.arange(outcomes.images)
    reached, rejected = (np.isin(images, outcomes.image[outcomes.counts(t)]) for t in (pass_below, reject_from))

    def spread(of: Bools) -> ZoneShares:
        n, parts = int(of.sum()), (~reached, reached & ~rejected, rejected)
        sizes = (effective_images(part, of, unit=outcomes.unit) for part in parts)
        counts = (int((of & part).sum()) for part in parts)
        shares = (
            ImageShare(count, *_share(count, n, confidence, size)) for count, size in zip(counts, sizes, strict=True)
        )
        return ZoneShares(n, *shares)

    clean = outcomes.clean
    classes = {name: spread(_holding(outcomes, c)) for c, name in enumerate(names)}
    return Zones(confidence, lower, higher, spread(clean), spread(~clean), classes)


@lru_cache
def images_needed(rate: float, *, confidence: float = 0.95) -> int:
    """Return the fewest images that can show a rate to be at most this, with none of them wrong.

    Wilson's upper bound at 0 of n is z^2 / (n + z^2), z the normal quantile of (1 + confidence) / 2.

    Args:
        rate: In (0, 1).
        confidence: Level of the interval.

    Raises:
        ValueError: For a rate or level outside (0, 1).

    Example:
        >>> images_needed(0.02)
        189
    """
    if not (0 < rate < 1 and 0 < confidence < 1):
        raise ValueError(f"expected rate and confidence in (0, 1), got {rate!r} and {confidence!r}")
    return math.ceil(float(norm.ppf((1 + confidence) / 2)) ** 2 * (1 - rate) / rate)


def _holding(outcomes: Outcomes, of_class: int) -> Bools:
    """Return (images,) whether the image holds an object of the class."""
    return np.isin(np.arange(outcomes.images), outcomes.object_image[outcomes.object_class == of_class])


def _by_class(threshold: float | npt.ArrayLike, names: Sequence[str]) -> dict[str, float]:
    values = np.broadcast_to(np.asarray(threshold, np.float64), (len(names),))
    return dict(zip(names, values.tolist(), strict=True))


def _share(count: int, n: int, confidence: float, size: float) -> tuple[float | None, float | None, float | None]:
    """Return the share of n images and its interval, which is that of `size` independent ones; all None without."""
    if not n:
        return None, None, None
    if size == n:
        return count / n, *interval(count, n, confidence=confidence)
    return count / n, *effective_interval(count / n, size, confidence=confidence)


def _verdict(low: float | None, high: float | None, line: float) -> RateVerdict | None:
    if low is None or high is None:
        return None
    return "met" if high <= line else "missed" if low > line else "cannot conclude"
