"""Writing files whole or not at all, and text that is safe in them."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a run that is killed, finds the old content or the new one.

    What is no Unicode, as bytes of a file name may be, is written as escapes. Raises OSError where that fails.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(text.encode("utf-8", "backslashreplace"))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def csv_text(text: str) -> str:
    """A name or path for a CSV field: one that a spreadsheet would read as a formula begins with an apostrophe."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
