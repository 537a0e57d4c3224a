"""The files a run leaves beside its weights."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from yolo_balance.arrays import Bools, Floats
from yolo_balance.config import BalanceConfig
from yolo_balance.files import csv_text, write_whole
from yolo_balance.losses import ClassFactors
from yolo_balance.recall import RecallReport
from yolo_balance.sampling import ClassStatistics, SamplingSchedule, class_plans

EXPOSURE, RECALL_ROWS, RECALL, BALANCE = "exposure.csv", "recall.csv", "recall.json", "balance.yaml"
FEEDBACK, PRIME_SAMPLES = "feedback.csv", "prime_samples.png"
BY_EPOCH = (EXPOSURE, RECALL_ROWS, FEEDBACK)
FEEDBACK_COLUMNS = ("epoch", "class", "n", "recall", "low", "smoothed", "factor", "frozen")


def append_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Append rows to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([columns, *rows] if new else rows)


def keep_epochs(path: Path, last: int) -> None:
    """Drop the rows after epoch `last`, which a run that resumes there writes again."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as f:
        header, *rows = csv.reader(f)
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([header, *(row for row in rows if int(row[0]) <= last)])


def feedback_rows(
    epoch: int, names: Sequence[str], report: RecallReport, smoothed: Floats, factors: Floats, moved: Bools
) -> list[tuple[str, ...]]:
    """One row per class in the order of FEEDBACK_COLUMNS; empty fields where there is no data."""
    classes = report.budgets[0].classes
    return [
        (
            str(epoch),
            csv_text(name),
            str(classes[name].n),
            *(_decimals(value) for value in (classes[name].recall, classes[name].low, s, factor)),
            str(int(not told)),
        )
        for name, s, factor, told in zip(names, smoothed, factors, moved, strict=True)
    ]


def _decimals(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.5f}"


def resolved(
    config: BalanceConfig,
    statistics: ClassStatistics,
    names: Sequence[str],
    schedule: SamplingSchedule | None,
    factors: ClassFactors | None,
) -> dict[str, Any]:
    """What the configuration became: its options with defaults; on this data, counts, factors and shares by class."""
    expectation = np.ones(statistics.num_images) if schedule is None else schedule.balanced.expectation
    losses = config.losses
    classes = {name: asdict(plan) for name, plan in class_plans(statistics, names, schedule).items()}
    if factors is not None and factors.by_loss:
        for row, weights in zip(classes.values(), factors.rows(), strict=True):
            row.update(weights)
    return {
        "options": (config if losses is None else config.model_copy(update={"losses": losses.resolved()})).model_dump(),
        "images": statistics.num_images,
        "background_images": int(statistics.background.sum()),
        "images_per_epoch": statistics.num_images if schedule is None else schedule.size,
        "background_share": round(float(expectation[statistics.background].sum() / expectation.sum()), 5),
        "classes": classes,
    }


def write_balance(path: Path, config: BalanceConfig, resolution: Any) -> None:
    """Write `balance.yaml`: the configuration as asked, and as resolved on the data."""
    content = {"balance": config.model_dump(exclude_unset=True), "resolved": resolution}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def add_resolved(path: Path, key: str, resolution: Any) -> None:
    """Add to what `balance.yaml` says of the resolution, whole or not at all."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["resolved"][key] = resolution
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
