"""Files and log of a finished run's best.pt: for `compare`, for pipelines and for people."""

from __future__ import annotations

from pathlib import Path

from ultralytics.cfg import TASK2METRIC
from ultralytics.utils import LOGGER

from yolo_balance.integration.finished import recall_files
from yolo_balance.integration.finished.class_shifts import Calibrated
from yolo_balance.integration.finished.validate_once import reading_of
from yolo_balance.integration.hooks.validator import RecallValidatorMixin
from yolo_balance.recall import PrimeSamples, RecallReport
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.names import PRIME_SAMPLES
from yolo_balance.views.recall.prime_sample_plots import prime_samples as draw_prime_samples

METRIC = {"detect": "box", "obb": "box", "segment": "seg", "pose": "pose"}
"""The task's own average precision, as an attribute of Ultralytics' metrics."""


def write(
    folder: Path,
    validator: RecallValidatorMixin,
    *,
    steps: int,
    train_seconds: float,
    baseline: RecallReport | None = None,
    calibrated: Calibrated | None = None,
) -> RecallReport:
    """Write the files, recall.json after those that `compare` reads, and log the tables.

    Args:
        folder: Folder of the run.
        validator: Validator of best.pt after its last validation; with its `plots`, the prime samples are drawn.
        steps: Optimiser steps of the training.
        train_seconds: Seconds spent in the epochs' batches, without validation.
        baseline: Report to compare with.
        calibrated: Calibration of best.pt; its boxes are those that `compare` reads.

    Returns:
        The report with its details.

    Raises:
        OSError: A file cannot be written.
    """
    calibrated = calibrated or Calibrated()
    reading = reading_of(validator, baseline=baseline, title=str(folder), note=calibrated.note)
    budgets = [budget.false_alarms for budget in reading.report.budgets]
    task, metrics = validator.args.task, validator.metrics
    map50_95, precision = TASK2METRIC[task], getattr(metrics, METRIC[task])
    Measured(
        map50_95=float(metrics.results_dict[map50_95]),
        map50=float(metrics.results_dict[map50_95.replace("mAP50-95", "mAP50")]),
        ap50={
            reading.names[int(c)]: float(value)
            for c, value in zip(precision.ap_class_index, precision.ap50, strict=True)
        },
        steps=steps,
        train_seconds=train_seconds,
    ).save(folder)
    Detections.of(calibrated.held_out or reading.outcomes, reading.names, budgets).save(folder)
    report = recall_files.write(folder, reading)
    if reading.note:
        LOGGER.info(reading.note)
    if validator.args.plots:
        panels = {f"best.pt on {report.split}": PrimeSamples.of(reading.outcomes)}
        draw_prime_samples(folder / PRIME_SAMPLES, panels, reading.names)
    return report
