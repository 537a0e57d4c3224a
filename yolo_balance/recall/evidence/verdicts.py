"""Verdicts of intervals: on a promised recall, and on the change between two recalls.

Every verdict reads the number of objects n and the bounds of the interval, so n may be an effective sample size.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from scipy.stats import norm

from yolo_balance.recall.evidence.needs import CONFIDENCE, more_objects, objects_to_show

RecallVerdict: TypeAlias = Literal["met", "missed", "cannot conclude", "no data"]
Bounds: TypeAlias = tuple[float, float]
RecallChange: TypeAlias = Literal["rose", "fell", "cannot conclude"]


def verdict(
    n: float,
    low: float | None,
    high: float | None,
    *,
    target: float,
    confidence: float = CONFIDENCE,
    most: float | None = None,
) -> RecallVerdict:
    """Decide whether n objects show a promised recall.

    A promise is kept by the lower bound of the interval, or it is missed; but so few objects that no result of theirs
    could have kept it decide nothing, unless even the upper bound lies below.

    Args:
        n: Objects, or their effective number.
        low: Lower bound of the interval, None without objects.
        high: Upper bound.
        target: Recall promised, in (0, 1].
        confidence: Level of the interval.
        most: Effective number of objects had all been found, which then is as many as images; n when left out.

    Returns:
        `met`: the lower bound reaches the target. `missed`: it does not, though it would have, had all n been found;
        or the upper bound is below the target. `cannot conclude`: with all n found it would still lie under the
        target, and the upper bound does not rule it out. `no data`: no objects.

    Example:
        >>> verdict(20, 0.39, 0.78, target=0.8), verdict(12, 0.47, 0.91, target=0.9)
        ('missed', 'cannot conclude')
    """
    if n == 0 or low is None or high is None:
        return "no data"
    if low >= target:
        return "met"
    possible = best_lower_bound(n if most is None else most, confidence) >= target
    return "missed" if high < target or possible else "cannot conclude"


def best_lower_bound(n: float, confidence: float = CONFIDENCE) -> float:
    """Return the lower bound of the Wilson interval when all n objects are found: n / (n + z^2)."""
    return n / (n + float(norm.ppf(0.5 + confidence / 2)) ** 2)


def needed(
    n: float,
    recall: float | None,
    judged: RecallVerdict,
    *,
    target: float,
    confidence: float = CONFIDENCE,
    most: float | None = None,
) -> str:
    """Return in words what is needed to show a target, after the verdict on it; empty if the target is met.

    `recall` is the share found of n objects, None without objects; the other arguments are those of `verdict`.

    Example:
        >>> needed(20, 0.95, "missed", target=0.8)
        '13 more objects at this recall'
    """
    if judged == "met":
        return ""
    fewest = objects_to_show(1.0, target, confidence)
    if fewest is None:
        return f"no number of objects shows a recall of {target:g}"
    if recall is None:
        return f"{fewest} objects, every one being found"
    if (more := more_objects(n, recall, target, confidence=confidence)) is not None:
        return f"{max(more, 1)} more object{'s' if more > 1 else ''} at this recall"
    retrain = "retrain: measured recall is not above the target"
    if judged == "cannot conclude":
        short = more_objects(n if most is None else most, 1.0, target, confidence=confidence)
        return f"{retrain}, and at least {short} more object{'' if short == 1 else 's'}"
    return f"{retrain}, more images will not help"


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
