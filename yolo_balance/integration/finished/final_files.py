"""Files and log of a finished run's best.pt: for `compare`, for pipelines and for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ultralytics.cfg import TASK2METRIC
from ultralytics.utils import LOGGER

from yolo_balance.integration.finished import recall_files
from yolo_balance.recall import Outcomes, PrimeSamples, RecallReport
from yolo_balance.recall.split_reading import Reading
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.names import PRIME_SAMPLES
from yolo_balance.views.recall.prime_sample_plots import prime_samples as draw_prime_samples

METRIC = {"detect": "box", "obb": "box", "segment": "seg", "pose": "pose"}
"""The task's own average precision, as an attribute of Ultralytics' metrics."""


def measured(metrics: Any, task: str, names: Sequence[str], *, steps: int, train_seconds: float) -> Measured:
    """Return precision and training time of a run.

    Args:
        metrics: Ultralytics' metrics of the last validation of best.pt.
        task: Ultralytics' task.
        names: C class names by class id.
        steps: Optimiser steps of the training.
        train_seconds: Seconds spent in the epochs' batches, without validation.
    """
    map50_95, precision = TASK2METRIC[task], getattr(metrics, METRIC[task])
    return Measured(
        map50_95=float(metrics.results_dict[map50_95]),
        map50=float(metrics.results_dict[map50_95.replace("mAP50-95", "mAP50")]),
        ap50={names[int(c)]: float(value) for c, value in zip(precision.ap_class_index, precision.ap50, strict=True)},
        steps=steps,
        train_seconds=train_seconds,
    )


def write(
    folder: Path, reading: Reading, measures: Measured, *, held_out: Outcomes | None = None, plots: bool = False
) -> RecallReport:
    """Write the files, recall.json after those that `compare` reads, and log the tables.

    Args:
        folder: Folder of the run.
        reading: The last reading of best.pt.
        measures: Precision and training time.
        held_out: Boxes that `compare` reads in place of the reading's, None for the same.
        plots: Whether the prime samples are drawn.

    Returns:
        The report with its details.

    Raises:
        OSError: A file cannot be written.
    """
    budgets = [budget.false_alarms for budget in reading.report.budgets]
    measures.save(folder)
    Detections.of(held_out or reading.outcomes, reading.names, budgets).save(folder)
    report, files = recall_files.write(folder, reading)
    LOGGER.info(recall_files.summary(report, files))
    if reading.note:
        LOGGER.info(reading.note)
    if plots:
        panels = {f"best.pt on {report.split}": PrimeSamples.of(reading.outcomes)}
        draw_prime_samples(folder / PRIME_SAMPLES, panels, reading.names)
    return report
