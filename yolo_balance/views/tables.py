"""Console tables as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from yolo_balance.text import plain


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
