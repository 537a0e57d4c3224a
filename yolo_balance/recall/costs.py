"""Cheapest threshold of a line: the cost of escapes against the cost of overkill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from yolo_balance.arrays import Floats
from yolo_balance.recall.outcomes import Outcomes

POINTS = 200
"""Most points of a curve."""


@dataclass(frozen=True)
class CheapestThreshold:
    """Cheapest common threshold of all classes; costs are per image, in the unit of the given costs.

    The threshold is chosen on the images that its cost is read on, so expect other images to cost somewhat more.

    Attributes:
        threshold: Lowest confidence at which a box counts and its image is rejected.
        cost: Expected cost at it.
        escape: Share of defective images passed at it.
        overkill: Share of clean images rejected at it.
        pass_all: Expected cost of passing every image.
        reject_all: Expected cost of rejecting every image.
        defect_rate: Share of defective images that costs were weighed with.
        curve: (threshold, cost) in rising threshold, at most POINTS of them, the cheapest and both ends included.
    """

    threshold: float
    cost: float
    escape: float
    overkill: float
    pass_all: float
    reject_all: float
    defect_rate: float
    curve: tuple[tuple[float, float], ...]


def cheapest_threshold(
    outcomes: Outcomes,
    names: Sequence[str],
    escape_costs: float | Mapping[str, float],
    overkill: float,
    defect_rate: float | None = None,
) -> CheapestThreshold | None:
    """Find the threshold of the lowest expected cost per image.

    An image is rejected at a threshold its most confident box reaches. With D defective and G clean images,
    cost = rate * (sum of escape costs of passed defective images) / D + (1 - rate) * overkill * (rejected clean) / G.
    An image of several classes costs its dearest. Of equal costs the lowest threshold is taken.

    Args:
        outcomes: Boxes and objects of the split.
        names: C class names by class id.
        escape_costs: Cost of passing a defective image, one for all classes or by class name; a class left out costs
            as much as one overkill.
        overkill: Cost of rejecting a clean image.
        defect_rate: Share of defective images on the line, in (0, 1); None as in the split.

    Returns:
        None on a split without clean or without defective images: one of the two rates is not known.

    Raises:
        ValueError: For a negative cost, a cost of a class there is not, or a defect rate outside (0, 1).
    """
    per_class = _costs_by_class(names, escape_costs, overkill)
    if defect_rate is not None and not 0 < defect_rate < 1:
        raise ValueError(f"expected defect_rate in (0, 1), got {defect_rate!r}")
    clean = outcomes.clean
    if clean.all() or not clean.any():
        return None
    rate = float((~clean).mean()) if defect_rate is None else float(defect_rate)

    top = np.full(outcomes.images, -np.inf)  # an image without boxes is passed at every threshold
    np.maximum.at(top, outcomes.image, outcomes.confidence)
    dearest = np.zeros(outcomes.images)
    np.maximum.at(dearest, outcomes.object_image, per_class[outcomes.object_class])

    threshold = _candidates(top)
    order = np.argsort(top[~clean])
    passed = np.searchsorted(top[~clean][order], threshold)  # (K,) defective images below each candidate
    escaped = np.concatenate([[0.0], np.cumsum(dearest[~clean][order])]) / len(order)
    wrong = (clean.sum() - np.searchsorted(np.sort(top[clean]), threshold)) / clean.sum()
    cost = rate * escaped[passed] + (1 - rate) * overkill * wrong
    best = int(np.flatnonzero(cost <= cost.min() + 1e-12 * cost.max())[0])  # sums in another order are still ties

    spread = np.linspace(0, len(threshold) - 1, min(len(threshold), POINTS - 1)).round().astype(int)
    shown = np.union1d(spread, [best])
    return CheapestThreshold(
        threshold=float(threshold[best]),
        cost=float(cost[best]),
        escape=float(passed[best] / len(order)),
        overkill=float(wrong[best]),
        pass_all=float(rate * escaped[-1]),
        reject_all=(1 - rate) * float(overkill),
        defect_rate=rate,
        curve=tuple(zip(threshold[shown].tolist(), cost[shown].tolist(), strict=True)),
    )


def _costs_by_class(names: Sequence[str], escape_costs: float | Mapping[str, float], overkill: float) -> Floats:
    """Return the (C,) costs of passing an image of each class."""
    if isinstance(escape_costs, Mapping):
        if unknown := sorted(set(escape_costs) - set(names)):
            raise ValueError(f"expected escape costs of {', '.join(names)}, got one of {', '.join(unknown)}")
        costs = np.array([escape_costs.get(name, overkill) for name in names], np.float64)
    else:
        costs = np.full(len(names), escape_costs, np.float64)
    if overkill < 0 or (costs < 0).any():
        raise ValueError(f"expected costs >= 0, got {escape_costs!r} and {overkill!r}")
    return costs


def _candidates(top: Floats) -> Floats:
    """Return (K,) rising thresholds: each distinct highest confidence of an image, and the next number above all.

    Next in float32, the precision of a detector's confidences. Without any box every threshold passes everything.
    """
    reached = np.unique(top[np.isfinite(top)])
    if not len(reached):
        return np.zeros(1)
    return np.append(reached, np.nextafter(np.float32(reached[-1]), np.float32(np.inf)).astype(np.float64))
