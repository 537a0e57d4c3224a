"""Units of images: the parts, tiles or batches that were drawn independently, each of which several images may show.

Objects of one unit are found or missed together more often than those of different units, as objects of one image are.
Evidence counts units: n objects on k units say as much as k independent trials at least, and as n at most.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

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
