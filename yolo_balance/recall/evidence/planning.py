"""Plan of a certificate: units that show a share with a wanted chance, before any of them is read."""

from __future__ import annotations

from math import ceil, log, log1p

import numpy as np
from scipy.special import bdtr

from yolo_balance.arrays import Ints

CHUNK = 2000
"""Sizes that are tried together."""
MOST = 1_000_000
"""Largest number of units that a plan names."""


def units_to_show(most: float, true: float, alpha: float, *, power: float = 0.5) -> int | None:
    """Return the fewest units n that show a share of at most `most`, if the share is `true`.

    Of n units k may be wrong, k the largest number with P(X <= k | most) <= alpha; n is the fewest with
    P(X <= k | true) >= power, X binomial. A recall is shown by the share missed: a target of .9 at a true recall of .96
    is `units_to_show(0.1, 0.04, alpha)`.

    Args:
        most: Share to be shown, in (0, 1).
        true: Share that is expected, in [0, 1).
        alpha: Probability of showing it wrongly.
        power: Chance to show it.

    Returns:
        n; None where `true` is not below `most`, or a million units would not do.
    """
    if true >= most:
        return None
    start = fewest_units(most, alpha)
    while start < MOST:
        n = np.arange(start, start + CHUNK, dtype=np.int64)
        allowed = _allowed(n, most, alpha)
        enough = (allowed >= 0) & (bdtr(np.maximum(allowed, 0), n, true) >= power)
        if enough.any():
            return int(n[int(enough.argmax())])
        start += CHUNK
    return None


def fewest_units(most: float, alpha: float) -> int:
    """Return the fewest units that show a share of at most `most`, none of them being wrong."""
    return ceil(log(alpha) / log1p(-most) - 1e-9)


def _allowed(n: Ints, most: float, alpha: float) -> Ints:
    """Return, for (N,) numbers of units, the largest k with P(X <= k | most) <= alpha; -1 where there is none."""
    low, high = np.full(len(n), -1), n.copy()  # P(X <= n) is 1
    while (high - low > 1).any():
        middle = (low + high) // 2
        small = bdtr(np.maximum(middle, 0), n, most) <= alpha
        low, high = np.where(small, middle, low), np.where(small, high, middle)
    return low
