"""Identical image files, within a split and across splits.

Files are compared byte for byte: a copy under another name is found; a picture saved again, scaled or cropped is not.
Only files of equal size are read and hashed, so that large sets stay cheap.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

CHUNK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Copy:
    """File that has an identical copy.

    Attributes:
        split: Name of the split that holds the file.
        file: Path of the file.
        classes: Names of the classes labelled in the image, in class order, each once.
    """

    split: str
    file: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Duplicates:
    """All groups of identical files of a data set.

    Attributes:
        across: For every two splits in order, images of the second that are also in the first.
        within: Per split, images beyond the first of each group.
        groups: The files, at least two per group.
    """

    across: Mapping[str, int]
    within: Mapping[str, int]
    groups: tuple[tuple[Copy, ...], ...]

    @classmethod
    def of(cls, splits: Sequence[str], groups: Sequence[Sequence[Copy]]) -> Duplicates:
        """Count groups.

        Args:
            splits: Every split, in order.
            groups: Identical files, at least two per group.
        """
        per_group = [{split: sum(copy.split == split for copy in group) for split in splits} for group in groups]
        return cls(
            {f"{a}/{b}": sum(counts[b] for counts in per_group if counts[a]) for a, b in combinations(splits, 2)},
            {split: sum(max(counts[split] - 1, 0) for counts in per_group) for split in splits},
            tuple(tuple(group) for group in groups),
        )

    def labelled_otherwise(self) -> int:
        """Count groups whose files are not labelled with the same classes."""
        return sum(len({copy.classes for copy in group}) > 1 for group in self.groups)


def find_duplicates(files: Sequence[str]) -> list[list[int]]:
    """Group identical files as indices into `files`, in order of their first; leave out files that cannot be read."""
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    for i, file in enumerate(files):
        try:
            by_size[os.stat(file).st_size].append(i)
        except OSError:  # gone since it was scanned
            continue
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for candidates in by_size.values():
        if len(candidates) > 1:
            for i in candidates:
                try:
                    groups[_digest(files[i])].append(i)
                except OSError:
                    continue
    return sorted(group for group in groups.values() if len(group) > 1)


def _digest(file: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as f:
        while chunk := f.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
