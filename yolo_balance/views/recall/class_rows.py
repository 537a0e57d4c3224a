"""Rows of the table of verdicts: one class at one budget, what it would take to know more, and what was done for it."""

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
        needed: What it would take to know more, in words; empty where nothing is needed.
        independent: The effective number of objects, where it is another than the number of objects; else None.
        epoch: ClassChange in the last epoch.
        baseline: ClassChange against the baseline.
        exposure: What training was shown of it.
        weight: What training gave it.
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
        """The row of a class."""
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
    """Whether a class keeps its promise, in words."""
    if row.n == 0:
        return NO_DATA
    return NO_TARGET if row.verdict is None else WORDS[row.verdict]


def needed(row: ClassRecall) -> str:
    """What would show the target, or without one, how many more objects bring the interval within +-0.1.

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
    """The effective number of objects, where it reads otherwise than their number."""
    if row.n_effective is None or f"{row.n_effective:.1f}" == f"{row.n:.1f}":
        return None
    return row.n_effective
