"""What the line decides: escapes and overkill, the three zones, and the cheapest threshold, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yolo_balance.recall.images import (
    FALSE_ALARM_LINE,
    MISS_LINE,
    Escape,
    ImageRates,
    Overkill,
    Zones,
    ZoneShares,
    images_needed,
)
from yolo_balance.recall.matching import BACKGROUND_IOU


@dataclass(frozen=True)
class Decided:
    """What becomes of the images of a class; `name` is None for all images."""

    name: str | None
    escape: Escape
    overkill: Overkill


@dataclass(frozen=True)
class Zoned:
    """Images over the three zones.

    Attributes:
        images: What they are, `clean` or `defective`; None for those with a class.
        name: The class; None for the others.
        shares: Passed, reviewed, rejected.
        between: The two confidences; None without a class.
    """

    images: str | None
    name: str | None
    shares: ZoneShares
    between: tuple[float, float] | None


@dataclass(frozen=True)
class Lines:
    """What escape and overkill are held against.

    Attributes:
        escape: Highest share of defective images passed.
        defective: Fewest defective images that can show it.
        overkill: Highest share of clean images rejected.
        clean: Fewest clean images that can show it.
        touching: IoU below which a box lies elsewhere.
    """

    escape: float
    defective: int
    overkill: float
    clean: int
    touching: float


def decided(rates: ImageRates, order: Sequence[str]) -> list[Decided]:
    """All images first, then the classes in order."""
    rows = [Decided(name, rates.classes[name].escape, rates.classes[name].overkill) for name in order]
    return [Decided(None, rates.escape, rates.overkill), *rows]


def zoned(zones: Zones, order: Sequence[str]) -> list[Zoned]:
    """Clean and defective images first, then those with each class in order."""
    rows = [Zoned(None, name, zones.classes[name], (zones.pass_below[name], zones.reject_from[name])) for name in order]
    return [Zoned("clean", None, zones.clean, None), Zoned("defective", None, zones.defective, None), *rows]


def lines(confidence: float) -> Lines:
    """The lines of AIAG, Measurement Systems Analysis, 4th edition, at a level of confidence."""
    defective, clean = (images_needed(line, confidence=confidence) for line in (MISS_LINE, FALSE_ALARM_LINE))
    return Lines(MISS_LINE, defective, FALSE_ALARM_LINE, clean, BACKGROUND_IOU)
