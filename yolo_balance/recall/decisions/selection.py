"""Selection of the epoch kept as best.pt, by the recall of a validation and the floors that it has to meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from yolo_balance.arrays import Bools, Ints
from yolo_balance.config import RecallConfig
from yolo_balance.config.recall import FloorsConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.recall.report import RecallReport
from yolo_balance.text import listed

STEP = 2.0**-26
"""Lower bounds closer than this, 1.5e-8, are ties."""


@dataclass(frozen=True)
class Score:
    """Score of an epoch.

    Attributes:
        value: Number by which epochs are compared.
        recall: Figure of the rule, a lower bound of recall; with weights, the mean of several figures.
        lowest: Class with the lowest lower bound among those the rule reads; of several the first by class id.
        low, hits, n: Lower bound, objects found and objects of this class.
        missed: A phrase per floor missed.
    """

    value: float
    recall: float
    lowest: str
    low: float
    hits: int
    n: int
    missed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """The rule that keeps best.pt, on one data set.

    Attributes:
        options: `balance.recall`.
        classes: Names of the classes whose recall is read.
        rare: Names of those that are rare; empty where the rule does not ask for rare_recall.
        remarks: Lines for a user about the rule on this data.
    """

    options: RecallConfig
    classes: tuple[str, ...]
    rare: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls,
        options: RecallConfig,
        names: Sequence[str],
        *,
        train: Ints,
        val: Ints,
        clean_images: int,
    ) -> Selection:
        """Resolve the rule on the labels.

        `rare_recall` alone reads only the classes with objects in val that have fewer boxes in train than the median
        class; any other rule reads every class with objects in val. A class without boxes in train is neither rare nor
        part of the median: no epoch is better at it than another.

        Args:
            options: `balance.recall`, `best` being another rule than fitness.
            names: C class names by class id.
            train: (C,) boxes in train.
            val: (C,) objects in val.
            clean_images: Images of val without objects.

        Raises:
            ConfigError: Every need of the rule that the data does not meet.
        """
        problems, remarks, best, asked = [], [], options.best_words, "rare_recall" in options.weights
        present, rare = train > 0, rare_classes(train)
        median = float(np.median(train[present])) if present.any() else 0.0
        read = (val > 0) & (rare if [*options.weights] == ["rare_recall"] else True)
        if not val.any():
            problems.append(f"balance.recall.best: {best} needs objects in val, which has none")
        elif asked and not rare.any():
            problems.append(
                f"balance.recall.best: rare_recall needs a class with fewer boxes in train than the median of "
                f"{median:g}; no class has fewer, {listed([f'{names[c]} {train[c]}' for c in _ids(present)])}"
            )
        elif asked and not (rare & (val > 0)).any():
            without = listed([names[c] for c in _ids(rare)])
            problems.append(
                f"balance.recall.best: rare_recall needs objects of a rare class in val, without: {without}"
            )
        if "worst_class_recall" in options.weights and (untrained := [names[c] for c in _ids(read & ~present)]):
            others = "fitness decides" if isinstance(options.best, str) else "the other figures decide"
            remarks.append(
                "balance.recall.best: worst_class_recall is that of a class without boxes in train as long as it is "
                f"not found, and {others}: {listed(untrained)}"
            )
        overkill, budget = (options.floors or FloorsConfig()).overkill, options.false_alarms[0]
        if overkill is not None and not clean_images:
            problems.append("balance.recall.floors.overkill: needs defect-free images in val, which has none")
        elif overkill is not None and overkill >= min(budget, 1):
            remarks.append(
                f"balance.recall.floors.overkill: {overkill:g} cannot be missed, the first budget of {budget:g} false "
                "boxes per defect-free image allows no more images to be rejected"
            )
        if problems:
            raise ConfigError(problems)
        rarest = _ids(rare & (val > 0)) if asked else []
        return cls(options, tuple(names[c] for c in _ids(read)), tuple(names[c] for c in rarest), tuple(remarks))

    @property
    def by(self) -> str:
        """Rule, budget and floors in words; scores of two runs compare if these words are equal."""
        o, floors = self.options, (self.options.floors or FloorsConfig()).model_dump(exclude_none=True)
        above = "".join(f", floor of {name} {value:g}" for name, value in floors.items())
        return f"{o.best_words} at {o.false_alarms[0]:g} false boxes, IoU {o.iou:g}, {o.level:g} intervals{above}"

    def score(
        self, report: RecallReport, *, fitness: float, map50_95: float, overkill: float | None, map50: float = 0.0
    ) -> Score:
        """Rank an epoch.

            tie   = fitness / (1 + |fitness|)                               in (-1, 1)
            value = 0                                                       if fitness is 0: nothing was found
                    tie                                                     if a floor is missed
                    1 + STEP round(recall / STEP) + tie STEP / 2            otherwise

        where recall is the weighted mean of the figures: the lowest lower bound of the classes read
        (`worst_class_recall`), their mean (`mean_recall`), that of the rare ones (`rare_recall`), mAP50 and mAP50-95. A
        rule without weights has one figure. So an epoch that meets the floors is above every one that misses one, of
        those that meet them the higher figure is above, and fitness orders equal figures and the epochs that miss a
        floor. A detector that finds nothing rejects nothing either: no floor on overkill may reward it, and Ultralytics
        takes its fitness of 0 for a collapsed training.

        Args:
            report: The epoch's report.
            fitness: Ultralytics' fitness. A value that is not finite is returned unchanged, and Ultralytics recovers.
            map50_95: mAP50-95 of the task.
            overkill: Share of clean images rejected at the first budget's threshold, None without any.
            map50: mAP50 of the task.

        Raises:
            DataError: The report has no object of the classes read.
        """
        rows = report.budgets[0].classes
        bounds = {name: found[0] for name in self.classes if (found := rows[name].bounds) is not None}
        if not bounds:
            raise DataError(f"balance.recall.best: the validation saw no object of {listed(self.classes)}")
        lowest = min(bounds, key=bounds.__getitem__)
        rare = [low for name, low in bounds.items() if name in self.rare]
        figures = {
            "worst_class_recall": bounds[lowest],
            "mean_recall": math.fsum(bounds.values()) / len(bounds),
            "rare_recall": math.fsum(rare) / max(len(rare), 1),
            "map50": map50,
            "map50_95": map50_95,
        }
        weights = self.options.weights
        total = math.fsum(weights.values())
        recall = math.fsum(w / total * figures[name] for name, w in weights.items() if math.isfinite(figures[name]))
        missed = self._missed(map50_95, overkill)
        value = composite(recall, fitness, meets=not missed)
        return Score(value, recall, lowest, bounds[lowest], rows[lowest].hits, rows[lowest].n, missed)

    def _missed(self, map50_95: float, overkill: float | None) -> tuple[str, ...]:
        floors = self.options.floors or FloorsConfig()
        missed = []
        if floors.map50_95 is not None and not map50_95 >= floors.map50_95:
            missed.append(f"mAP50-95 {map50_95:.4f} under {floors.map50_95:g}")
        if floors.overkill is not None and overkill is not None and overkill > floors.overkill:
            missed.append(f"overkill {overkill:.4f} over {floors.overkill:g}")
        return tuple(missed)


def rare_classes(train: Ints) -> Bools:
    """Return (C,) whether a class has fewer boxes in train, (C,), than the median of the classes that have any."""
    present = train > 0
    return present & (train < np.median(train[present])) if present.any() else present


def composite(recall: float, fitness: float, *, meets: bool) -> float:
    """Return the number by which Ultralytics compares epochs; the formula is in `Selection.score`."""
    if fitness == 0 or not math.isfinite(fitness):
        return fitness
    tie = fitness / (1 + abs(fitness))
    return 1 + STEP * round(recall / STEP) + tie * STEP / 2 if meets else tie


def _ids(classes: Bools) -> list[int]:
    return [int(c) for c in np.flatnonzero(classes)]
