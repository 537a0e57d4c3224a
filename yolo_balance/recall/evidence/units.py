"""Units of images: the parts, tiles or batches that were drawn independently, each of which several images may show.

Objects of one unit are found or missed together more often than those of different units, as objects of one image are.
Evidence counts units: n objects on k units say as much as k independent trials at least, and as n at most.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np

from yolo_balance.arrays import Ints


def unit_ids(keys: Sequence[Hashable]) -> Ints:
    """Return the (I,) unit of each of I images, counted from 0 in the order in which they come; equal keys, one unit.

    Example:
        >>> unit_ids(["tile7", "tile7", "tile9"]).tolist()
        [0, 0, 1]
    """
    ids = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return np.array([ids[key] for key in keys], np.int64)


def joined(unit: Ints, groups: Iterable[Iterable[int]]) -> Ints:
    """Return the (I,) units of images after those of each group of images became one, such as identical files."""
    root = list(range(int(unit.max(initial=-1)) + 1))

    def find(u: int) -> int:
        while root[u] != u:
            root[u] = u = root[root[u]]
        return u

    for group in groups:
        first, *others = (find(int(unit[i])) for i in group)
        for other in others:
            root[find(other)] = find(first)
    roots = [find(u) for u in unit.tolist()]
    number = {r: i for i, r in enumerate(dict.fromkeys(roots))}
    return np.array([number[r] for r in roots], np.int64)
