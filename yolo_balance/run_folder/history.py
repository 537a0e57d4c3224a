"""What a run wrote while it trained, read back: recall per epoch, and the shares of boxes it was shown."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

from yolo_balance.errors import DataError
from yolo_balance.files import csv_name
from yolo_balance.recall.evidence.verdicts import Bounds
from yolo_balance.recall.report import COLUMNS

T = TypeVar("T")


@dataclass(frozen=True)
class EpochRecall:
    """One row of `recall.csv`.

    Attributes:
        epoch: Counted from 1.
        name: The class.
        budget: False boxes per clean image allowed.
        n: Objects.
        hits: Those found.
        recall: hits / n; None without objects.
        bounds: Its interval, clustered by image; None without objects.
        threshold: Confidence.
        false_alarms: False boxes per clean image at it.
    """

    epoch: int
    name: str
    budget: float
    n: int
    hits: int
    recall: float | None
    bounds: Bounds | None
    threshold: float
    false_alarms: float


@dataclass(frozen=True)
class Shares:
    """Of all boxes, those of a class: in the data, asked for, drawn, and left in the batches after cropping."""

    natural: float
    requested: float
    drawn: float
    reached: float


@dataclass(frozen=True)
class ClassExposure:
    """Shares of a class in a run's last epoch, and their mean over its epochs."""

    last: Shares
    mean: Shares


def read_history(path: str | Path) -> tuple[EpochRecall, ...]:
    """The rows of a run's `recall.csv`, in its order.

    Raises:
        DataError: The file cannot be read or is no such file.
    """

    def read(row: Mapping[str, str]) -> EpochRecall:
        return EpochRecall(
            int(row["epoch"]),
            csv_name(row["class"]),
            float(row["budget"]),
            int(row["n"]),
            int(row["hits"]),
            float(row["recall"]) if row["recall"] else None,
            (float(row["clustered_low"]), float(row["clustered_high"])) if row["clustered_low"] else None,
            float(row["threshold"]),
            float(row["false_alarms"]),
        )

    return tuple(_read(Path(path), COLUMNS, read))


def read_exposure(path: str | Path) -> dict[str, ClassExposure]:
    """By class name what a run's `exposure.csv` says; empty if no epoch has ended.

    Raises:
        DataError: The file cannot be read or is no such file.
    """
    keys = ("natural", "requested", "drawn", "reached")

    def read(row: Mapping[str, str]) -> tuple[int, str, Shares]:
        return int(row["epoch"]), csv_name(row["class"]), Shares(*(float(row[key]) for key in keys))

    epochs: dict[str, list[tuple[int, Shares]]] = defaultdict(list)
    for epoch, name, found in _read(Path(path), ("epoch", "class", *keys), read):
        epochs[name].append((epoch, found))
    return {
        name: ClassExposure(
            last=max(rows, key=lambda row: row[0])[1],
            mean=Shares(*(sum(column) / len(rows) for column in zip(*(astuple(s) for _, s in rows), strict=True))),
        )
        for name, rows in epochs.items()
    }


def _read(path: Path, columns: Sequence[str], row_of: Callable[[Mapping[str, str]], T]) -> Iterator[T]:
    try:
        with path.open(newline="", encoding="utf-8") as f:
            rows = csv.DictReader(f)
            if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
                raise DataError(f"{path}: expected columns {', '.join(columns)}, got none called {', '.join(missing)}")
            for row in rows:
                try:
                    yield row_of(row)
                except (TypeError, ValueError) as e:  # a row that is too short has None
                    raise DataError(f"{path}, line {rows.line_num}: expected numbers as in {columns}, got {e}") from e
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path}: expected a CSV file, got {e}") from e
