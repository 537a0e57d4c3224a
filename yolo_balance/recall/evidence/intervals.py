"""Confidence intervals of a proportion."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from scipy.special import betainc, betaincinv, ndtri  # the quantiles of scipy.stats, without its checks of every call


def interval(
    hits: int, n: int, *, confidence: float = 0.95, method: Literal["wilson", "exact"] = "wilson"
) -> tuple[float, float]:
    """Return the confidence interval of a recall of `hits` out of `n`.

    Wilson, Probable inference (1927), close to its nominal level also for few trials; or Clopper and Pearson (1934),
    which never falls below it and is wider.

    Args:
        hits: Objects found.
        n: Objects there were; with none the interval is (0, 1), nothing is known.
        confidence: Level in (0, 1).
        method: `wilson` or `exact` (Clopper-Pearson).

    Returns:
        Lower and upper bound in [0, 1].

    Raises:
        ValueError: If hits is not in [0, n], or for an unknown method or level.

    Example:
        >>> low, high = interval(9, 10)
        >>> f"{low:.2f} {high:.2f}"
        '0.60 0.98'
    """
    if not 0 <= hits <= n:
        raise ValueError(f"expected hits in [0, n], got {hits} of {n}")
    if method not in ("wilson", "exact"):
        raise ValueError(f"expected method 'wilson' or 'exact', got {method!r}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected confidence in (0, 1), got {confidence!r}")
    if n == 0:
        return 0.0, 1.0
    return effective_interval(hits / n, n, confidence=confidence, method=method)


def exact_low(hits: int, n: int, alpha: float) -> float:
    """Return the one-sided lower bound of a share, wrong at most alpha of the time (Clopper and Pearson, 1934)."""
    return float(betaincinv(hits, n - hits + 1, alpha)) if hits else 0.0


def exact_high(hits: int, n: int, alpha: float) -> float:
    """Return the one-sided upper bound of a share, wrong at most alpha of the time (Clopper and Pearson, 1934)."""
    return float(betaincinv(hits + 1, n - hits, 1 - alpha)) if hits < n else 1.0


def chance(hits: int, n: int, target: float) -> float:
    """Return the chance that a detector whose recall is just the target finds `hits` or more of n."""
    return float(betainc(hits, n - hits + 1, target)) if hits else 1.0


def effective_interval(
    recall: float, n: float, *, confidence: float = 0.95, method: Literal["wilson", "exact"] = "wilson"
) -> tuple[float, float]:
    """Return the interval for an effective number of objects, which need not be whole.

    Wilson's formula holds for any n > 0; Clopper and Pearson's is written with quantiles of the beta distribution, as
    Korn and Graubard (1998) do for clustered samples. `interval` is the same with whole hits and n.

    Args:
        recall: Share found, in [0, 1].
        n: Effective number of objects, > 0 (`clustering.effective_sizes`).
        confidence: Level in (0, 1).
        method: `wilson` or `exact`.
    """
    tail = (1 - confidence) / 2
    hits = recall * n
    if method == "exact":
        low = float(betaincinv(hits, n - hits + 1, tail)) if recall > 0 else 0.0
        high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if recall < 1 else 1.0
        return low, high
    z = float(ndtri(1 - tail))
    middle = recall + z**2 / (2 * n)
    half = z * sqrt(recall * (1 - recall) / n + (z / (2 * n)) ** 2)
    low, high = (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)
    return (low if recall > 0 else 0.0), (high if recall < 1 else 1.0)
