"""Recall at a budget on resampled images, from the detections of one validation pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Ints
from yolo_balance.run_folder.detections import NOT_FOUND, Detections

BLOCK = 1 << 22  # entries of the largest array at a time


def resampled_recall(detections: Detections, weights: Ints) -> Floats:
    """Return (B, K, C) recall of each class at each budget, with every image counted `weights` times.

    With r(I) the times an image is counted, a budget b allows floor(b sum of r over images counted) false boxes,
    each counted as its image is. The threshold lies above the first one, from the most confident on, that is too
    many; boxes of equal confidence stand or fall together (`threshold_at` with r = 1). Recall is the sum of r over
    the objects found at it, over that of all objects of the class; NaN where the resample holds none.

    Args:
        detections: Objects and false boxes of one validation pass.
        weights: (B, I) times each image is counted.
    """
    block = max(BLOCK // max(len(detections.object_image), len(detections.false_image), 1), 1)
    blocks = [_recall(detections, weights[start : start + block]) for start in range(0, len(weights), block)]
    return np.concatenate(blocks)


def _recall(d: Detections, weights: Ints) -> Floats:
    of_class = (d.object_class[:, None] == np.arange(len(d.names))).astype(np.float64)
    times = weights[:, d.object_image].astype(np.float64)
    objects = times @ of_class
    hits = np.stack([(times * (d.object_confidence > t[:, None])) @ of_class for t in _above(d, weights)], 1)
    with np.errstate(invalid="ignore"):
        recall: Floats = hits / objects[:, None]
    return recall


def _above(d: Detections, weights: Ints) -> npt.NDArray[np.float32]:
    """Return (K, B) confidence that a box has to exceed: of the first false box too many, -1/2 without one."""
    false = np.cumsum(weights[:, d.false_image], axis=1)
    images = weights[:, d.counted].sum(axis=1)
    above = np.full((len(d.budgets), len(weights)), NOT_FOUND / 2)
    for k, budget in enumerate(d.budgets):
        allowed = np.floor(budget * images + 1e-9)
        first = (false <= allowed[:, None]).sum(axis=1)  # false boxes before the first too many, as cumsum rises
        more = first < false.shape[1]
        above[k, more] = d.false_confidence[first[more]]
    return above
