"""Console tables as lines of text."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table


def plain_text(table: Table) -> str:
    """A table as lines of text, for logs and notebooks alike, never folded to a terminal's width."""
    console = Console(width=1000, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
