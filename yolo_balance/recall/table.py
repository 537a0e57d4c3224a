"""The report as a console table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from yolo_balance.recall.report import ClassRecall, RecallReport


def render(report: RecallReport) -> str:
    """Plain text, one line per class, for each budget the hits and the recall with its interval."""
    basis = (
        f"{report.clean_images} defect-free of {report.images} images"
        if report.clean_images
        else f"no defect-free image: false boxes over all {report.images} images"
    )
    title = f"Recall per class on {report.split} (IoU {report.iou:g}, {report.confidence:.0%} Wilson interval; {basis})"
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
        table.add_row(Text(name), str(rows[0].n), *(Text(_recall(row)) for row in rows))
    return f"{title}\n{plain_text(table)}"


def plain_text(table: Table) -> str:
    """A table as lines of text, for logs and notebooks alike, never folded to a terminal's width."""
    console = Console(width=1000, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _recall(row: ClassRecall) -> str:
    if row.recall is None:
        return "   -  no data"
    verdict = f"  target {row.target:g}: {row.verdict}" if row.target is not None else ""
    return f"{row.hits:>4}  {row.recall:.2f} [{row.low:.2f}, {row.high:.2f}]{verdict}"
