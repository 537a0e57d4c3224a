"""What a finished run says of its best.pt: files for `compare`, for pipelines and for people, and the log's tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ultralytics.cfg import TASK2METRIC
from ultralytics.utils import LOGGER

from yolo_balance.comparison import Detections, Measured, detections, run_figures
from yolo_balance.config import RecallConfig
from yolo_balance.integration.finished import recall_files
from yolo_balance.integration.finished.class_shifts import Calibrated
from yolo_balance.recall import PrimeSamples, RecallReport
from yolo_balance.run_folder import records
from yolo_balance.views.recall.prime_sample_plots import prime_samples as draw_prime_samples

FILES = (*recall_files.FILES, run_figures.FILE, detections.FILE, records.PRIME_SAMPLES)
METRIC = {"detect": "box", "obb": "box", "segment": "seg", "pose": "pose"}
"""The task's own average precision, as an attribute of the host's metrics."""


def write(
    folder: Path,
    validator: Any,
    options: RecallConfig,
    *,
    task: str,
    names: Sequence[str],
    steps: int,
    train_seconds: float,
    calibrated: Calibrated,
    baseline: RecallReport | None,
) -> RecallReport:
    """Write the files, recall.json after those that `compare` reads, and log the tables.

    Args:
        folder: Of the run.
        validator: Which has validated best.pt last.
        options: `balance.recall`.
        task: The host's.
        names: C class names by class id.
        steps: Optimiser steps of the training.
        train_seconds: Spent in the epochs' batches, validation aside.
        calibrated: What a calibration left, an empty one without.
        baseline: The report that this one is compared with.

    Returns:
        The report with its details.

    Raises:
        OSError: A file cannot be written.
    """
    host, outcomes, map50_95 = validator.metrics, validator.outcomes, TASK2METRIC[task]
    precision = getattr(host, METRIC[task])
    Measured(
        map50_95=float(host.results_dict[map50_95]),
        map50=float(host.results_dict[map50_95.replace("mAP50-95", "mAP50")]),
        ap50={names[int(c)]: float(value) for c, value in zip(precision.ap_class_index, precision.ap50, strict=True)},
        steps=steps,
        train_seconds=train_seconds,
    ).save(folder / run_figures.FILE)
    held_out = calibrated.held_out or outcomes
    Detections.of(held_out, names, options.false_alarms).save(folder / detections.FILE)
    full, files = recall_files.write(
        folder,
        validator.recall_report,
        outcomes,
        options,
        imgsz=validator.args.imgsz,
        nms_iou=validator.args.iou,
        baseline=baseline,
        title=str(folder),
        note=calibrated.note,
    )
    LOGGER.info(f"{recall_files.summary(full)}\n\nRecall per class saved to {', '.join(map(str, files))}")
    if calibrated.note:
        LOGGER.info(calibrated.note)
    if validator.args.plots:
        panels = {f"best.pt on {validator.args.split or 'val'}": PrimeSamples.of(outcomes)}
        draw_prime_samples(folder / records.PRIME_SAMPLES, panels, names)
    return full
