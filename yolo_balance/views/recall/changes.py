"""Changes of recall between two readings, as far as the intervals show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.evidence import verdicts
from yolo_balance.recall.report import RecallReport
from yolo_balance.run_folder.history import EpochRecall


class ClassChange(NamedTuple):
    """Change of a class's recall: the second reading less the first, and the verdict on the two intervals."""

    difference: float
    verdict: verdicts.RecallChange


def change(before: EpochRecall | ClassRecall | None, after: EpochRecall | ClassRecall | None) -> ClassChange | None:
    """Compare two readings of a class; None if one has no data."""
    if before is None or before.recall is None or after is None or after.recall is None:
        return None
    return ClassChange(after.recall - before.recall, verdicts.change(before.bounds, after.bounds))


Changes = Mapping[str, ClassChange | None]
"""By class name."""


def since_last_epoch(history: Iterable[EpochRecall], budget: float) -> Changes:
    """Compare the last epoch with the epoch before; empty for fewer than two epochs."""
    rows = {(row.epoch, row.name): row for row in history if same_budget(row.budget, budget)}
    epochs = sorted({epoch for epoch, _ in rows})
    if len(epochs) < 2:
        return {}
    before, last = epochs[-2:]
    return {name: change(rows.get((before, name)), row) for (epoch, name), row in rows.items() if epoch == last}


def against(baseline: RecallReport, report: RecallReport, budget: float) -> Changes:
    """Compare a report with a baseline at one budget; empty if either was not read at it."""
    theirs = [b for b in baseline.budgets if same_budget(b.false_alarms, budget)]
    ours = [b for b in report.budgets if same_budget(b.false_alarms, budget)]
    if not theirs or not ours:
        return {}
    return {name: change(theirs[0].classes.get(name), row) for name, row in ours[0].classes.items()}


def same_budget(a: float, b: float) -> bool:
    """Decide whether two budgets are the same: `recall.csv` has six digits."""
    return f"{a:g}" == f"{b:g}"
