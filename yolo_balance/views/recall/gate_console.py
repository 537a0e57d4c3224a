"""The gate as a console table."""

from __future__ import annotations

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.decisions.gate import Gate
from yolo_balance.run_folder.names import RECALL
from yolo_balance.text import plain
from yolo_balance.views.recall.report_console import left_out
from yolo_balance.views.tables import class_table


def render_gate(gate: Gate) -> str:
    """Return a line per promised class, with the budget in each line."""
    report = gate.report
    rows = []
    for promise in gate.promises:
        row = promise.row
        recall = "-" if row.judged_recall is None else f"{row.judged_recall:.2f}"
        if row.judged_bounds is not None:
            recall += " [{:.2f}, {:.2f}]".format(*row.judged_bounds)
        limits = f"{promise.target:g}", f"{gate.budget.false_alarms:g}"
        rows.append((promise.verdict, promise.name, recall, _count(row), *limits, promise.needed))
    ranks = [
        (promise.verdict == "met", promise.verdict != "missed", promise.row.recall is not None, promise.row.recall or 0)
        for promise in gate.promises
    ]
    headings = ("verdict", "class", "recall", "n", "target", "budget", "needed")
    return (
        f"Promised recall on {plain(report.split)} (IoU {report.iou:g}, exact {report.confidence:.0%} intervals; "
        f"budget: false boxes per {report.per}, which chose the threshold here and are not judged)\n"
        + "".join(f"{line}\n" for line in left_out(report, report.split, report.images))
        + class_table(headings, rows, ranks, "lllrl", which="those that break their promise first", file=RECALL)
    )


def _count(row: ClassRecall) -> str:
    """Write what recall was judged on: objects, or images that count as found with every object of the class found."""
    return f"{row.judged_n} {row.counted}s" if row.shared else str(row.n)
