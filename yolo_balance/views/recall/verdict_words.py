"""Words of the page's table of verdicts on one class at one budget."""

from __future__ import annotations

from collections.abc import Mapping

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.evidence import verdicts
from yolo_balance.recall.evidence.needs import HALF_WIDTH, boxes_for_half_width, more_objects

WORDS: Mapping[str, str] = {"met": "target met", "missed": "target missed", "cannot conclude": "cannot conclude"}
NO_DATA, NO_TARGET = "no data", "no target"


def verdict(row: ClassRecall) -> str:
    """Return the verdict on a class's target, in words."""
    if row.n == 0:
        return NO_DATA
    return NO_TARGET if row.verdict is None else WORDS[row.verdict]


def needed(row: ClassRecall) -> str:
    """Return what shows the target; without a target, how many more objects bring the interval within +-0.1.

    Empty where nothing more is needed. A class without objects is told how many a first look takes.
    """
    n = row.n if row.n_effective is None else row.n_effective
    if row.target is not None and row.verdict is not None:
        options = {"target": row.target, "confidence": row.confidence}
        return verdicts.needed(row.judged_n, row.judged_recall, row.verdict, noun=row.counted, **options)
    if row.recall is None:
        return f"{boxes_for_half_width(confidence=row.confidence)} for a first look"
    more = more_objects(n, row.recall, confidence=row.confidence)
    return f"{more} more for ±{HALF_WIDTH:g}" if more else ""


def independent(row: ClassRecall) -> float | None:
    """Return the effective number of objects if it differs from their number at one decimal, else None."""
    if row.n_effective is None or f"{row.n_effective:.1f}" == f"{row.n:.1f}":
        return None
    return row.n_effective
