"""Rows that a run adds after each epoch: exposure.csv (shares of boxes), recall.csv, feedback.csv (factors)."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from yolo_balance.arrays import Bools, Floats
from yolo_balance.errors import DataError
from yolo_balance.files import csv_name, csv_text, reach_disk
from yolo_balance.recall.evidence.verdicts import Bounds
from yolo_balance.recall.report import COLUMNS as RECALL_COLUMNS
from yolo_balance.recall.report import RecallReport
from yolo_balance.run_folder.names import EXPOSURE, FEEDBACK, RECALL_ROWS
from yolo_balance.sampling.exposure import COLUMNS as EXPOSURE_COLUMNS
from yolo_balance.sampling.exposure import Exposure

T = TypeVar("T")
FEEDBACK_COLUMNS = ("epoch", "class", "n", "recall", "low", "smoothed", "factor", "frozen")


@dataclass(frozen=True)
class EpochRecall:
    """One row of `recall.csv`: a class at an epoch, counted from 1, as in `ClassRecall`.

    Attributes:
        budget: False boxes per clean image allowed.
        false_alarms: False boxes per clean image at the threshold.
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
    """Share of one class in all boxes: in the data, asked for, drawn, and left in the batches after augmentation."""

    natural: float
    requested: float
    drawn: float
    reached: float


@dataclass(frozen=True)
class ClassExposure:
    """Shares of a class in a run's last epoch, and their mean over its epochs."""

    last: Shares
    mean: Shares


class ClassFeedback(NamedTuple):
    """One row of `feedback.csv`: objects, recall and its lower bound (NaN without objects), and the next factor."""

    epoch: int
    n: int
    recall: float
    low: float
    factor: float
    frozen: bool


def append_exposure(folder: Path, epoch: int, exposure: Exposure) -> None:
    """Append the boxes of an epoch, counted from 1, to `exposure.csv`."""
    _append(folder / EXPOSURE, EXPOSURE_COLUMNS, exposure.rows(epoch))


def append_recall(folder: Path, epoch: int, report: RecallReport) -> None:
    """Append the report of an epoch, counted from 1, to `recall.csv`."""
    _append(folder / RECALL_ROWS, RECALL_COLUMNS, report.rows(epoch))


def append_feedback(
    folder: Path,
    epoch: int,
    names: Sequence[str],
    report: RecallReport,
    *,
    smoothed: Floats,
    factors: Floats,
    moved: Bools,
) -> None:
    """Append the report of an epoch, counted from 1, to `feedback.csv`; fields without data are empty.

    `smoothed` is recall smoothed over epochs, NaN without data, `factors` those from the next epoch on, and `moved`
    whether the report changed the smoothed recall of the class; (C,) each, as `names`.
    """
    rows = []
    for name, s, factor, changed in zip(names, smoothed, factors, moved, strict=True):
        row = report.budgets[0].classes[name]
        numbers = map(_decimals, (row.recall, row.low, s, factor))
        rows.append((str(epoch), csv_text(name), str(row.n), *numbers, str(int(not changed))))
    _append(folder / FEEDBACK, FEEDBACK_COLUMNS, rows)


def read_history(folder: Path) -> tuple[EpochRecall, ...]:
    """Return the rows of `recall.csv` in the order of the file; raises DataError where they cannot be read."""

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

    return tuple(_read(folder / RECALL_ROWS, RECALL_COLUMNS, read))


def read_exposure(folder: Path) -> dict[str, ClassExposure]:
    """Return the shares in `exposure.csv` by class name; raises DataError where they cannot be read."""
    keys = ("natural", "requested", "drawn", "reached")

    def read(row: Mapping[str, str]) -> tuple[int, str, Shares]:
        return int(row["epoch"]), csv_name(row["class"]), Shares(*(float(row[key]) for key in keys))

    epochs: dict[str, list[tuple[int, Shares]]] = defaultdict(list)
    for epoch, name, found in _read(folder / EXPOSURE, ("epoch", "class", *keys), read):
        epochs[name].append((epoch, found))
    return {
        name: ClassExposure(
            last=max(rows, key=lambda row: row[0])[1],
            mean=Shares(*(sum(column) / len(rows) for column in zip(*(astuple(s) for _, s in rows), strict=True))),
        )
        for name, rows in epochs.items()
    }


def read_feedback(folder: Path) -> dict[str, list[ClassFeedback]]:
    """Return the rows of `feedback.csv` by class name; raises DataError where they cannot be read."""

    def read(row: Mapping[str, str]) -> tuple[str, ClassFeedback]:
        recall, low = (float(row[key] or "nan") for key in ("recall", "low"))
        found = ClassFeedback(int(row["epoch"]), int(row["n"]), recall, low, float(row["factor"]), row["frozen"] == "1")
        return csv_name(row["class"]), found

    classes: dict[str, list[ClassFeedback]] = defaultdict(list)
    for name, found in _read(folder / FEEDBACK, FEEDBACK_COLUMNS, read):
        classes[name].append(found)
    return dict(classes)


def _append(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Append rows to a CSV file at once, with a header if the file is new or empty."""
    new, content = not path.exists() or not path.stat().st_size, io.StringIO()
    csv.writer(content).writerows([columns, *rows] if new else rows)
    with path.open("a", newline="", encoding="utf-8") as f:
        f.write(content.getvalue())
    reach_disk(path)  # before the checkpoint of the epoch does


def _decimals(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.5f}"


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
