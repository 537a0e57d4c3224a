"""Rows by epoch of a run that goes on from an earlier epoch: which stay, and what of a damaged file is whole."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from yolo_balance.files import write_whole
from yolo_balance.recall.report import COLUMNS as RECALL_COLUMNS
from yolo_balance.run_folder.history import FEEDBACK_COLUMNS
from yolo_balance.run_folder.names import EPOCH_ROWS, EXPOSURE, FEEDBACK, RECALL_ROWS, RESULTS
from yolo_balance.sampling.exposure import COLUMNS as EXPOSURE_COLUMNS
from yolo_balance.text import counted, listed

COLUMNS = {EXPOSURE: EXPOSURE_COLUMNS, RECALL_ROWS: RECALL_COLUMNS, FEEDBACK: FEEDBACK_COLUMNS}
KEY = ("class", "budget")
"""Columns that tell the rows of one epoch apart."""
Row = list[str]
Results = Mapping[str, Sequence[float | str | None]]
"""Columns of results.csv by name."""


def keep_epochs(folder: Path, last: int, results: Results | None = None) -> list[str]:
    """Drop the rows after epoch `last`, which a run that goes on from there writes again, and repair damaged files.

    A file is damaged where its header is lost, its last line does not end, or a row is no row: a power cut leaves
    files empty, short, or with null characters at their end. Whole rows stay, of doubled ones the last. Each file is
    written whole, and only where it changes.

    Args:
        folder: Folder of the run.
        last: Last epoch, from 1, whose rows stay.
        results: Columns of results.csv that a checkpoint holds; they replace lost rows.

    Returns:
        A line for each damaged file.
    """
    remarks = []
    for name in (*EPOCH_ROWS, RESULTS):
        path, known = folder / name, results if name == RESULTS and results else {}
        if not path.exists() and not known:
            continue
        content = path.read_bytes() if path.exists() else b""
        header, rows, dropped = _whole_rows(content, COLUMNS.get(name) or list(known))
        kept = {_key(header, row): row for row in rows if _epoch(row) <= last}
        restored = _restored(known, header, {_epoch(row) for row in kept.values()}, last)
        ordered = sorted([*kept.values(), *restored], key=_epoch)
        if dropped or not header or ordered != rows:
            text = io.StringIO()
            end = "\n" if name == RESULTS else "\r\n"  # as their writers end lines
            csv.writer(text, lineterminator=end).writerows([header, *ordered])
            if header:
                write_whole(path, text.getvalue())
            else:  # Ultralytics writes a header into a new file only
                path.unlink()
        if dropped or restored or not header:
            gaps = sorted({*range(1, last + 1)} - {_epoch(row) for row in ordered})
            lost = f"; no row is left of epoch {listed([*map(str, gaps)], 5)}" if gaps else ""
            again = f", {len(restored)} restored from the checkpoint" if restored else ""
            remarks.append(f"{path}: was damaged; {counted(len(kept), 'whole row')} kept{again}{lost}")
    return remarks


def _whole_rows(content: bytes, columns: Sequence[str]) -> tuple[Row, list[Row], bool]:
    """Return the header, the whole rows, and whether anything of the file was damaged."""
    text = content.replace(b"\0", b"").decode("utf-8", "replace")
    whole = text[: text.rfind("\n") + 1]
    rows: list[Row] = []
    with suppress(csv.Error):  # a quote that never ends
        rows.extend(csv.reader(io.StringIO(whole, newline="")))
    damaged = b"\0" in content or whole != text
    if rows and rows[0][:1] == ["epoch"]:
        header = rows.pop(0)
    else:
        header, damaged = list(columns), True
    found = [row for row in rows if _is_whole(header, row)]
    return header, found, damaged or len(found) < len(rows)


def _is_whole(header: Row, row: Row) -> bool:
    if len(row) != len(header):
        return False
    try:
        numbers = [float(field or "nan") for name, field in zip(header, row, strict=True) if name != "class"]
    except ValueError:
        return False
    return math.isfinite(numbers[0]) and numbers[0] >= 1


def _epoch(row: Row) -> int:
    return int(float(row[0]))


def _key(header: Row, row: Row) -> tuple[object, ...]:
    return (_epoch(row), *(field for name, field in zip(header, row, strict=True) if name in KEY))


def _restored(columns: Results, header: Row, there: set[int], last: int) -> list[Row]:
    """Return the rows of the columns whose epochs are up to `last` and not there."""
    if set(columns) != set(header):
        return []
    rows = zip(*(columns[name] for name in header), strict=True)
    try:
        texts = [["" if value is None else f"{float(value):.6g}" for value in row] for row in rows]
    except ValueError:  # columns of another length, or of text
        return []
    return [row for row in texts if _epoch(row) <= last and _epoch(row) not in there]
