"""The files a run leaves beside its weights."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.table import Table
from rich.text import Text

from yolo_balance.config import BalanceConfig
from yolo_balance.recall.table import plain_text
from yolo_balance.sampling import ClassStatistics, Exposure, SamplingPlan
from yolo_balance.sampling.statistics import Floats, Ints

EXPOSURE, RECALL_ROWS, RECALL, BALANCE = "exposure.csv", "recall.csv", "recall.json", "balance.yaml"


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


def resolved(
    config: BalanceConfig,
    statistics: ClassStatistics,
    class_factors: Floats,
    exposure: Exposure,
    plan: SamplingPlan | None,
) -> dict[str, Any]:
    """What the configuration became: its options with defaults; on this data, counts, factors and shares by class."""
    columns: dict[str, Floats | Ints] = {
        "images": statistics.images,
        "boxes": statistics.boxes,
        "natural": exposure.natural.round(5),
        "repeat_factor": class_factors.round(4),
        "requested": exposure.requested.round(5),
    }
    return {
        "options": config.model_dump(),
        "images": statistics.num_images,
        "background_images": int(statistics.background.sum()),
        "images_per_epoch": statistics.num_images if plan is None else plan.size,
        "classes": {
            name: {key: value[i].item() for key, value in columns.items()} for i, name in enumerate(exposure.names)
        },
    }


def write_balance(path: Path, config: BalanceConfig, resolution: Any) -> None:
    """Write `balance.yaml`: the configuration as asked, and as resolved on the data."""
    content = {"balance": config.model_dump(exclude_unset=True), "resolved": resolution}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def plan_table(resolution: Any) -> str:
    """The resolution as a console table, one line per class."""
    title = (
        f"Balance: {resolution['images']} train images, {resolution['background_images']} of them background, "
        f"{resolution['images_per_epoch']} shown per epoch"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("class", "images", "boxes", "share of boxes", "repeat factor", "share asked for"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, row in resolution["classes"].items():
        table.add_row(
            Text(name),
            str(row["images"]),
            str(row["boxes"]),
            f"{row['natural']:.2%}",
            f"{row['repeat_factor']:.2f}",
            f"{row['requested']:.2%}",
        )
    return f"{title}\n{plain_text(table)}"
