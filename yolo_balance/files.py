"""Writing files whole or not at all, and names into CSV files that a spreadsheet opens."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a run that is killed, finds the old content or the new one.

    What is no Unicode, as bytes of a file name may be, is written as escapes. Raises OSError where that fails.
    """
    write_bytes_whole(path, text.encode("utf-8", "backslashreplace"))


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a binary file in the same way."""
    with _partial(path) as partial:
        partial.write_bytes(content)


def copy_whole(source: Path, path: Path) -> None:
    """Copy a file in the same way."""
    with _partial(path) as partial:
        shutil.copyfile(source, partial)


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def csv_text(name: str) -> str:
    """A name as a CSV field that a spreadsheet takes for text.

    One that begins with = + - @, a tab or a carriage return, which start a formula, gets an apostrophe before it
    (OWASP, CSV Injection); so does one that already has apostrophes there, or `csv_name` could not tell them apart.

    Example:
        >>> csv_text("crack"), csv_text("=1+1"), csv_name("'=1+1")
        ('crack', "'=1+1", '=1+1')
    """
    return f"'{name}" if re.match(r"'*[=+\-@\t\r]", name) else name


def csv_name(field: str) -> str:
    """The name that `csv_text` made this field of."""
    return field[1:] if re.match(r"'+[=+\-@\t\r]", field) else field
