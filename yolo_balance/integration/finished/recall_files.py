"""Files for those who inspect: recall.json for pipelines, recall.html for people, thresholds.yaml for `predict`."""

from __future__ import annotations

from pathlib import Path

from ultralytics.utils import LOGGER

from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import write_whole
from yolo_balance.recall import RecallReport, Thresholds
from yolo_balance.recall.split_reading import Reading
from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.history import read_exposure, read_history
from yolo_balance.run_folder.names import BALANCE, EXPOSURE, PAGE, RECALL, RECALL_ROWS, REPORT, THRESHOLDS
from yolo_balance.views.recall.images_console import render_rates, render_zones
from yolo_balance.views.recall.recall_page import render


def read_baseline(options: RecallConfig) -> RecallReport | None:
    """Return the report to compare with, from a recall.json or the folder of a run; None where none is asked for.

    Raises:
        ConfigError: The path leads to no report.
    """
    if options.baseline is None:
        return None
    path = Path(options.baseline)
    path = path / RECALL if path.is_dir() else path
    try:
        return RecallReport.load(path)
    except (DataError, OSError, ValueError) as e:
        raise ConfigError(f"balance.recall.baseline: expected a run's folder or recall.json, got {path} ({e})") from e


def write(folder: Path, reading: Reading) -> RecallReport:
    """Write the files of a finished model's report, each whole or not at all, and log its tables.

    Rows by epoch and balance.yaml, which a run wrote into the folder while it trained, go onto the page.

    Args:
        folder: Folder of the files.
        reading: The reading of the model.

    Returns:
        The report with its details.

    Raises:
        OSError: A file cannot be written.
    """
    full = reading.with_details()
    full.report.save(folder / RECALL)
    Thresholds.of(full.report, imgsz=full.imgsz, nms_iou=full.nms_iou).save(folder / THRESHOLDS)
    page = render(
        full,
        history=read_history(folder) if (folder / RECALL_ROWS).exists() else (),
        exposure=read_exposure(folder) if (folder / EXPOSURE).exists() else None,
        weights=BalanceFile.load(folder).classes if (folder / BALANCE).exists() else None,
    )
    write_whole(folder / PAGE, page)
    report, first = full.report, full.report.budgets[0]
    assert first.images is not None
    assert report.details is not None
    tables = (
        render_rates(first.images, f"{first.false_alarms:g} false boxes per {report.per}"),
        render_zones(report.details.zones),
        f"Recall per class saved to {', '.join(str(folder / name) for name in REPORT)}",
    )
    LOGGER.info("\n\n".join(tables))
    return report
