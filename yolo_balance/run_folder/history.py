"""Rows that a run adds after each epoch: exposure.csv (shares of boxes), recall.csv, feedback.csv (factors)."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from yolo_balance.arrays import Bools, Floats
from yolo_balance.bounded_files import problem_line, read_text, reason
from yolo_balance.errors import DataError
from yolo_balance.files import csv_name, csv_text, reach_disk
from yolo_balance.ranges import Amount, Confidence, Count, Share
from yolo_balance.recall.report import COLUMNS as RECALL_COLUMNS
from yolo_balance.recall.report import ClassScores, RecallReport
from yolo_balance.run_folder.names import EXPOSURE, FEEDBACK, RECALL_ROWS
from yolo_balance.sampling.exposure import COLUMNS as EXPOSURE_COLUMNS
from yolo_balance.sampling.exposure import Exposure
from yolo_balance.text import plain

T = TypeVar("T")
MOST_BYTES = 256 << 20
"""Size above which a table is none of a run; 300 epochs of 1,200 classes at two budgets have 72 MiB."""
KEY = ("epoch", "class", "budget")
"""Columns that no two rows of a table have in common."""
FEEDBACK_COLUMNS = ("epoch", "class", "n", "recall", "low", "smoothed", "factor", "frozen")


@dataclass(frozen=True)
class EpochRecall:
    """One row of `recall.csv`: a class at an epoch, counted from 1, as in `ClassRecall`.

    Attributes:
        budget: False boxes per clean image allowed.
        false_alarms: False boxes per clean image at the threshold.
    """

    epoch: Count
    name: str
    budget: Amount
    n: Count
    hits: Count
    recall: Share | None
    bounds: tuple[Share, Share] | None
    threshold: Confidence
    false_alarms: Amount

    def __post_init__(self) -> None:
        """Refuse a row that cannot be; raises ValueError that begins with the column."""
        if self.hits > self.n:
            raise ValueError(f"hits: expected 0 to n = {self.n}, got {self.hits}")


@dataclass(frozen=True)
class Shares:
    """Share of one class in all boxes: in the data, asked for, drawn, and left in the batches after augmentation."""

    natural: Share
    requested: Share
    drawn: Share
    reached: Share


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


@dataclass(frozen=True)
class _ExposureRow:
    epoch: Count
    name: str
    natural: Share
    requested: Share
    drawn: Share
    reached: Share


@dataclass(frozen=True)
class _FeedbackRow:
    epoch: Count
    name: str
    n: Count
    recall: Share | None
    low: Share | None
    factor: Amount
    frozen: Literal["0", "1"]


def append_exposure(folder: Path, epoch: int, exposure: Exposure) -> None:
    """Append the boxes of an epoch, counted from 1, to `exposure.csv`."""
    _append(folder / EXPOSURE, EXPOSURE_COLUMNS, exposure.rows(epoch))


def append_recall(
    folder: Path, epoch: int, report: RecallReport, scores: Mapping[str, ClassScores] | None = None
) -> None:
    """Append the report of an epoch, counted from 1, and the scores of its classes to `recall.csv`."""
    _append(folder / RECALL_ROWS, RECALL_COLUMNS, report.rows(epoch, scores))


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
    needed = [column for column in RECALL_COLUMNS if column not in ClassScores._fields]  # older files lack these
    return tuple(_read(folder / RECALL_ROWS, needed, EpochRecall))


def read_exposure(folder: Path) -> dict[str, ClassExposure]:
    """Return the shares in `exposure.csv` by class name; raises DataError where they cannot be read."""
    epochs: dict[str, list[tuple[int, Shares]]] = defaultdict(list)
    for row in _read(folder / EXPOSURE, EXPOSURE_COLUMNS[:-1], _ExposureRow):
        epochs[row.name].append((row.epoch, Shares(row.natural, row.requested, row.drawn, row.reached)))
    return {
        name: ClassExposure(
            last=max(rows, key=lambda row: row[0])[1],
            mean=Shares(*(sum(column) / len(rows) for column in zip(*(astuple(s) for _, s in rows), strict=True))),
        )
        for name, rows in epochs.items()
    }


def read_feedback(folder: Path) -> dict[str, list[ClassFeedback]]:
    """Return the rows of `feedback.csv` by class name; raises DataError where they cannot be read."""
    classes: dict[str, list[ClassFeedback]] = defaultdict(list)
    for row in _read(folder / FEEDBACK, FEEDBACK_COLUMNS, _FeedbackRow):
        recall, low = (math.nan if value is None else value for value in (row.recall, row.low))
        classes[row.name].append(ClassFeedback(row.epoch, row.n, recall, low, row.factor, row.frozen == "1"))
    return dict(classes)


def _append(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Append rows to a CSV file at once, with a header if the file is new or empty.

    An older file keeps the columns that it has.
    """
    known, content = _header(path), io.StringIO()
    rows = [row[: len(known)] for row in rows] if known else rows
    csv.writer(content).writerows(rows if known else [columns, *rows])
    with path.open("a", newline="", encoding="utf-8") as f:
        f.write(content.getvalue())
    reach_disk(path)  # before the checkpoint of the epoch does


def _header(path: Path) -> list[str]:
    """Return the columns of a CSV file; empty for a file that is not there or empty."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as f:
        return next(csv.reader(f), [])


def _decimals(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.5f}"


def _read(path: Path, columns: Sequence[str], kind: type[T]) -> Iterator[T]:
    """Yield a row of a declared type for each line; raises DataError that names the line and the column."""
    try:
        rows = csv.DictReader(io.StringIO(read_text(path, MOST_BYTES), newline=""))
        if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
            raise DataError(
                f"{plain(str(path))}: expected columns {', '.join(columns)}, got none called {', '.join(missing)}"
            )
        adapter, seen = TypeAdapter(kind), set[tuple[str, ...]]()
        for row in rows:
            place = f"{plain(str(path))}, line {rows.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{place}: expected {len(rows.fieldnames or ())} fields")
            if (key := tuple(row[column] for column in KEY if column in row)) in seen:
                raise DataError(f"{place}: expected one row of {', '.join(map(plain, key))}, got another")
            seen.add(key)
            try:
                yield adapter.validate_python(_fields(row))
            except ValidationError as e:
                raise DataError(f"{place}: {problem_line(e)}") from e
    except (OSError, ValueError, csv.Error) as e:
        raise DataError(f"{plain(str(path))}: expected a CSV file, got {reason(e)}") from e


def _fields(row: Mapping[str, str]) -> dict[str, object]:
    """Return the fields of a row by name; an empty one is None."""
    given: dict[str, object] = {column: text or None for column, text in row.items()}
    bounds = given.get("clustered_low"), given.get("clustered_high")
    return {**given, "name": csv_name(row["class"]), "bounds": None if bounds == (None, None) else bounds}
