"""A random split of many images, as outcomes."""

from __future__ import annotations

import numpy as np
from helpers.outcomes import pooled


def random_split(seed, *, clean=True, images=40, classes=3, coarse=True):
    rng = np.random.default_rng(seed)
    objects = [rng.integers(0, classes - 1, rng.integers(0 if clean else 1, 4)).tolist() for _ in range(images)]
    hit, confidence, predicted = [], [], []
    for here in objects:
        found = [c for c in here if rng.random() < 0.7]
        false = rng.integers(0, classes, rng.integers(0, 5)).tolist()
        predicted.append(found + false)
        hit.append([1] * len(found) + [0] * len(false))
        n = len(found) + len(false)
        confidence.append((rng.integers(1, 9, n) / 8 if coarse else rng.random(n).astype(np.float32)).tolist())
    return pooled(hit, confidence, predicted, objects, classes)
