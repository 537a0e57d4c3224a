"""Share of the gap between stock and the oracle that an arm closes: (arm - stock) / (oracle - stock).

The oracle is stock trained on data with nothing removed, for as many optimiser steps. The gap is what the missing data
would have given. The share is read on the seeds that all three arms have. Numerator and denominator share the
resamples of seeds and images. AP is known for whole runs only, so its resamples are of seeds alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from yolo_balance.arrays import Floats
from yolo_balance.comparison.figures import COMMON, GROUPS, RARE, Difference, Figure, Key, Over, Resampling, Split
from yolo_balance.comparison.paired_statistics import (
    Bounds,
    bootstrap_interval,
    images_can_tell,
    ratio_interval,
    student_interval,
)


def share_keys(budgets: Sequence[float]) -> dict[str, Key]:
    """Return the key of the figure behind each metric: `rare_recall_fa0.1` and so on, AP50 by group, mAP50-95."""
    recall = {f"rare_recall_fa{float(budget)}": Key("recall", "group", RARE, float(budget)) for budget in budgets}
    ap50 = {f"{group}_ap50": Key("ap50", "group", group) for group in (RARE, COMMON)}
    return {**recall, **ap50, "map50_95": Key("map50_95")}


@dataclass(frozen=True)
class ArmReadings:
    """Figures of an arm by key, and their recall from `Resampling.recall`, (1 + B, S, K, 2 + C)."""

    figures: Mapping[Key, Figure]
    recall: Floats

    @classmethod
    def of(cls, figures: Sequence[Figure], recall: Floats) -> ArmReadings:
        """Return the readings of an arm's figures."""
        return cls({Key(f.measure, f.scope, f.name, f.budget): f for f in figures}, recall)

    def seeds(self, key: Key) -> list[int]:
        """Return the seeds whose run has a value."""
        return [seed for seed, value in self.figures[key].runs.items() if value is not None]

    def samples(self, key: Key, seeds: Sequence[int], budgets: Sequence[float]) -> Floats:
        """Return (1 + B, S) values of a figure: on all images, then on each resample; AP is the same in each."""
        runs = self.figures[key].runs
        if key.budget is None:
            return np.broadcast_to(np.array([runs[seed] for seed in seeds], np.float64), (len(self.recall), len(seeds)))
        order = list(runs)
        found: Floats = self.recall[
            :, [order.index(seed) for seed in seeds], budgets.index(key.budget), GROUPS.index(key.name)
        ]
        return found


class Gap:
    """Gap between stock and the oracle; reads the share of it that an arm closes.

    Attributes:
        keys: By metric the key of its figure.
    """

    def __init__(
        self, stock: ArmReadings, oracle: ArmReadings, budgets: Sequence[float], split: Split, resampling: Resampling
    ):
        self.keys = share_keys(budgets)
        self._stock, self._oracle = stock, oracle
        self._budgets, self._split, self._resampling = list(map(float, budgets)), split, resampling

    def differences(self) -> dict[str, Difference | None]:
        """Return the oracle's mean minus stock's by metric; None without a seed that both have."""
        found = {}
        for metric, key in self.keys.items():
            seeds = self._shared(key)
            found[metric] = self._difference(key, self._apart(self._oracle, key, seeds)) if seeds else None
        return found

    def shares(self, arm: ArmReadings) -> dict[str, tuple[float, Bounds] | None]:
        """Return the share that an arm closes and its interval, by metric.

        None where the gap between stock and the oracle, on the arm's seeds, is not shown: its interval holds 0, or
        there is none.
        """
        found: dict[str, tuple[float, Bounds] | None] = {}
        for metric, key in self.keys.items():
            found[metric] = None
            if seeds := [seed for seed in self._shared(key) if seed in arm.seeds(key)]:
                own, gap = (self._apart(readings, key, seeds) for readings in (arm, self._oracle))
                if self._difference(key, gap).verdict in ("gain", "loss"):
                    drawn, level = self._resampling.seeds(len(seeds)), self._resampling.confidence
                    bounds = ratio_interval(own, gap, drawn, confidence=level)
                    found[metric] = float(own[0].mean() / gap[0].mean()), bounds
        return found

    def _shared(self, key: Key) -> list[int]:
        oracle = self._oracle.seeds(key)
        return [seed for seed in self._stock.seeds(key) if seed in oracle]

    def _apart(self, readings: ArmReadings, key: Key, seeds: Sequence[int]) -> Floats:
        own, stock = (arm.samples(key, seeds, self._budgets) for arm in (readings, self._stock))
        apart: Floats = own - stock
        return apart

    def _difference(self, key: Key, gap: Floats) -> Difference:
        count, level = gap.shape[1], self._resampling.confidence
        value = math.fsum(gap[0]) / count
        if key.budget is None:
            return Difference.judged(value, student_interval(gap[0], confidence=level), "seeds", count)
        low, high = bootstrap_interval(gap, self._resampling.seeds(count), confidence=level)
        over: Over = "seeds and images" if count > 1 else "images"
        enough = images_can_tell(self._split.holding[GROUPS.index(key.name)], level)
        return Difference.judged(value, (float(low), float(high)), over, count, enough)
