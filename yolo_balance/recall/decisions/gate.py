"""Gate of a pipeline: does a report show the promised recall?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from yolo_balance.errors import ConfigError
from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.evidence.intervals import chance, exact_high, exact_low
from yolo_balance.recall.evidence.several_tests import holm
from yolo_balance.recall.evidence.verdicts import RecallVerdict, needed, verdict
from yolo_balance.recall.report import BudgetRecall, RecallReport
from yolo_balance.recall.split_counts import SplitCounts
from yolo_balance.text import counted, plain

MET, MISSED, CANNOT_CONCLUDE = 0, 1, 2


@dataclass(frozen=True)
class Promise:
    """Promised recall of one class, compared with the report.

    Attributes:
        name: The class.
        target: Recall promised.
        row: Recall of the class in the report.
        verdict: Whether the report shows the promised recall, whatever the images hold that were not read.
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
        promised = {name: (row, targets[name]) for name, row in known.items() if name in targets}
        return cls(report, entry, tuple(_promises(promised, report)))

    @property
    def exit_code(self) -> int:
        """Exit code: 0 all targets met; 1 one is missed; 2 none is missed, but one cannot be decided or has no data.

        A verdict that the images which were not read could turn is not decided.
        """
        verdicts = {promise.verdict for promise in self.promises}
        if "missed" in verdicts:
            return MISSED
        return MET if verdicts <= {"met"} else CANNOT_CONCLUDE


def _promises(rows: Mapping[str, tuple[ClassRecall, float]], report: RecallReport) -> list[Promise]:
    """Judge each promise by itself; unless all of them are met, only those of Holm's list are called met."""
    promises = [_promise(name, row, target, report) for name, (row, target) in rows.items()]
    if all(promise.verdict == "met" for promise in promises):
        return promises
    chances = {name: chance(row.judged_hits[0], row.judged_n, target) for name, (row, target) in rows.items()}
    proven = holm(chances, (1 - report.confidence) / 2)
    return [
        replace(promise, verdict="cannot conclude", needed="met alone, not beside the other promises; more objects")
        if promise.verdict == "met" and promise.name not in proven
        else promise
        for promise in promises
    ]


def _promise(name: str, row: ClassRecall, target: float, counts: SplitCounts) -> Promise:
    n, bounds = row.judged_n, row.judged_bounds or (None, None)
    judged = verdict(n, *bounds, target=target)
    if doubt := _doubt(row, target, judged, counts):
        return Promise(name, target, row, "cannot conclude", doubt)
    words = needed(n, row.judged_recall, judged, target=target, confidence=row.confidence, noun=row.counted)
    return Promise(name, target, row, judged, words)


def _doubt(row: ClassRecall, target: float, judged: RecallVerdict, counts: SplitCounts) -> str:
    """Return why images that were not read, or that train has too, could turn a verdict; empty where they could not.

    The worst case: each image that was left out holds an object of the class, found or missed as it speaks against the
    verdict; and the images that are also in train hold objects of the class as far as there are any, all of them found.
    """
    unknown, memory = counts.left_out, (counts.in_train or 0) * (judged == "met")
    if judged not in ("met", "missed") or not unknown + memory:
        return ""
    (fewest, most), tail = row.judged_hits, (1 - row.confidence) / 2
    if judged == "met":
        remembered = min(memory, row.judged_n)
        kept = exact_low(max(fewest - remembered, 0), row.judged_n - remembered + unknown, tail) >= target
    else:
        kept = exact_high(most + unknown, row.judged_n + unknown, tail) < target
    if kept:
        return ""
    reasons = []
    if unknown:
        fate = "missed" if judged == "met" else "found"
        reasons.append(f"not if the class is {fate} on {counted(unknown, 'image')} left out")
    if memory:
        reasons.append(f"not without {counted(memory, 'image')} that train has too")
    return f"{judged} on the images read, {' and '.join(reasons)}"


def _entry(report: RecallReport, budget: float | None) -> BudgetRecall:
    if budget is None:
        return report.budgets[0]
    for entry in report.budgets:
        if math.isclose(entry.false_alarms, budget):
            return entry
    known = ", ".join(f"{entry.false_alarms:g}" for entry in report.budgets)
    raise ConfigError(f"--budget: expected one the report was read at ({known}), got {budget:g}")
