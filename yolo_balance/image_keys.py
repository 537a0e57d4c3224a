r"""Keys of images: a value by which images belong together, such as the part that they show or their camera.

A rule says where the key of an image stands:

    folder                  name of the folder that holds the image file
    meta.csv:tile_group     column of a CSV file with a row for each image
    part(\d+)               regular expression with one group, searched for in file names

In a CSV file the images stand in the column, other than the one asked for, that names the most of them: by file name,
with or without its suffix and its folders. A CSV file is looked for beside the data YAML, then in the working folder.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from yolo_balance.errors import ConfigError
from yolo_balance.text import listed, plain

FOLDER = "folder"
COLUMN = re.compile(r"(.+\.(?:csv|tsv|txt)):(.+)", re.IGNORECASE)
SUFFIXES = (
    ".avif",
    ".bmp",
    ".dng",
    ".heic",
    ".heif",
    ".jp2",
    ".jpeg",
    ".jpg",
    ".mpo",
    ".png",
    ".tif",
    ".tiff",
    ".webp",
)
"""Suffixes of image files, which a CSV file may leave out."""
EXPECTED = "folder, FILE.csv:COLUMN or a regular expression with one group"


def check_rule(rule: str) -> str:
    """Return a rule as it is; raises ValueError for one that no image can follow."""
    if rule == FOLDER or COLUMN.fullmatch(rule):
        return rule
    try:
        groups = re.compile(rule).groups
    except re.error as e:
        raise ValueError(f"expected {EXPECTED} ({e})") from None
    if groups != 1:
        raise ValueError(f"expected {EXPECTED}, such as part(\\d+)_")
    return rule


@dataclass(frozen=True)
class ImageTable:
    """Rows of a CSV file that belong to images.

    Attributes:
        path: The file.
        columns: Names of the columns.
        rows: Fields of every row, by line.
    """

    path: Path
    columns: Sequence[str]
    rows: Mapping[int, Sequence[str]]

    @classmethod
    def read(cls, name: str, *, option: str, folder: Path | None = None) -> ImageTable:
        """Read a CSV file: UTF-8, a header, fields parted by comma, semicolon or tab.

        Args:
            name: Path of the file, relative to `folder` or to the working folder.
            option: Key of the YAML or option of the command line that names the file, for errors.
            folder: Folder of the data YAML; None for the working folder alone.

        Raises:
            ConfigError: The file is missing or unreadable, or has no row.
        """
        beside = Path(name) if folder is None else folder / name
        path = beside if beside.is_file() else Path(name)
        try:
            text = path.read_text(encoding="utf-8-sig")
            first = text.partition("\n")[0]
            reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
            lines = [(reader.line_num, [field.strip() for field in row]) for row in reader]
        except FileNotFoundError:
            where = "" if folder is None else f", neither in {folder} nor in the working folder"
            raise ConfigError(f"{option}: {plain(name)} does not exist{where}") from None
        except (OSError, ValueError, csv.Error) as e:
            raise ConfigError(f"{option}: {plain(name)} cannot be read ({' '.join(str(e).split())})") from None
        columns, rows = (lines or [(0, [])])[0][1], {line: row for line, row in lines[1:] if any(row)}
        if not rows:
            raise ConfigError(f"{option}: {plain(name)} has no row, expected a header and a row for each image")
        for line, row in rows.items():
            if len(row) != len(columns):
                raise ConfigError(
                    f"{option}: {plain(name)}, line {line}: expected {len(columns)} fields, got {len(row)}"
                )
        return cls(path, columns, rows)

    def of(self, files: Sequence[str], column: str, *, option: str) -> list[str | None]:
        """Return the field of a column for each image file, None for an image without a row.

        Raises:
            ConfigError: The file has no such column, or two rows that contradict each other.
        """
        lines = self.lines_of(files, column, option=option)
        value = self.columns.index(column)
        return [self.rows[found[0]][value] if found else None for found in lines]

    def lines_of(self, files: Sequence[str], column: str, *, option: str) -> list[list[int]]:
        """Return the lines of each image file, whose fields of a column agree. Raises as `of` does."""
        if column not in self.columns:
            known = listed([plain(name) for name in self.columns])
            raise ConfigError(f"{option}: {self.path.name} has no column {plain(column)}, its columns are {known}")
        value, found, most = self.columns.index(column), [], -1
        names = [_parts(file) for file in files]
        for place in range(len(self.columns)):
            if place != value:
                lines = self._lines(place)
                depth = max(map(len, lines), default=0)
                rows = [next((lines[n[-k:]] for k in range(depth, 0, -1) if n[-k:] in lines), []) for n in names]
                if (count := sum(map(bool, rows))) > most:
                    found, most = rows, count
        for file, lines_of in zip(files, found, strict=False):
            values: dict[str, int] = {}
            for line in lines_of:
                values.setdefault(self.rows[line][value], line)
            if len(values) > 1:
                each = listed([f"{plain(text) or 'nothing'} in line {line}" for text, line in values.items()])
                raise ConfigError(
                    f"{option}: {self.path.name} gives {plain(Path(file).name)} more than one {column}: {each}"
                )
        return found or [[] for _ in files]

    def _lines(self, place: int) -> dict[tuple[str, ...], list[int]]:
        """Return the lines of the images that a column names."""
        lines: dict[tuple[str, ...], list[int]] = {}
        for line, row in self.rows.items():
            if row[place]:
                lines.setdefault(_parts(row[place], given=True), []).append(line)
        return lines


@dataclass(frozen=True)
class ImageKeys:
    """Rule that gives each image a key.

    Attributes:
        rule: The rule as stated, see the module.
        option: Key of the YAML or option of the command line that states the rule.
        table: CSV file of the rule, None where the rule reads file names.
    """

    rule: str
    option: str
    table: ImageTable | None = None

    @classmethod
    def read(cls, rule: str, *, option: str, folder: Path | None = None) -> ImageKeys:
        """Read a rule and its CSV file, which is looked for in the data YAML's folder and in the working folder.

        Raises:
            ConfigError: The rule is none, or its file cannot be read.
        """
        try:
            check_rule(rule)
        except ValueError as e:
            raise ConfigError(f"{option}: {e}, got {plain(rule)}") from None
        column = COLUMN.fullmatch(rule)
        return cls(rule, option, column and ImageTable.read(column[1], option=option, folder=folder))

    def of(self, files: Sequence[str]) -> list[str]:
        """Return the key of each image file. Raises ConfigError that names the first file without a key."""
        keys = self._keys(files)
        for file, key in zip(files, keys, strict=True):
            if not key:
                without = sum(not other for other in keys)
                more = f" and {without - 1} more of {len(files)} images" if without > 1 else ""
                raise ConfigError(f"{self.option}: {plain(self.rule)} gives no key to {plain(Path(file).name)}{more}")
        return [key for key in keys if key]

    def _keys(self, files: Sequence[str]) -> list[str | None]:
        if self.rule == FOLDER:
            return [Path(file).absolute().parent.name for file in files]
        if self.table is not None:
            column = COLUMN.fullmatch(self.rule)
            assert column is not None  # as in `read`
            return self.table.of(files, column[2], option=self.option)
        pattern = re.compile(self.rule)
        found = [pattern.search(Path(file).name) or pattern.search(Path(file).stem) for file in files]
        return [match and match[1] for match in found]


def _parts(file: str, *, given: bool = False) -> tuple[str, ...]:
    """Return folders and name of an image file without its suffix; a `given` name may have been without any."""
    path = PurePosixPath(file.replace("\\", "/"))
    return path.parts if given and path.suffix.lower() not in SUFFIXES else path.with_suffix("").parts
