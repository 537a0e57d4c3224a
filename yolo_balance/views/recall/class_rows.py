"""Rows of the page's table of verdicts: one class at one budget, objects needed, exposure and weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.evidence import verdicts
from yolo_balance.recall.evidence.needs import HALF_WIDTH, boxes_for_half_width, more_objects
from yolo_balance.recall.report import BudgetRecall
from yolo_balance.run_folder.history import ClassExposure
from yolo_balance.views.recall.changes import ClassChange

WORDS: Mapping[str, str] = {"met": "target met", "missed": "target missed", "cannot conclude": "cannot conclude"}
NO_DATA, NO_TARGET = "no data", "no target"


@dataclass(frozen=True)
class Row:
    """One class at one budget.

    Attributes:
        name: The class.
        recall: At the one confidence for all classes.
        own: With a confidence of its own; None in a report that does not say.
        verdict: Whether the target is met, in words.
        own_verdict: The same with a confidence of its own; empty where that is not known.
        needed: Objects or changes needed to know more, in words; empty if nothing is needed.
        independent: The effective number of objects if it differs from the number of objects, else None.
        epoch: Change in the last epoch.
        baseline: Change against the baseline.
        exposure: Shares of the class's boxes in training.
        weight: Weight of an object, or sampling factor, in training.
    """

    name: str
    recall: ClassRecall
    own: ClassRecall | None
    verdict: str
    own_verdict: str
    needed: str
    independent: float | None
    epoch: ClassChange | None
    baseline: ClassChange | None
    exposure: ClassExposure | None
    weight: float | None

    @classmethod
    def of(
        cls,
        budget: BudgetRecall,
        name: str,
        *,
        epoch: ClassChange | None = None,
        baseline: ClassChange | None = None,
        exposure: ClassExposure | None = None,
        weight: float | None = None,
    ) -> Row:
        """Build the row of a class."""
        here = budget.classes[name]
        own = budget.per_class.classes[name] if budget.per_class else None
        return cls(
            name,
            here,
            own,
            verdict(here),
            "" if own is None else verdict(own),
            needed(here),
            independent(here),
            epoch,
            baseline,
            exposure,
            weight,
        )


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
        level, most = row.confidence, row.images
        return verdicts.needed(n, row.recall, row.verdict, target=row.target, confidence=level, most=most)
    if row.recall is None:
        return f"{boxes_for_half_width(confidence=row.confidence)} for a first look"
    more = more_objects(n, row.recall, confidence=row.confidence)
    return f"{more} more for ±{HALF_WIDTH:g}" if more else ""


def independent(row: ClassRecall) -> float | None:
    """Return the effective number of objects if it differs from their number at one decimal, else None."""
    if row.n_effective is None or f"{row.n_effective:.1f}" == f"{row.n:.1f}":
        return None
    return row.n_effective
