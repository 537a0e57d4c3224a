"""Files: written whole or not at all, told by their content, and names in CSV files that a spreadsheet opens."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK = 1 << 20
"""Bytes read at once."""


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole: a reader, or a run that is killed, finds the old content or the new one.

    Characters that UTF-8 cannot hold, such as stray bytes of a file name, are written as escapes. Raises
    OSError if the file cannot be written.
    """
    write_bytes_whole(path, text.encode("utf-8", "backslashreplace"))


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a binary file whole, as `write_whole` does."""
    with _partial(path) as partial:
        partial.write_bytes(content)


def copy_whole(source: Path, path: Path) -> None:
    """Copy a file whole, as `write_whole` writes one."""
    with _partial(path) as partial:
        shutil.copyfile(source, partial)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits; of a folder, that of its files' names and contents.

    Raises OSError if a file cannot be read.
    """
    digest, root = hashlib.sha256(), Path(path)
    for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if root.is_dir():
            digest.update(os.fsencode(file.relative_to(root).as_posix()) + b"\0")
        if not file.is_dir():
            with file.open("rb") as content:
                while chunk := content.read(CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def csv_text(name: str) -> str:
    """Return a name as a CSV field that a spreadsheet takes for text.

    A name that begins with = + - @, a tab or a carriage return would start a formula, so it gets an apostrophe in front
    (OWASP, CSV Injection). A name that already has apostrophes there gets one more, so that `csv_name` can undo it.

    Example:
        >>> csv_text("crack"), csv_text("=1+1"), csv_name("'=1+1")
        ('crack', "'=1+1", '=1+1')
    """
    return f"'{name}" if re.match(r"'*[=+\-@\t\r]", name) else name


def csv_name(field: str) -> str:
    """Return the name from which `csv_text` made this field."""
    return field[1:] if re.match(r"'+[=+\-@\t\r]", field) else field
