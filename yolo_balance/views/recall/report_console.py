"""The report as a console table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from yolo_balance.text import plain
from yolo_balance.views.tables import plain_text

if TYPE_CHECKING:
    from yolo_balance.recall.class_recall import ClassRecall
    from yolo_balance.recall.report import BudgetRecall, RecallReport


def render(report: RecallReport) -> str:
    """Plain text, one line per class, for each budget the hits and the recall with its interval."""
    basis = (
        f"{report.clean_images} defect-free of {report.images} images"
        if report.clean_images
        else f"no defect-free image: false boxes over all {report.images} images"
    )
    level = f"IoU {report.iou:g}, {report.confidence:.0%} Wilson interval, clustered by image"
    title = f"Recall per class on {plain(report.split)} ({level}; {basis})"
    per = "clean image" if report.clean_images else "image"
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("class")
    table.add_column("n", justify="right")
    for budget in report.budgets:
        measured = "" if budget.measured is None else f", measured {budget.measured:.3g}"
        table.add_column(
            f"at {budget.false_alarms:g} false boxes per {per}\n(conf {budget.threshold:.3f}{measured})\nhits  recall"
        )
    for name in report.budgets[0].classes:
        rows = [budget.classes[name] for budget in report.budgets]
        table.add_row(Text(plain(name)), str(rows[0].n), *(Text(_recall(row)) for row in rows))
    lines = [line for budget in report.budgets if (line := sharing(budget, per))]
    return "\n".join([title, plain_text(table), *lines])


def sharing(budget: BudgetRecall, per: str) -> str:
    """What confidences of their own would do for the worst class; empty where that is no different."""
    if budget.per_class is None:
        return ""
    (common, of_common), (own, of_own) = map(_worst, (budget.classes, budget.per_class.classes))
    if own <= common:
        return ""
    return (
        f"With a confidence for each class, {budget.false_alarms:g} false boxes per {per} give a worst recall of "
        f"{own:.2f} ({plain(of_own)}) instead of {common:.2f} ({plain(of_common)})"
    )


def _worst(classes: Mapping[str, ClassRecall]) -> tuple[float, str]:
    return min(((row.recall, name) for name, row in classes.items() if row.recall is not None), default=(0.0, ""))


def _recall(row: ClassRecall) -> str:
    if row.recall is None or row.bounds is None:
        return "   -  no data"
    low, high = row.bounds
    verdict = f"  target {row.target:g}: {row.verdict}" if row.target is not None else ""
    return f"{row.hits:>4}  {row.recall:.2f} [{low:.2f}, {high:.2f}]{verdict}"
