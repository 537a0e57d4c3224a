"""The recall report as a console table."""

from __future__ import annotations

import math
from collections.abc import Mapping

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.report import BudgetRecall, RecallReport
from yolo_balance.recall.split_counts import SplitCounts
from yolo_balance.run_folder.names import RECALL, RECALL_ROWS
from yolo_balance.text import counted, plain
from yolo_balance.views.tables import class_table


def render_report(report: RecallReport) -> str:
    """Return a line per class: for each budget the hits, and the recall with its interval."""
    basis = (
        f"{report.clean_images} defect-free of {report.images} images"
        if report.clean_images
        else f"no defect-free image: false boxes over all {report.images} images"
    ) + ("" if report.units is None else f" of {counted(report.units, 'unit')}")
    level = f"IoU {report.iou:g}, {report.confidence:.0%} Wilson interval, clustered by {report.cluster}"
    headings = ["class", "n"]
    for budget in report.budgets:
        measured = "" if budget.measured is None else f", measured {budget.measured:.3g}{_bounds(budget)}"
        at = f"at {budget.false_alarms:g} false boxes per {report.per}"
        headings.append(f"{at}\n(conf {budget.threshold:.3f}{measured})\nhits  recall")
    rows = [
        [name, str(row.n), *(_recall(budget.classes[name]) for budget in report.budgets)]
        for name, row in report.budgets[0].classes.items()
    ]
    read = report.budgets[0].classes.values()
    ranks = [(math.inf if row.recall is None else row.recall, row.n) for row in read]
    file = f"{RECALL}, and each epoch's in {RECALL_ROWS}"
    return "\n".join(
        [
            f"Recall per class on {plain(report.split)} ({level}; {basis})",
            *left_out(report, report.split, report.images),
            class_table(headings, rows, ranks, "lrl", which="those with the lowest recall", file=file),
            *filter(None, (sharing(budget, report.per) for budget in report.budgets)),
        ]
    )


def left_out(counts: SplitCounts, split: str, images: int) -> list[str]:
    """Return a line for each kind of images that a reading lacks, or that say less than their number.

    Args:
        counts: The images of each kind.
        split: Name of the split.
        images: Images that were read.
    """
    whole = images + counts.ignored + counts.filtered + counts.copies
    lines = []
    if counts.ignored:
        reason = f" ({plain(counts.first_ignored)})" if counts.first_ignored else ""
        lines.append(f"{counts.ignored} of {whole} images could not be used{reason}")
    if counts.filtered:
        by = f" by {plain(counts.filtered_by)}" if counts.filtered_by else ""
        lines.append(f"{counts.filtered} of {whole} images were left out{by}")
    if counts.copies:
        lines.append(f"{counts.copies} of {whole} images are copies of another one, and identical images count once")
    if counts.unlabelled:
        lines.append(f"No label file for {counts.unlabelled} of {images} images, which count as defect-free")
    if counts.in_train is None:
        lines.append(f"Images of train were not found: images of {plain(split)} that are also in train are not known")
    elif counts.in_train:
        shared = f"{counts.in_train} of {images} images of {plain(split)} are also in train"
        lines.append(f"{'The split is train' if split == 'train' else shared}: what is read is memory")
    return lines


def sharing(budget: BudgetRecall, per: str) -> str:
    """Compare the worst recall with one confidence per class and with one for all; empty where the first is no better.

    Args:
        budget: Both readings.
        per: `RecallReport.per`.
    """
    if budget.per_class is None:
        return ""
    (common, of_common), (own, of_own) = map(_worst, (budget.classes, budget.per_class.classes))
    if own <= common:
        return ""
    return (
        f"With a confidence for each class, {budget.false_alarms:g} false boxes per {per} give a worst recall of "
        f"{own:.2f} ({plain(of_own)}) instead of {common:.2f} ({plain(of_common)})"
    )


def _bounds(budget: BudgetRecall) -> str:
    """Write the interval of false boxes, as `[0.03, 0.14]`; empty in a report without it."""
    if budget.measured_low is None or budget.measured_high is None:
        return ""
    return f" [{budget.measured_low:.2f}, {budget.measured_high:.2f}]"


def _worst(classes: Mapping[str, ClassRecall]) -> tuple[float, str]:
    return min(((row.recall, name) for name, row in classes.items() if row.recall is not None), default=(0.0, ""))


def _recall(row: ClassRecall) -> str:
    if row.recall is None or row.bounds is None:
        return "   -  no data"
    low, high = row.bounds
    verdict = f"  target {row.target:g}: {row.verdict}" if row.target is not None else ""
    return f"{row.hits:>4}  {row.recall:.2f} [{low:.2f}, {high:.2f}]{verdict}"
