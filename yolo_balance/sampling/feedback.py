"""Factors that follow the recall the last validations measured: the only way back from the report to the sampler."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.recall.evidence.intervals import interval
from yolo_balance.recall.report import RecallReport

WIDEST = 0.5
"""Widest interval that is informative: at 95 %, that of a class with 12 objects."""


class RecallFeedback:
    """A multiplier per class that grows as the class's recall falls behind the best class's.

    1. l(c): lower bound of the interval of the recall at the first false-alarm budget.
    2. s(c) = smoothing * s(c) + (1 - smoothing) * l(c), from l(c) at the first validation.
    3. m(c) = (max s / max(s(c), floor))^gain, at least 1.

    A class keeps its s(c), and so has m(c) = 1 from the start, while its number of objects n is too small: while the
    interval of n / 2 hits is wider than 0.5. The fewer objects a class has, the lower is its bound and the larger m(c);
    below that n the multiplier would grow whatever the detector does.

    Attributes:
        recall: (C,) s(c), NaN for a class that has not been measured.
    """

    def __init__(self, num_classes: int, *, gain: float = 1.0, smoothing: float = 0.5, floor: float = 0.1):
        self.gain, self.smoothing, self.floor = gain, smoothing, floor
        self.recall: Floats = np.full(num_classes, np.nan)

    def observe(self, report: RecallReport) -> Bools:
        """Update the smoothed recall from a validation; return (C,) which classes changed. The others are frozen."""
        classes = list(report.budgets[0].classes.values())
        measured = informative(np.array([c.n for c in classes]), report.confidence)
        low = np.array([np.nan if c.low is None else c.low for c in classes])
        past = np.where(np.isnan(self.recall), low, self.recall)
        self.recall = np.where(measured, self.smoothing * past + (1 - self.smoothing) * low, self.recall)
        return measured

    def multipliers(self) -> Floats:
        """Return (C,) m(c); 1 for classes not measured."""
        s = np.fmax(self.recall, self.floor)  # the floor where NaN: of no consequence below
        measured = ~np.isnan(self.recall)
        best = s[measured].max(initial=self.floor)
        return np.where(measured, np.maximum(best / s, 1.0) ** self.gain, 1.0)

    def state(self, names: list[str]) -> dict[str, float]:
        """Return the smoothed recall by class name, for a file."""
        return {name: float(s) for name, s in zip(names, self.recall, strict=True) if not np.isnan(s)}

    def restore(self, state: Mapping[str, float], names: list[str]) -> None:
        """Restore the recall that `state` returned."""
        self.recall = np.array([float(state.get(name, np.nan)) for name in names])


def fewest_objects(confidence: float) -> int:
    """Return the fewest objects n of a class that feedback follows."""
    return next(n for n in itertools.count(1) if informative(np.array([n]), confidence)[0])


def informative(n: Ints, confidence: float) -> Bools:
    """Return (C,) whether n objects are enough for an interval that is never wider than 0.5."""
    widths = {k: np.subtract(*interval(k // 2, k, confidence=confidence)[::-1]) for k in set(n.tolist()) if k > 0}
    return np.array([k > 0 and widths[k] <= WIDEST for k in n.tolist()], bool)
