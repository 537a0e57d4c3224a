"""Identical image files, within a split and across splits.

Files are compared byte for byte: a copy under another name is found; a picture saved again, scaled or cropped is not.
Only files of equal size are read, and only a block of most of these, so that large sets stay cheap.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

CHUNK = 1 << 20  # bytes read at once
BLOCK = 1 << 12  # bytes compared before the whole file is


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


def find_duplicates(files: Sequence[str], *, of: int | None = None) -> list[list[int]]:
    """Group identical files as indices into `files`, in order of their first; leave out files that cannot be read.

    One file under several paths, such as a symbolic link or a path written twice, is a group that is never read. Of
    files of equal size a block in the middle is compared first, and the whole content only where the blocks are equal.

    Args:
        files: Paths.
        of: Return only groups that hold one of the first `of` files; all groups when left out.
    """
    paths: defaultdict[tuple[int, int, int], list[int]] = defaultdict(list)  # of one file
    for i, file in enumerate(files):
        try:
            found = os.stat(file)
        except OSError:  # gone since it was scanned
            continue
        paths[found.st_size, found.st_dev, found.st_ino or -1 - i].append(i)  # some file systems number no files
    by_size: defaultdict[int, list[list[int]]] = defaultdict(list)
    for (size, *_), same in paths.items():
        by_size[size].append(same)
    wanted, candidates = len(files) if of is None else of, list(by_size.values())
    for read in (_middle, _digest):
        candidates = [c for candidate in candidates if candidate[0][0] < wanted for c in _parts(candidate, files, read)]
    groups = [sorted(chain.from_iterable(candidate)) for candidate in candidates]
    return sorted(group for group in groups if len(group) > 1 and group[0] < wanted)


def _parts(candidate: list[list[int]], files: Sequence[str], read: Callable[[str], bytes]) -> Iterable[list[list[int]]]:
    """Divide files, each with the indices of its paths, by what is read of them."""
    if len(candidate) == 1:
        return [candidate]
    parts: defaultdict[bytes, list[list[int]]] = defaultdict(list)
    for same in candidate:
        try:
            parts[read(files[same[0]])].append(same)
        except OSError:
            continue
    return parts.values()


def _middle(file: str) -> bytes:
    with open(file, "rb") as f:
        f.seek(max((os.fstat(f.fileno()).st_size - BLOCK) // 2, 0))
        return f.read(BLOCK)


def _digest(file: str) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with open(file, "rb") as f:
        while chunk := f.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
