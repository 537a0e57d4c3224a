"""Gate of a pipeline: does a report show the promised recall?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from yolo_balance.errors import ConfigError
from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.evidence.intervals import chance
from yolo_balance.recall.evidence.several_tests import holm
from yolo_balance.recall.evidence.verdicts import RecallVerdict, needed, verdict
from yolo_balance.recall.report import BudgetRecall, RecallReport
from yolo_balance.text import plain

MET, MISSED, CANNOT_CONCLUDE = 0, 1, 2


@dataclass(frozen=True)
class Promise:
    """Promised recall of one class, compared with the report.

    Attributes:
        name: The class.
        target: Recall promised.
        row: Recall of the class in the report.
        verdict: Whether the report shows the promised recall.
        needed: Words for what is needed to show it; empty where the target is met.
    """

    name: str
    target: float
    row: ClassRecall
    verdict: RecallVerdict
    needed: str


@dataclass(frozen=True)
class Gate:
    """All promises at one budget.

    The answer "all targets hold" tests each at the full level, which is no more often wrong than one test. A list of
    those that hold, where not all do, is Holm's.

    Attributes:
        report: The report that is compared with the promises.
        budget: Entry of the report at the budget.
        promises: Promises in the order of the report's classes.
    """

    report: RecallReport
    budget: BudgetRecall
    promises: tuple[Promise, ...]

    @classmethod
    def of(cls, report: RecallReport, targets: Mapping[str, float], *, budget: float | None = None) -> Gate:
        """Compare targets with a report.

        Args:
            report: Any recall report.
            targets: Promised recall per class name, instead of the targets that the report was written with.
            budget: False boxes per clean image at which recall is read; the report's first when left out.

        Raises:
            ConfigError: One line per class that the report does not know, or for a budget it was not read at.
        """
        entry = _entry(report, budget)
        known = entry.classes
        if unknown := [name for name in targets if name not in known]:
            classes = ", ".join(map(plain, known))
            lines = [f"targets: the report has no class {plain(name)}, its classes are {classes}" for name in unknown]
            raise ConfigError(lines)
        promises = _promises(
            {name: (row, targets[name]) for name, row in known.items() if name in targets}, report.confidence
        )
        return cls(report, entry, tuple(promises))

    @property
    def exit_code(self) -> int:
        """Exit code: 0 all targets met; 1 one is missed; 2 none is missed, but one cannot be decided or has no data."""
        verdicts = {promise.verdict for promise in self.promises}
        if "missed" in verdicts:
            return MISSED
        return MET if verdicts <= {"met"} else CANNOT_CONCLUDE


def _promises(rows: Mapping[str, tuple[ClassRecall, float]], level: float) -> list[Promise]:
    """Judge each promise by itself; unless all of them are met, only those of Holm's list are called met."""
    alone = {
        name: verdict(row.judged_n, *(row.judged_bounds or (None, None)), target=target)
        for name, (row, target) in rows.items()
    }
    if set(alone.values()) != {"met"}:
        chances = {name: chance(row.judged_hits[0], row.judged_n, target) for name, (row, target) in rows.items()}
        listed = holm(chances, (1 - level) / 2)
        alone = {
            name: "cannot conclude" if judged == "met" and name not in listed else judged
            for name, judged in alone.items()
        }
    return [
        Promise(
            name,
            target,
            row,
            alone[name],
            needed(
                row.judged_n, row.judged_recall, alone[name], target=target, confidence=row.confidence, noun=row.counted
            ),
        )
        for name, (row, target) in rows.items()
    ]


def _entry(report: RecallReport, budget: float | None) -> BudgetRecall:
    if budget is None:
        return report.budgets[0]
    for entry in report.budgets:
        if math.isclose(entry.false_alarms, budget):
            return entry
    known = ", ".join(f"{entry.false_alarms:g}" for entry in report.budgets)
    raise ConfigError(f"--budget: expected one the report was read at ({known}), got {budget:g}")
