"""What changed between two readings: what the intervals show, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from yolo_balance.recall.page.history import EpochRecall
from yolo_balance.recall.report import RecallReport


class Reading(Protocol):
    """A recall with its interval, None without objects."""

    @property
    def recall(self) -> float | None: ...  # noqa: D102
    @property
    def low(self) -> float | None: ...  # noqa: D102
    @property
    def high(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class Change:
    """One recall after another.

    Attributes:
        difference: The second less the first.
        verdict: `rose` or `fell` where the intervals do not overlap, else `open`.
    """

    difference: float
    verdict: Literal["rose", "fell", "open"]


def change(before: Reading | None, after: Reading | None) -> Change | None:
    """What one reading shows against another; None where either has no data.

    Intervals that do not overlap are a careful sign: two that overlap a little may still differ.
    """
    if before is None or after is None:
        return None
    if before.recall is None or before.low is None or before.high is None:
        return None
    if after.recall is None or after.low is None or after.high is None:
        return None
    verdict: Literal["rose", "fell", "open"] = (
        "rose" if after.low > before.high else "fell" if after.high < before.low else "open"
    )
    return Change(after.recall - before.recall, verdict)


Changes = Mapping[str, Change | None]
"""By class name."""


def since_last_epoch(history: Iterable[EpochRecall], budget: float) -> Changes:
    """The last epoch against the one before it; empty for fewer than two."""
    rows = {(row.epoch, row.name): row for row in history if same_budget(row.budget, budget)}
    epochs = sorted({epoch for epoch, _ in rows})
    if len(epochs) < 2:
        return {}
    before, last = epochs[-2:]
    return {name: change(rows.get((before, name)), row) for (epoch, name), row in rows.items() if epoch == last}


def against(baseline: RecallReport, report: RecallReport, budget: float) -> Changes:
    """A report against another at the same budget; empty if the other was not read at it."""
    theirs = [b for b in baseline.budgets if same_budget(b.false_alarms, budget)]
    ours = [b for b in report.budgets if same_budget(b.false_alarms, budget)]
    if not theirs or not ours:
        return {}
    return {name: change(theirs[0].classes.get(name), row) for name, row in ours[0].classes.items()}


def same_budget(a: float, b: float) -> bool:
    """Whether two budgets are one: in `recall.csv` they have six digits."""
    return f"{a:g}" == f"{b:g}"
