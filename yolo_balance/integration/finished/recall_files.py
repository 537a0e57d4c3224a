"""The files that say what an inspector reads: recall.json for pipelines, recall.html for people, thresholds.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import write_whole
from yolo_balance.recall import Outcomes, RecallReport, Thresholds
from yolo_balance.recall.decisions.thresholds import FILE as THRESHOLDS
from yolo_balance.run_folder import records
from yolo_balance.run_folder.history import read_exposure, read_history
from yolo_balance.views.recall.images_console import render_rates, render_zones
from yolo_balance.views.recall.recall_page import render

PAGE = "recall.html"
FILES = (records.RECALL, THRESHOLDS, PAGE)


def read_baseline(options: RecallConfig) -> RecallReport | None:
    """The report to compare with, from a recall.json or the folder of a run; None where none is asked for.

    Raises:
        ConfigError: There is none, or it is none.
    """
    if options.baseline is None:
        return None
    path = Path(options.baseline)
    path = path / records.RECALL if path.is_dir() else path
    try:
        return RecallReport.load(path)
    except (DataError, OSError, ValueError) as e:
        raise ConfigError(f"balance.recall.baseline: expected a run's folder or recall.json, got {path} ({e})") from e


def write(
    folder: Path,
    report: RecallReport,
    outcomes: Outcomes,
    options: RecallConfig,
    *,
    imgsz: int | Sequence[int],
    nms_iou: float,
    baseline: RecallReport | None = None,
    title: str = "",
    note: str = "",
) -> tuple[RecallReport, list[Path]]:
    """Write the files of a finished model's report, each whole or not at all.

    What a run wrote into the folder while it trained, recall and exposure by epoch and its plan, goes onto the page.

    Args:
        folder: Where to.
        report: What was read.
        outcomes: What it was read from.
        options: `balance.recall`.
        imgsz: Size in pixels that images were scaled to, as the host has it: the longer side or both.
        nms_iou: The host's `iou`, at which boxes were suppressed.
        baseline: A report to compare with.
        title: What the page is of.
        note: What a reader of the page has to know first.

    Returns:
        The report with its details, and the files.

    Raises:
        OSError: A file cannot be written.
    """
    names = list(report.budgets[0].classes)
    full = report.with_details(outcomes, None if options.costs is None else options.costs.model_dump())
    full.save(folder / records.RECALL)
    Thresholds.of(full, imgsz=int(np.max(imgsz)), nms_iou=nms_iou).save(folder / THRESHOLDS)
    history, exposure, plan = (folder / name for name in (records.RECALL_ROWS, records.EXPOSURE, records.BALANCE))
    page = render(
        full,
        outcomes,
        names,
        history=read_history(history) if history.exists() else None,
        baseline=baseline,
        exposure=read_exposure(exposure) if exposure.exists() else None,
        weights=_weights(plan) if plan.exists() else None,
        title=title,
        note=note,
    )
    write_whole(folder / PAGE, page)
    return full, [folder / name for name in FILES]


def summary(report: RecallReport) -> str:
    """What the line decides, as console tables: escapes and overkill at the first budget, and the three zones."""
    first = report.budgets[0]
    assert first.images is not None
    assert report.details is not None  # of a report that was just written
    return "\n\n".join(
        [
            render_rates(first.images, f"{first.false_alarms:g} false boxes per {report.per}"),
            render_zones(report.details.zones),
        ]
    )


def _weights(plan: Path) -> Mapping[str, Mapping[str, Any]]:
    resolved: Mapping[str, Mapping[str, Any]] = yaml.safe_load(plan.read_text(encoding="utf-8"))["resolved"]["classes"]
    return resolved
