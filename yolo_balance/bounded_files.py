"""Read files that anybody may have written: within bounds, to one document, checked against its declared types.

Whatever a path leads to, reading ends: pipes, devices and folders are no files, and a file above its bound is not read.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from yolo_balance.errors import DataError
from yolo_balance.text import plain

MOST_BYTES = 32 << 20
"""Bytes above which a JSON or a table is none of a run: recall.json of 1,200 classes at three budgets has 8 MiB."""
DEEPEST = 40
"""Nesting above which a JSON is none of a run."""
STRAY = re.compile("[\ud800-\udfff]")
T = TypeVar("T")


def read_bytes(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Return the content of a file. Raises OSError, or ValueError for no regular file or more than `most` bytes."""
    with open(path, "rb", opener=_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("expected a file, got a pipe or a device")
        content = b"" if status.st_size > most else file.read(most + 1)  # a file may grow, or not say its size
    if max(status.st_size, len(content)) > most:
        raise ValueError(f"expected at most {most:,} bytes")
    return content


def read_text(path: str | Path, most: int = MOST_BYTES) -> str:
    """Return the text of a UTF-8 file without its byte order mark. Raises as `read_bytes`, and UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8-sig")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe would wait for its writer


@contextmanager
def as_data_error(path: str | Path, expected: str) -> Iterator[None]:
    """Turn what a damaged file raises into DataError, in one line that names the file and what was expected."""
    try:
        yield
    except (OSError, ValueError, EOFError, RecursionError, MemoryError) as e:
        message = f"{plain(str(path))}: expected {expected}, but it cannot be read ({reason(e)})"
        raise DataError(message) from e


def reason(error: BaseException) -> str:
    """Return why a file cannot be read, on one line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return plain(" ".join(text.split())[:300]) or type(error).__name__


def read_json(path: str | Path, expected: str) -> object:
    """Return the content of a JSON file; a key that stands twice in an object is refused.

    Raises:
        DataError: In one line that names the file and what was expected of it.
    """
    with as_data_error(path, expected):
        text = read_text(path)
        try:
            return json.loads(text, object_pairs_hook=_with_keys_once)
        except json.JSONDecodeError as e:
            raise ValueError(f"not JSON: {e}") from e


def _with_keys_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {shown(key)} stands twice in one object")
    return content


def checked(kind: type[T], content: object, source: str | Path) -> T:
    """Build a value of a declared type from the content of a JSON.

    Types, ranges (`yolo_balance.ranges`) and checks across keys (`__post_init__`) are those of the type. Numbers have
    to be finite. Keys that the type does not declare are left out of a dataclass. Stray bytes of a file name, which
    UTF-8 cannot hold, become escapes.

    Args:
        kind: A dataclass or a TypedDict.
        content: Mappings, lists and plain values.
        source: Name of the file, for the error.

    Raises:
        DataError: In one line that names the file and the key: missing, of another type or out of range.
    """
    if fault := _fault(content):
        raise DataError(f"{plain(str(source))}: {fault}")
    try:
        text = STRAY.sub(lambda stray: rf"\\u{ord(stray[0]):x}", json.dumps(content, ensure_ascii=False))
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as e:
        raise DataError(f"{plain(str(source))}: {problem_line(e)}") from e


def _fault(content: object) -> str:
    """Describe the first value that no document has, by its dotted key; empty without one."""
    waiting: list[tuple[tuple[object, ...], object]] = [((), content)]
    while waiting:
        keys, value = waiting.pop()
        if len(keys) > DEEPEST:
            return f"{_dotted(keys[:3])}...: nested more than {DEEPEST} levels deep"
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(_items(value)):
            if isinstance(item, (Mapping, list, tuple)):
                waiting.append(((*keys, key), item))
            elif expected := _expected(item):
                return f"{_dotted((*keys, key))}: expected {expected}, got {shown(item)}"
    return ""


def _items(value: object) -> list[object] | tuple[object, ...]:
    return value if isinstance(value, (list, tuple)) else [value]


def _expected(value: object) -> str:
    """Return what is expected in place of a single value; empty where the value is one that a document has."""
    if isinstance(value, int):
        return "" if value.bit_length() < 64 else "a number of less than 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "a finite number"
    return "" if value is None or isinstance(value, str) else "a value that JSON knows"


def shown(value: object) -> str:
    """Return a value as JSON, short."""
    huge = isinstance(value, int) and value.bit_length() > 1000  # more digits than Python writes out
    text = "a huge number" if huge else json.dumps(value, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _dotted(keys: tuple[object, ...]) -> str:
    return ".".join(plain(str(key))[:60] for key in keys)


def problem_line(error: ValidationError) -> str:
    """Describe the first problem: dotted key, what was expected, what arrived; and how many more there are."""
    first, *others = error.errors()
    kind, key = first["type"], _dotted(first["loc"])
    expected = str(first["ctx"]["error"]) if kind == "value_error" else first["msg"]
    if kind == "value_error" and not expected.startswith("expected"):  # a check across keys, whose text names its key
        text = f"{key}.{expected}" if key else expected
    elif kind == "missing":
        text = f"{key}: missing"
    else:
        expected = "expected an object" if kind.startswith(("dataclass", "dict", "mapping")) else expected
        text = f"{expected.replace('Input should be', 'expected')}, got {shown(first['input'])}"
        text = f"{key}: {text}" if key else text
    return plain(text) + (f" ({len(others)} more like it)" if others else "")
