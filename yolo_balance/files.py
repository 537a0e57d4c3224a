"""Writing files whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that a reader, or a run that is killed, finds the old content or the new one.

    What is no Unicode, as bytes of a file name may be, is written as escapes. Raises OSError where that fails.
    """
    with _partial(path) as partial:
        partial.write_bytes(text.encode("utf-8", "backslashreplace"))


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
