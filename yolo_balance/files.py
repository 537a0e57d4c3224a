"""Files: written whole or not at all, told by their content, and names in CSV files that a spreadsheet opens."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".part"
"""End of the name of a file that is not yet whole."""
GROWING, COMPLETE = f".growing{PARTIAL}", f".complete{PARTIAL}"
"""Folders of files that are written together: not yet all there; all there, not yet in their places."""
CHUNK = 1 << 20
DIGITS = 16
"""Hexadecimal digits of a SHA-256 by which an image is known: two of a million differ all the same."""
"""Bytes read at once."""


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole: a reader, or a run that is killed, finds the old content or the new one.

    Characters that UTF-8 cannot hold, such as stray bytes of a file name, are written as escapes. Raises
    OSError if the file cannot be written.
    """
    write_bytes_whole(path, text.encode("utf-8", "backslashreplace"))


def write_bytes_whole(path: Path, content: bytes) -> None:
    """Write a binary file whole, as `write_whole` does."""
    with written_whole(path) as partial:
        partial.write_bytes(content)


def copy_whole(source: Path, path: Path) -> None:
    """Copy a file whole, as `write_whole` writes one."""
    with written_whole(path) as partial:
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


def image_ids(files: Iterable[str]) -> list[str]:
    """Return what images are known by, wherever they are copied: 16 digits of a file's SHA-256, else its name."""
    return [sha256(file)[:DIGITS] if Path(file).is_file() else Path(file).name for file in files]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield the path of a partial file that replaces `path` at the end of the block, if the block has written it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        if partial.exists():
            reach_disk(partial)
            partial.replace(path)
            reach_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def written_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files replace those of `folder` at the end of the block: all of them or none.

    A run that is killed leaves the old files, or new ones that `tidy` moves to their places. An error in the block
    leaves the old files. Raises OSError if a file cannot be written.
    """
    growing = folder / GROWING
    shutil.rmtree(growing, ignore_errors=True)
    growing.mkdir(parents=True)
    if (folder / COMPLETE).is_dir():
        _move_complete(folder)
    try:
        yield growing
        for path in growing.iterdir():
            reach_disk(path)
        reach_disk(growing)
        growing.rename(folder / COMPLETE)  # from here on the new files count
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    _move_complete(folder)


def _move_complete(folder: Path) -> None:
    complete = folder / COMPLETE
    for path in sorted(complete.iterdir()):
        path.replace(folder / path.name)
    reach_disk(folder)
    complete.rmdir()


def tidy(folder: Path) -> None:
    """Finish in a folder what a killed run began: files written together move to their places, partial ones go.

    No other process may be writing into the folder.
    """
    if (folder / COMPLETE).is_dir():
        _move_complete(folder)
    shutil.rmtree(folder / GROWING, ignore_errors=True)
    for partial in folder.glob(f".*{PARTIAL}"):
        partial.unlink()


def reach_disk(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, would survive a power cut."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
