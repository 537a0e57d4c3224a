"""The comparison: a frozen result of arms, figures and differences that converts to rows and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from yolo_balance.comparison.figures import COMMON, GROUPS, RARE, Difference, Figure, Key, Resampling, Split, figures
from yolo_balance.comparison.gap_shares import ArmReadings, Gap, share_keys
from yolo_balance.comparison.paired_statistics import RESAMPLES, SEED, Bounds
from yolo_balance.comparison.run_figures import RunFigures
from yolo_balance.errors import DataError
from yolo_balance.files import csv_text, write_whole
from yolo_balance.recall.decisions.selection import rare_classes
from yolo_balance.recall.operating_point import alarm_unit
from yolo_balance.recall.split_counts import COUNTS, SplitCounts, counts_last
from yolo_balance.results import Result, file_in
from yolo_balance.run_folder.detections import Detections
from yolo_balance.text import counted, listed, plain

SCHEMA = 1
STEP_TOLERANCE = 0.02
"""Share by which the optimiser steps of two arms may differ without a warning."""
COLUMNS = (
    *("arm", "measure", "scope", "name", "budget", "seeds", "mean"),
    *("difference", "low", "high", "paired_seeds", "over", "verdict"),
)


@dataclass(frozen=True)
class ClassCounts:
    """Boxes of a class in train, its objects in val and the images that hold them, and its group.

    A class is rare if it has fewer boxes in train than the median of those that have any, else common; None without.
    """

    train: int
    val: int
    images: int
    group: str | None


@dataclass(frozen=True)
class ArmFigures:
    """An arm with at least one finished run.

    Attributes:
        name: Name of the arm's file.
        changes: Differences to the first arm's training besides the method, one phrase each.
        figures: Recall, precision, exposure and time.
        in_train: Images of val that the arm's train has too; None where that is not known.
        share: By metric the share of the gap between stock and the oracle that the arm closes, (arm - stock) / (oracle
            - stock); None where no gap is shown. Empty without an oracle.
        share_interval: By metric the interval of the share, None beside a share that is None.
    """

    name: str
    changes: tuple[str, ...]
    figures: tuple[Figure, ...]
    in_train: int | None = 0
    share: Mapping[str, float | None] = field(default_factory=dict)
    share_interval: Mapping[str, Bounds | None] = field(default_factory=dict)

    def figure(self, key: Key) -> Figure:
        """Return the figure with this key. Raises StopIteration if the arm has none."""
        return next(f for f in self.figures if (f.measure, f.scope, f.name, f.budget) == key)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(self.figures[0].runs)


@dataclass(frozen=True)
class Comparison(Result, SplitCounts):
    """Arms over seeds; differences are to the first arm.

    Attributes:
        first: Name of the arm compared with; no differences if none of its runs finished.
        arms: Arms with a finished run, in the order they were given.
        seeds: Requested seeds.
        budgets: False boxes per clean image.
        classes: By name.
        images: Images of val that were read.
        clean_images: Images without objects; 0 means that false boxes were counted per image.
        confidence: Level of the intervals.
        resamples: Number of bootstrap resamples.
        failed: Runs that did not finish, one phrase each.
        stock, oracle: Names of the arms between which the gap lies; None without an oracle.
        gap: By metric the oracle's mean minus stock's; None where no seed of both finished. Empty without an oracle.
        ignored, first_ignored, unlabelled, filtered, filtered_by, copies, in_train: As in `SplitCounts`, of the first
            run; `in_train` is the largest of any arm.
    """

    first: str
    arms: tuple[ArmFigures, ...]
    seeds: tuple[int, ...]
    budgets: tuple[float, ...]
    classes: Mapping[str, ClassCounts]
    images: int
    clean_images: int
    confidence: float
    resamples: int
    failed: tuple[str, ...] = ()
    stock: str | None = None
    oracle: str | None = None
    gap: Mapping[str, Difference | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        runs: Mapping[str, Sequence[RunFigures]],
        train: Sequence[int],
        *,
        first: str,
        seeds: Sequence[int],
        changes: Mapping[str, Sequence[str]] | None = None,
        failed: Sequence[str] = (),
        confidence: float = 0.95,
        resamples: int = RESAMPLES,
        gap: tuple[str, str] | None = None,
    ) -> Comparison:
        """Compare runs.

        Args:
            runs: Finished runs by arm, in the order of the arms; arms without a run are left out.
            train: Boxes in train by class id, which decide the rare classes.
            first: Name of the arm to compare with.
            seeds: Requested seeds.
            changes: By arm, differences to the first arm's training.
            failed: Runs that did not finish.
            confidence: Level of the intervals.
            resamples: Number of bootstrap resamples.
            gap: Names of stock and of the oracle; None without an oracle.

        Raises:
            DataError: There is no run; or one was read on other images, classes or budgets than the first.
        """
        finished = {arm: sorted(found, key=lambda run: run.seed) for arm, found in runs.items() if found}
        if not finished:
            raise DataError("compare: no run finished, there is nothing to compare")
        d = next(iter(finished.values()))[0].detections
        for arm, found in finished.items():
            for run in found:
                if not _same(run.detections, d):
                    raise DataError(f"compare: {arm}, seed {run.seed} was read on other images, classes or budgets")
        classes = _counts(d, np.asarray(train, np.int64))
        split = _split(d, classes)
        resampling = Resampling(d.unit, resamples, confidence, SEED)
        recall = {arm: resampling.recall(found, split) for arm, found in finished.items()}
        reference = (finished[first], recall[first]) if first in finished else None
        arms = []
        for arm, found in finished.items():
            of_arm = figures(found, recall[arm], split, resampling, None if arm == first else reference)
            arms.append(ArmFigures(arm, tuple((changes or {}).get(arm, ())), of_arm, _most([r.counts for r in found])))
        budgets = tuple(map(float, d.budgets))
        apart: dict[str, Difference | None] = {}
        if gap is not None:
            readings = {arm.name: ArmReadings.of(arm.figures, recall[arm.name]) for arm in arms}
            ends = [readings[name] for name in gap if name in readings]
            both = Gap(ends[0], ends[1], budgets, split, resampling) if len(ends) == len(gap) else None
            apart = dict.fromkeys(share_keys(budgets)) if both is None else both.differences()
            arms = [_with_shares(arm, both, readings[arm.name], apart) for arm in arms]
        every = [run.counts for found in finished.values() for run in found]
        return cls(
            first=first,
            arms=tuple(arms),
            seeds=tuple(seeds),
            budgets=budgets,
            classes=classes,
            images=len(d.counted),
            clean_images=len(d.counted) - len(np.unique(d.object_image)),
            confidence=confidence,
            resamples=resamples,
            failed=tuple(failed),
            stock=gap and gap[0],
            oracle=gap and gap[1],
            gap=apart,
            **{**asdict(every[0]), "in_train": _most(every)},
        )

    @property
    def others(self) -> tuple[ArmFigures, ...]:
        """The arms that have differences to the first."""
        return tuple(arm for arm in self.arms if any(figure.difference for figure in arm.figures))

    @property
    def verdicts(self) -> int:
        """Number of differences with a verdict; by chance a share of 1 - confidence would differ where nothing does."""
        found = [figure.difference for arm in self.arms for figure in arm.figures if figure.difference]
        return sum(d.verdict in ("gain", "loss", "null") for d in found)

    @property
    def per(self) -> str:
        """Name of the images that false boxes are counted on, as in `RecallReport.per`."""
        return alarm_unit(self.clean_images)

    def members(self, group: str) -> list[str]:
        """Return the names of a group's classes; its recall and AP50 are means over the classes with objects in val."""
        return [name for name, counts in self.classes.items() if counts.group == group]

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row per arm and figure in the order of COLUMNS; empty fields where there is no data."""
        rows = []
        for arm in self.arms:
            for f in arm.figures:
                d = f.difference
                budget = "" if f.budget is None else f"{f.budget:g}"
                seeds = str(sum(value is not None for value in f.runs.values()))
                row = (csv_text(arm.name), f.measure, f.scope, csv_text(f.name), budget, seeds, _decimals(f.mean))
                if d is None:
                    rows.append((*row, *[""] * 6))
                else:
                    bounds = map(_decimals, (d.value, d.low, d.high))
                    rows.append((*row, *bounds, str(d.seeds), d.over, d.verdict or ""))
            counts = {**{key: getattr(self, key) for key in COUNTS}, "in_train": arm.in_train}
            rows += [
                (csv_text(arm.name), key, "all", "", "", str(len(arm.seeds)), str(count), *[""] * 6)
                for key, count in counts.items()
                if count
            ]
            for metric, share in arm.share.items():
                low, high = arm.share_interval[metric] or (None, None)
                closed = (csv_text(arm.name), "share", "metric", metric, "", str(len(arm.seeds)), _decimals(share))
                rows.append((*closed, "", _decimals(low), _decimals(high), "", "", ""))
        return rows

    def columns(self) -> dict[str, list[object]]:
        """Return the table of arms and figures; None where there is no data."""
        rows = [(arm, figure, figure.difference) for arm in self.arms for figure in arm.figures]
        table: dict[str, list[object]] = {"arm": [arm.name for arm, _, _ in rows]}
        for key in ("measure", "scope", "name", "budget", "mean"):
            table[key] = [getattr(figure, key) for _, figure, _ in rows]
        for key, attribute in {"difference": "value", "low": "low", "high": "high"}.items():
            table[key] = [None if d is None else getattr(d, attribute) for _, _, d in rows]
        return table

    def __repr__(self) -> str:
        """Return one line: arms, seeds, and how many runs failed."""
        arms, seeds = listed([plain(arm.name) for arm in self.arms]), listed([str(seed) for seed in self.seeds])
        failed = f"; {counted(len(self.failed), 'run')} failed" if self.failed else ""
        classes = counted(len(self.classes), "class", "classes")
        return f"Comparison({arms}; seeds {seeds}; {classes}, {counted(self.images, 'image')}{failed})"

    def save(self, path: str | Path) -> None:
        """Write `compare.json`, a path that ends so or in a folder, whole or not at all."""
        write_whole(file_in(path, "compare.json"), self.to_json())

    def to_json(self) -> str:
        """Return the text of `compare.json`; `arms` is by name, in the order of the arms."""
        content = counts_last(asdict(self))
        content["arms"] = {arm["name"]: arm for arm in content["arms"]}
        return json.dumps({"schema": SCHEMA, **content}, indent=1) + "\n"


def _with_shares(arm: ArmFigures, gap: Gap | None, readings: ArmReadings, metrics: Iterable[str]) -> ArmFigures:
    """Return the arm with its share of the gap by metric, None for each without a gap."""
    found = dict.fromkeys(metrics) if gap is None else gap.shares(readings)
    share = {metric: None if closed is None else closed[0] for metric, closed in found.items()}
    return replace(arm, share=share, share_interval={m: None if c is None else c[1] for m, c in found.items()})


def _most(counts: Sequence[SplitCounts]) -> int | None:
    """Return the largest number of val's images that a train has; None where no run knows."""
    return max((run.in_train for run in counts if run.in_train is not None), default=None)


def _same(one: Detections, other: Detections) -> bool:
    shared = ("names", "budgets", "object_class", "unit")
    return one.split == other.split and all(np.array_equal(getattr(one, a), getattr(other, a)) for a in shared)


def _counts(d: Detections, train: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[str, ClassCounts]:
    rare = rare_classes(train)
    val = np.bincount(d.object_class, minlength=len(d.names))
    images = [len(np.unique(d.object_image[d.object_class == c])) for c in range(len(d.names))]
    groups = [(RARE if rare[c] else COMMON) if train[c] else None for c in range(len(d.names))]
    return {str(name): ClassCounts(int(train[c]), int(val[c]), images[c], groups[c]) for c, name in enumerate(d.names)}


def _split(d: Detections, classes: Mapping[str, ClassCounts]) -> Split:
    groups = {group: tuple(c for c, counts in enumerate(classes.values()) if counts.group == group) for group in GROUPS}
    scopes = [*(groups[group] for group in GROUPS), *((c,) for c in range(len(classes)))]
    holding = [len(np.unique(d.unit[d.object_image][np.isin(d.object_class, scope)])) for scope in scopes]
    return Split(tuple(classes), groups, tuple(holding))


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
