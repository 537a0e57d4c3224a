"""Console tables as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yolo_balance.text import plain

MOST_CLASSES = 30
"""Classes in a console table; a data set may have a thousand, and a log has a table an epoch."""


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], align: str = "lr", *, gap: int = 3) -> str:
    """Draw a table as lines of text, for logs and notebooks alike, never folded to a terminal's width.

    Args:
        headings: One for each column; a heading may have several lines.
        rows: Cells. Missing cells at the end of a row are empty. A cell is data: it stays in its line.
        align: `l` or `r` for each column; the last letter stands for all columns after it.
        gap: Spaces between columns.
    """
    drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for heading, side in zip(headings, align.ljust(len(headings), align[-1]), strict=True):
        drawn.add_column(Text(heading), justify="left" if side == "l" else "right")
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    console = Console(width=1000, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def class_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    ranks: Sequence[tuple[float, ...]],
    align: str = "lr",
    *,
    which: str,
    file: str,
    before: Sequence[Sequence[str]] = (),
    after: Sequence[Sequence[str]] = (),
    gap: int = 3,
) -> str:
    """Draw a table with a row for each class; of many classes, MOST_CLASSES and a line on the others.

    Args:
        headings: As in `table`.
        rows: The row of each class.
        ranks: A rank for each class; those with the smallest ranks are shown, in the order of `rows`.
        align: As in `table`.
        which: The classes that are shown, in words.
        file: The file that holds all classes.
        before: Rows that are no classes, above them.
        after: Rows that are no classes, below them.
        gap: As in `table`.
    """
    shown = sorted(sorted(range(len(rows)), key=ranks.__getitem__)[:MOST_CLASSES])
    lines = [table(headings, [*before, *(rows[i] for i in shown), *after], align, gap=gap)]
    if len(shown) < len(rows):
        lines.append(
            f"{len(shown)} of {len(rows):,} classes are shown, {which}; {len(rows) - len(shown):,} more are in {file}"
        )
    return "\n".join(lines)


def rare_first(counts: Iterable[int]) -> list[tuple[float, ...]]:
    """Return ranks by which classes with few boxes come first, and those with none last."""
    return [(count or math.inf,) for count in counts]
