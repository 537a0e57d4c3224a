"""Files of a source, and the images there that Ultralytics passes over: in sub-folders, hidden, of other suffixes."""

from __future__ import annotations

import csv
import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ultralytics.data.loaders import LoadImagesAndVideos
from ultralytics.data.utils import IMG_FORMATS, VID_FORMATS

from yolo_balance.bounded_files import read_bytes, reason
from yolo_balance.integration.prediction.file_names import video_problems
from yolo_balance.text import counted, listed, plain

IMAGE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|II[*+]\0|MM\0[*+]|BM.{4}\0{4}|P[1-7]\s+[#\d]|RIFF.{4}WEBP|.{4}ftyp|\0{3}\x0cjP|"
    rb"\xff\x4f\xff\x51|GIF8|v/1\x01|#\?RAD|.{128}DICM",
    re.DOTALL,
)
"""First bytes of an image file: JPEG, PNG, TIFF, BMP, PNM, WebP, AVIF and HEIC, JPEG 2000, GIF, EXR, HDR, DICOM."""

MOST_BYTES = 256 << 20
"""Size above which a file lists no images."""


def source_files(source: str | Path) -> tuple[list[str], list[str]]:
    """Return the files that Ultralytics reads of a source, and a line if there are none; a source has to be on disk."""
    try:
        paths = _paths(str(source))
    except (OSError, ValueError, csv.Error) as e:
        return [], [f"source: {plain(str(source))} cannot be read ({reason(e)})"]
    entries = [glob.glob(f"{glob.escape(path)}/*") if os.path.isdir(path) else [path] for path in paths]
    if problems := video_problems([file for files in entries for file in files]):
        return [], problems
    try:
        loader = LoadImagesAndVideos(source)
    except Exception:  # nothing there, or nothing that is read
        what = "expected an image, a video, a folder or glob of them, or a .txt or .csv file that lists them"
        there = passed_over(source, [])
        return [], [f"source: {line}" for line in there or [f"{what}, got {plain(str(source))}"]]
    if loader.cap is not None:
        loader.cap.release()
    waiting = [file for file in loader.files if os.path.exists(file) and not os.path.isfile(file)]
    return list(loader.files), [f"source: expected files, got the pipe or device {plain(file)}" for file in waiting]


def passed_over(source: str | Path, files: Iterable[str]) -> list[str]:
    """Return a line for each reason why images of a source are not among the files that Ultralytics reads.

    A file is an image if it has a suffix that Ultralytics reads, or if it begins as an image file does.
    """
    root, closed, found = os.path.abspath(source), list[str](), set[str]()
    for path in _paths(root):
        if os.path.isdir(path):
            found |= _below(path, closed)
        else:
            found.add(path)
    whole = os.path.isdir(root)
    base = root if whole else os.path.dirname(root.partition("*")[0])

    def shown(path: str) -> str:
        return os.path.relpath(path, root) if whole else path

    def read(file: str) -> bool:
        """Whether Ultralytics reads a file of this name where its folder is searched."""
        hidden = any(part.startswith(".") and part != ".." for part in Path(os.path.relpath(file, base)).parts)
        return not hidden and Path(file).suffix[1:].lower() in IMG_FORMATS | VID_FORMATS

    images = [file for file in sorted(found - set(files)) if os.path.isfile(file) and (read(file) or _begins(file))]
    deeper = [file for file in images if read(file)]
    other = [plain(shown(file)) for file in images if not read(file)]
    lines = []
    if deeper:
        folders = listed(sorted({f"{plain(shown(os.path.dirname(file)))}/" for file in deeper}))
        hint = f" ({plain(glob.escape(str(source)).rstrip('/'))}/**/* reads them)" if whole else ""
        lines.append(f"not judged: {counted(len(deeper), 'image')} in {folders}{hint}")
    if other:
        count = counted(len(other), "image")
        lines.append(f"not judged: {count} of a name or suffix that is not read, {listed(other)}")
    lines += [f"not judged: the folder {plain(shown(path))}/, which cannot be opened" for path in closed]
    return lines


def _paths(source: str) -> Sequence[str]:
    """Return the files and folders that a source names."""
    listing = Path(source)
    if listing.suffix.lower() not in (".txt", ".csv") or not listing.is_file():
        return glob.glob(source, recursive=True) if "*" in source else [source]
    lines = read_bytes(listing, MOST_BYTES).decode("utf-8-sig", "surrogateescape").splitlines()
    rows = csv.reader(lines) if listing.suffix.lower() == ".csv" else [[line] for line in lines]
    paths: list[str] = []
    for name in (name.strip() for row in rows for name in row if name.strip()):
        for path in (os.path.abspath(name), str(listing.parent / name)):
            if there := glob.glob(path, recursive=True) if "*" in path else [path] * os.path.exists(path):
                paths += there
                break
    return paths


def _below(folder: str, closed: list[str]) -> set[str]:
    """Return all files below a folder, through links too; folders that cannot be opened are added to `closed`."""
    files, seen = set(), set()
    for at, folders, names in os.walk(folder, onerror=lambda e: closed.append(e.filename), followlinks=True):
        seen.add(os.path.realpath(at))
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(at, name)) not in seen]
        files |= {os.path.join(at, name) for name in names}
    return files


def _begins(file: str) -> bool:
    """Whether a file begins as an image file does."""
    try:
        with open(file, "rb") as content:
            return IMAGE.match(content.read(132)) is not None
    except OSError:
        return False
