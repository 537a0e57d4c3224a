"""Intervals of a proportion: what n trials can and cannot show."""

from __future__ import annotations

from typing import Literal

from scipy.stats import binomtest


def interval(
    hits: int, n: int, *, confidence: float = 0.95, method: Literal["wilson", "exact"] = "wilson"
) -> tuple[float, float]:
    """Confidence interval of a recall of `hits` out of `n`.

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
    bounds = binomtest(hits, n).proportion_ci(confidence_level=confidence, method=method)
    return float(bounds.low), float(bounds.high)
