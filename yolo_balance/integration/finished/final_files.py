"""Files and log of a finished model, for pipelines, people and `predict`; of a run's best.pt, for `compare` too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ultralytics.cfg import TASK2METRIC
from ultralytics.utils import LOGGER

from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import image_ids, sha256, write_whole, written_together
from yolo_balance.integration.finished.class_shifts import Calibrated
from yolo_balance.integration.finished.validate_once import reading_of
from yolo_balance.integration.hooks.validator import RecallValidatorMixin
from yolo_balance.recall import PrimeSamples, RecallReport, Thresholds
from yolo_balance.recall.split_reading import Reading
from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.history import read_exposure, read_history
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.names import (
    BALANCE,
    BEST,
    EXPOSURE,
    PAGE,
    PRIME_SAMPLES,
    RECALL,
    RECALL_ROWS,
    REPORT,
    THRESHOLDS,
    WEIGHTS,
)
from yolo_balance.text import plain
from yolo_balance.views.recall.images_console import render_rates, render_zones
from yolo_balance.views.recall.prime_sample_plots import prime_samples as draw_prime_samples
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


def write_report(folder: Path, reading: Reading, weights: Path) -> RecallReport:
    """Write the files of a finished model's report into a folder, each whole or not at all, and log its tables.

    Rows by epoch and balance.yaml, which a run wrote there while it trained, go onto the page. Returns the report with
    its details. Raises OSError where a file cannot be written.

    Args:
        folder: Folder of the files.
        reading: One validation of the model.
        weights: File or folder of the model after its last change; without a SHA-256 if it is neither.
    """
    full = reading.with_details()
    known = {"weights": plain(weights.name), "weights_sha256": sha256(weights) if weights.exists() else None}
    full = replace(full, report=replace(full.report, weights_sha256=known["weights_sha256"]))
    page = render(
        full,
        history=read_history(folder) if (folder / RECALL_ROWS).exists() else (),
        exposure=read_exposure(folder) if (folder / EXPOSURE).exists() else None,
        weights=BalanceFile.load(folder).classes if (folder / BALANCE).exists() else None,
    )
    thresholds = Thresholds.of(full.report, full.conditions.model_copy(update=known))
    chosen_on = " ".join(sorted(image_ids(full.outcomes.files)))
    with written_together(folder) as together:  # a full disk leaves no new recall beside old thresholds
        full.report.save(together / RECALL)
        thresholds.model_copy(update={"chosen_on": chosen_on}).save(together / THRESHOLDS)
        write_whole(together / PAGE, page)
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


def write_run(
    folder: Path,
    validator: RecallValidatorMixin,
    *,
    steps: int,
    train_seconds: float,
    baseline: RecallReport | None = None,
    calibrated: Calibrated | None = None,
) -> RecallReport:
    """Write the files of best.pt, recall.json after those that `compare` reads; else as `write_report`.

    Args:
        folder: Folder of the run.
        validator: Validator of best.pt after its last validation; with its `plots`, the prime samples are drawn.
        steps: Optimiser steps of the training.
        train_seconds: Seconds spent in the epochs' batches, without validation.
        baseline: Report to compare with.
        calibrated: Calibration of best.pt; its boxes are those that `compare` reads.
    """
    calibrated = calibrated or Calibrated()
    reading = reading_of(validator, baseline=baseline, title=str(folder), note=calibrated.note)
    budgets = [budget.false_alarms for budget in reading.report.budgets]
    task, metrics = validator.args.task, validator.metrics
    map50_95 = TASK2METRIC[task]
    Measured(
        map50_95=float(metrics.results_dict[map50_95]),
        map50=float(metrics.results_dict[map50_95.replace("mAP50-95", "mAP50")]),
        ap50={name: scores.ap50 for name, scores in validator.class_scores.items()},
        steps=steps,
        train_seconds=train_seconds,
    ).save(folder)
    Detections.of(calibrated.held_out or reading.outcomes, reading.names, budgets).save(folder)
    report = write_report(folder, reading, folder / WEIGHTS / BEST)
    if reading.note:
        LOGGER.info(reading.note)
    if validator.args.plots:
        panels = {f"best.pt on {report.split}": PrimeSamples.of(reading.outcomes)}
        draw_prime_samples(folder / PRIME_SAMPLES, panels, reading.names)
    return report
