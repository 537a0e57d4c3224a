"""Read arrays that anybody may have saved: an .npz is measured before it is unpacked, and checked by its declaration.

`numpy.load` reserves as much memory as the header of an array asks for, and zip archives unpack to a thousand times
their size.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from yolo_balance.bounded_files import as_data_error, read_bytes
from yolo_balance.errors import DataError
from yolo_balance.text import plain

MOST_PACKED, MOST_UNPACKED, MOST_ENTRIES = 128 << 20, 512 << 20, 64
"""Bytes of a file, of its arrays, and number of arrays, above which an .npz is none of a run."""
END, END_BYTES, ZIP64 = b"PK\5\6", 22, b"PK\6\7"
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Form:
    """Form of an array.

    Attributes:
        dtype: Type of its numbers; `U` for text of any length.
        shape: A letter for each axis; axes of one letter have one length.
        low: Smallest number.
        high: Largest number, or the letter of an axis, whose indices the numbers are.
        required: Whether a file without the array is refused.
    """

    dtype: str
    shape: str = ""
    low: float = -math.inf
    high: float | str = math.inf
    required: bool = True


def read_arrays(path: Path, forms: Mapping[str, Form], expected: str) -> dict[str, Array]:
    """Return the arrays of an .npz by name; arrays that no form names are left out.

    Raises:
        DataError: In one line that names the file: it is no archive, unpacks to more than MOST_UNPACKED bytes, or an
            array is missing, holds objects, or differs from its form.
    """
    with as_data_error(path, expected):
        content = read_bytes(path, MOST_PACKED)
        _check_end(content)
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
                if missing := [name for name, form in forms.items() if form.required and name not in entries]:
                    raise ValueError(f"no array {missing[0]}")
                found = [name for name in forms if name in entries]
                if sum(entries[name].file_size for name in found) > MOST_UNPACKED:
                    raise ValueError(f"arrays of more than {MOST_UNPACKED:,} bytes")
                arrays = {name: _array(name, _unpacked(archive, entries[name])) for name in found}
        except (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError) as e:
            raise ValueError(str(e)) from e
    lengths: dict[str, int] = {}
    for name, array in arrays.items():
        if fault := _fault(array, forms[name], lengths):
            raise DataError(f"{plain(str(path))}: {name}: {fault}")
    return arrays


def _check_end(content: bytes) -> None:
    """Raise ValueError unless an archive ends as numpy's do, with few entries: zipfile reads all before it answers."""
    end = content[-END_BYTES:]
    if len(end) < END_BYTES or not end.startswith(END) or content[-END_BYTES - 20 :].startswith(ZIP64):
        raise ValueError("no archive of arrays")
    entries, directory = struct.unpack("<HI", end[10:16])
    if entries > MOST_ENTRIES or directory > 1 << 16:
        raise ValueError(f"more than {MOST_ENTRIES} arrays")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with archive.open(entry) as file:
        return b"".join(iter(lambda: file.read(1 << 20), b""))  # piecewise: a whole read unpacks past a false size


def _array(name: str, content: bytes) -> Array:
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("unknown version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except Exception as e:  # numpy reads the header as Python, with errors of many kinds
        raise ValueError(f"{name} has no header: {e}") from e
    if dtype.hasobject or min(shape, default=0) < 0:
        raise ValueError(f"{name} holds no plain numbers")
    if math.prod(shape) * dtype.itemsize != len(content) - file.tell() or not dtype.itemsize:
        raise ValueError(f"{name} has another size than its header says")
    array: Array = np.ndarray(shape, dtype, content, file.tell(), order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _fault(array: Array, form: Form, lengths: dict[str, int]) -> str:
    """Describe how an array differs from its form; empty where it does not. Lengths of axes are noted by letter."""
    kind = "U" if array.dtype.kind == "U" else array.dtype.name
    if kind != form.dtype or array.ndim != len(form.shape):
        return f"expected {len(form.shape)} axes of {form.dtype}, got {array.ndim} of {kind}"
    for axis, length in zip(form.shape, array.shape, strict=True):
        if length != lengths.setdefault(axis, length):
            return f"expected {lengths[axis]} entries, got {length}"
    if kind in ("U", "bool") or not array.size:
        return ""
    high = lengths[form.high] - 1 if isinstance(form.high, str) else form.high
    outside = ~((array >= form.low) & (array <= high) & np.isfinite(array))
    if outside.any():
        return f"expected numbers from {form.low:g} to {high:g}, got {array[outside][0]:g}"
    return ""
