"""Figures of an arm by seed (recall, precision, exposure, time) and their differences to the first arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from yolo_balance.arrays import Floats, Ints
from yolo_balance.comparison.paired_statistics import (
    bootstrap_interval,
    images_can_tell,
    resample_counts,
    student_interval,
)
from yolo_balance.comparison.resampling import resampled_recall
from yolo_balance.comparison.run_figures import RunFigures

RARE, COMMON = GROUPS = ("rare", "common")
PRECISION = ("map50_95", "map50", "ap50")
EPSILON = 1e-9  # a difference smaller than this is rounding
Measure = Literal["recall", "map50_95", "map50", "ap50", "reached", "steps", "seconds_per_step"]
Scope = Literal["all", "group", "class"]
Over = Literal["seeds and images", "images", "seeds"]
DifferenceVerdict = Literal["gain", "loss", "null", "too few images"]


class Key(NamedTuple):
    """Key of a figure: the measure, the group or class, and for recall the false boxes per clean image."""

    measure: Measure
    scope: Scope = "all"
    name: str = ""
    budget: float | None = None


@dataclass(frozen=True)
class Difference:
    """An arm's mean minus the first arm's mean, over the seeds that both have.

    Attributes:
        value: The difference.
        low, high: Interval of the difference; None where one seed says nothing of other seeds.
        over: Sources of chance that the interval covers.
        seeds: Number of seeds that both arms have.
        verdict: `null` where the interval holds 0; `too few images` where so few images hold the class that no
            difference could be shown; None without an interval.
    """

    value: float
    low: float | None
    high: float | None
    over: Over
    seeds: int
    verdict: DifferenceVerdict | None

    @classmethod
    def judged(
        cls, value: float, bounds: tuple[float, float] | None, over: Over, seeds: int, enough: bool = True
    ) -> Difference:
        """Return the difference with its verdict.

        Args:
            value: The difference.
            bounds: Interval, None without one.
            over: Sources of chance that the interval covers.
            seeds: Number of seeds.
            enough: Whether so many images hold the class that a difference could be shown.
        """
        if bounds is None:
            return cls(value, None, None, over, seeds, None)
        low, high = bounds
        verdict: DifferenceVerdict = "gain" if low > EPSILON else "loss" if high < -EPSILON else "null"
        return cls(value, low, high, over, seeds, verdict if enough else "too few images")


@dataclass(frozen=True)
class Figure:
    """One figure of an arm.

    Attributes:
        measure, scope, name, budget: As in Key.
        runs: Value by seed; None without data.
        mean: Mean over seeds; None without data.
        difference: Difference to the first arm; None for the first arm itself and for figures that are no result.
    """

    measure: Measure
    scope: Scope
    name: str
    budget: float | None
    runs: Mapping[int, float | None]
    mean: float | None
    difference: Difference | None = None


@dataclass(frozen=True)
class Split:
    """Validation split that all runs were read on.

    Attributes:
        names: C class names.
        groups: By group the ids of its classes.
        holding: (2 + C,) units of images that hold an object of either group and of each class.
    """

    names: tuple[str, ...]
    groups: Mapping[str, tuple[int, ...]]
    holding: tuple[int, ...]

    @property
    def scopes(self) -> list[tuple[Scope, str]]:
        """Groups, then classes."""
        return [*(("group", group) for group in GROUPS), *(("class", name) for name in self.names)]


class Resampling:
    """Resamples of seeds and images, the same for every arm: `images`, (1 + B, I), counts each image.

    Images are drawn unit by unit, (I,) `unit`; by default each image is one.
    """

    def __init__(self, unit: Ints, resamples: int, confidence: float, seed: int):
        self.confidence, self._resamples, self._seed = confidence, resamples, seed
        units = int(unit.max(initial=-1)) + 1
        self.images: Ints = resample_counts(units, resamples, np.random.default_rng(seed))[:, unit]

    def seeds(self, count: int) -> Ints:
        """Draw (1 + B, count) counts of each seed, the same for every arm with so many seeds."""
        return resample_counts(count, self._resamples, np.random.default_rng([self._seed, count]))

    def recall(self, runs: Sequence[RunFigures], split: Split) -> Floats:
        """Return (1 + B, S, K, 2 + C) recall of the groups, means over classes with objects, and of the classes."""
        classes = np.stack([resampled_recall(run.detections, self.images) for run in runs], axis=1)
        groups = np.stack([_over(classes[..., list(split.groups[group])]) for group in GROUPS], axis=-1)
        return np.concatenate([groups, classes], axis=-1)


def figures(
    runs: Sequence[RunFigures],
    recall: Floats,
    split: Split,
    resampling: Resampling,
    first: tuple[Sequence[RunFigures], Floats] | None,
) -> tuple[Figure, ...]:
    """Compute the figures of an arm from its runs, one per seed, and their recall from `Resampling.recall`.

    `first` holds runs and recall of the first arm; None for the first arm itself, or if it has no run.
    """
    values = _values(runs, recall[0], split)
    before = {} if first is None else _values(first[0], first[1][0], split)
    differences = {} if first is None else _recall_differences(runs, recall, split, resampling, first)
    for key in before.keys() & values.keys():
        pairs = [(value, before[key].get(seed)) for seed, value in values[key].items() if key.measure in PRECISION]
        if d := [own - other for own, other in pairs if own is not None and other is not None]:
            bounds = student_interval(d, confidence=resampling.confidence)
            differences[key] = Difference.judged(float(np.mean(d)), bounds, "seeds", len(d))
    return tuple(Figure(*key, found, _mean(found), differences.get(key)) for key, found in values.items())


def _values(runs: Sequence[RunFigures], recall: Floats, split: Split) -> dict[Key, dict[int, float | None]]:
    """Collect values by figure and seed, given (S, K, 2 + C) recall."""
    values: dict[Key, dict[int, float | None]] = {}
    for s, run in enumerate(runs):
        m, reached = run.measured, run.reached
        of_run: dict[Key, float | None] = {
            Key("steps"): m.steps,
            Key("seconds_per_step"): m.train_seconds / m.steps if m.steps else None,
            Key("map50_95"): m.map50_95,
            Key("map50"): m.map50,
        }
        for c, (scope, name) in enumerate(split.scopes):
            for k, budget in enumerate(run.detections.budgets):
                of_run[Key("recall", scope, name, float(budget))] = _number(recall[s, k, c])
            members = [split.names[i] for i in split.groups[name]] if scope == "group" else [name]
            ap50 = [m.ap50[member] for member in members if member in m.ap50]
            of_run[Key("ap50", scope, name)] = math.fsum(ap50) / len(ap50) if ap50 else None
            of_run[Key("reached", scope, name)] = math.fsum(reached.get(member, 0.0) for member in members)
        for key, value in of_run.items():
            values.setdefault(key, {})[run.seed] = value
    return values


def _recall_differences(
    runs: Sequence[RunFigures],
    recall: Floats,
    split: Split,
    resampling: Resampling,
    first: tuple[Sequence[RunFigures], Floats],
) -> dict[Key, Difference]:
    seeds = [run.seed for run in runs]
    pairs = [(i, seeds.index(run.seed)) for i, run in enumerate(first[0]) if run.seed in seeds]
    if not pairs:
        return {}
    apart = recall[:, [j for _, j in pairs]] - first[1][:, [i for i, _ in pairs]]
    low, high = bootstrap_interval(apart, resampling.seeds(len(pairs)), confidence=resampling.confidence)
    over: Over = "seeds and images" if len(pairs) > 1 else "images"
    found = {}
    for c, (scope, name) in enumerate(split.scopes):
        enough = images_can_tell(split.holding[c], resampling.confidence)
        for k, budget in enumerate(runs[0].detections.budgets):
            value = float(apart[0, :, k, c].mean())
            if math.isfinite(value):
                bounds = float(low[k, c]), float(high[k, c])
                key = Key("recall", scope, name, float(budget))
                found[key] = Difference.judged(value, bounds, over, len(pairs), enough)
    return found


def _over(recall: Floats) -> Floats:
    """Return the mean over the last axis of the finite entries; NaN without any."""
    known = np.isfinite(recall)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, recall, 0).sum(-1) / known.sum(-1)
    return mean


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _mean(values: Mapping[int, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return math.fsum(known) / len(known) if known else None
