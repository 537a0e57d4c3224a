"""Verdicts of intervals: on a promised recall, and on the change between two recalls."""

from __future__ import annotations

from typing import Literal, TypeAlias

from yolo_balance.recall.evidence.needs import CONFIDENCE, more_objects, objects_to_show
from yolo_balance.text import counted

RecallVerdict: TypeAlias = Literal["met", "missed", "cannot conclude", "no data"]
Bounds: TypeAlias = tuple[float, float]
RecallChange: TypeAlias = Literal["rose", "fell", "cannot conclude"]


def verdict(n: int, low: float | None, high: float | None, *, target: float) -> RecallVerdict:
    """Decide whether n units show a promised recall.

    Args:
        n: Units with the class, or objects where each has a unit of its own.
        low: Exact lower bound of the recall (Clopper-Pearson), None without units.
        high: Exact upper bound.
        target: Recall promised, in (0, 1].

    Returns:
        `met`: the lower bound reaches the target. `missed`: the upper bound is below the target. `cannot conclude`:
        neither. `no data`: no units. With an interval of 95 %, `met` and `missed` are each wrong at most 2.5 % of the
        time.

    Example:
        >>> verdict(20, 0.27, 0.73, target=0.8), verdict(20, 0.68, 0.99, target=0.8)
        ('missed', 'cannot conclude')
    """
    if n == 0 or low is None or high is None:
        return "no data"
    if low >= target:
        return "met"
    return "missed" if high < target else "cannot conclude"


def needed(
    n: int,
    recall: float | None,
    judged: RecallVerdict,
    *,
    target: float,
    confidence: float = CONFIDENCE,
    noun: str = "object",
) -> str:
    """Return in words what is needed to show a target, after the verdict on it; empty if the target is met.

    `recall` is the share found of n, None without any; `noun` is the name of one of them.

    Example:
        >>> needed(20, 0.95, "cannot conclude", target=0.8)
        '14 more objects at this recall'
    """
    if judged == "met":
        return ""
    fewest = objects_to_show(1.0, target, confidence)
    if fewest is None:
        return f"no number of {noun}s shows a recall of {target:g}"
    if recall is None:
        return f"{fewest} {noun}s, every one being found"
    if judged == "missed":
        return "retrain: the target is ruled out, more images will not help"
    if (more := more_objects(n, recall, target, confidence=confidence)) is not None:
        return f"{counted(max(more, 1), f'more {noun}')} at this recall"
    short = f", and at least {counted(fewest - n, f'more {noun}')}" if fewest > n else ""
    return f"retrain: measured recall is not above the target{short}"


def change(before: Bounds | None, after: Bounds | None) -> RecallChange:
    """Decide whether the recall of a class rose or fell between two runs or epochs.

    Intervals that overlap, or touch, or are not there decide nothing, which is stricter than a test of the difference:
    two 95 % intervals stay apart by chance far less often than once in twenty times.

    Args:
        before: Lower and upper bound, as in `ClassRecall.bounds`; None without objects.
        after: Bounds of the same class later.
    """
    if before is None or after is None:
        return "cannot conclude"
    if after[0] > before[1]:
        return "rose"
    return "fell" if after[1] < before[0] else "cannot conclude"
