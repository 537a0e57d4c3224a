"""The recall report: a frozen result that converts to rows and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from yolo_balance.bounded_files import read_json, shown
from yolo_balance.config.recall import CostsConfig
from yolo_balance.files import csv_text, write_whole
from yolo_balance.ranges import Amount, Confidence, Count, Digest
from yolo_balance.recall.class_recall import ClassRecall, read_classes
from yolo_balance.recall.class_thresholds import share_budget
from yolo_balance.recall.costs import cheapest_threshold
from yolo_balance.recall.details import Details
from yolo_balance.recall.diagnosis.detection_probability import pod_by_class
from yolo_balance.recall.diagnosis.error_types import ErrorTypes
from yolo_balance.recall.diagnosis.recall_by_size import RecallBySize
from yolo_balance.recall.evidence.betting import CAP, alarm_interval
from yolo_balance.recall.evidence.effective_size import effective_sizes
from yolo_balance.recall.images import ImageRates, zones
from yolo_balance.recall.operating_point import alarm_unit, threshold_at
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.recall.report_json import SCHEMA, read
from yolo_balance.recall.split_counts import SplitCounts, counts_last
from yolo_balance.results import Result, file_in
from yolo_balance.text import counted, plain

COLUMNS = (
    *("epoch", "class", "budget", "n", "hits", "recall", "low", "high", "threshold", "false_alarms"),
    *("clustered_low", "clustered_high", "precision", "ap50", "f1"),
)


class ClassScores(NamedTuple):
    """AP50 and F1 of a class as Ultralytics computes them, F1 at the confidence of the best mean F1."""

    ap50: float
    f1: float


@dataclass(frozen=True)
class PerClassRecall:
    """All classes at one shared false-alarm budget, each with a confidence of its own (`share_budget`).

    Attributes:
        measured: False boxes per clean image at these confidences, of all classes together.
        classes: By class name, in class-id order.
        images: Escapes and overkill at these confidences.
    """

    measured: Amount
    classes: Mapping[str, ClassRecall]
    images: ImageRates | None = None


@dataclass(frozen=True)
class BudgetRecall:
    """All classes at one false-alarm budget.

    Attributes:
        false_alarms: The budget, false boxes per clean image.
        threshold: Lowest confidence that keeps the budget.
        measured: False boxes per clean image at the threshold; None in a report without them.
        classes: By class name, in class-id order.
        per_class: The same with a confidence for each class.
        images: Escapes and overkill at the threshold.
        measured_low, measured_high: Bounds of false boxes per clean image, by unit, each unit counted with three at
            most; None in a report without them. On the split that chose the threshold they show no budget.
    """

    false_alarms: Amount
    threshold: Confidence
    measured: Amount | None
    classes: Mapping[str, ClassRecall]
    per_class: PerClassRecall | None = None
    images: ImageRates | None = None
    measured_low: Amount | None = None
    measured_high: Amount | None = None


@dataclass(frozen=True)
class RecallReport(Result, SplitCounts):
    """Recall per class at each false-alarm budget, with intervals.

    Attributes:
        split: Split the model was read on.
        iou: IoU at which a box finds an object.
        confidence: Level of the intervals.
        images: Images of the split that were read, each once.
        clean_images: Images without objects; 0 means that false boxes were counted per image.
        budgets: One entry per budget.
        details: Details in the report of a finished model; None during training.
        units: Units of the images (`Outcomes.unit`), on which intervals and verdicts count; None where each image is
            one.
        weights_sha256: SHA-256 of the model's file in the report of a finished model; None where it is not known.
            Reports that differ in it alone are equal.
        ignored, first_ignored, unlabelled, filtered, filtered_by, copies, in_train: As in `SplitCounts`.
    """

    split: str
    iou: float
    confidence: float
    images: Count
    clean_images: Count
    budgets: tuple[BudgetRecall, ...]
    details: Details | None = None
    units: Count | None = None
    weights_sha256: Digest | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        """Refuse a report that cannot be; raises ValueError that begins with the key."""
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence: expected a level in (0, 1), got {shown(self.confidence)}")
        if not 0 < self.iou <= 1:
            raise ValueError(f"iou: expected an overlap in (0, 1], got {shown(self.iou)}")
        if self.clean_images > self.images:
            raise ValueError(f"clean_images: expected at most images = {self.images}, got {self.clean_images}")
        if self.units is not None and not 0 < self.units <= self.images:
            raise ValueError(f"units: expected 1 to images = {self.images}, got {self.units}")
        if not self.budgets:
            raise ValueError("budgets: expected at least one")
        for i, budget in enumerate(self.budgets):
            if budget.classes.keys() != self.budgets[0].classes.keys():
                raise ValueError(f"budgets.{i}.classes: expected the classes of the first budget")

    @classmethod
    def of(
        cls,
        outcomes: Outcomes,
        names: Sequence[str],
        *,
        false_alarms: Sequence[float],
        split: str = "val",
        iou: float = 0.5,
        confidence: float = 0.95,
        targets: Mapping[str, float] | None = None,
        floor: float = 0.0,
    ) -> RecallReport:
        """Read a validation pass at each budget.

        Args:
            outcomes: Boxes and objects of the split.
            names: C class names by class id.
            false_alarms: Budgets, in false boxes per clean image.
            split: Name of the split.
            iou: IoU the outcomes were matched at.
            confidence: Level of the intervals.
            targets: Promised recall per class name.
            floor: Lowest confidence the boxes were collected at.
        """
        false_confidence, images = outcomes.confidence[outcomes.alarming], max(outcomes.alarm_images, 1)
        common = [threshold_at(false_confidence, images, budget, floor=floor) for budget in false_alarms]
        own = [share_budget(outcomes, budget, floor=floor) for budget in false_alarms]
        every = np.array([np.full(outcomes.num_classes, t) for t in common] + own)  # two readings per budget
        detected = np.array([outcomes.detected(thresholds) for thresholds in every])
        sizes = effective_sizes(detected, outcomes.object_class, outcomes.object_unit, outcomes.num_classes)
        pairs = np.unique(outcomes.object_class * outcomes.units + outcomes.object_unit)  # of a class and a unit
        holding = np.bincount(pairs // max(outcomes.units, 1), minlength=outcomes.num_classes)
        readings = [
            read_classes(outcomes, names, thresholds, n_effective, holding, confidence, targets or {})
            for thresholds, n_effective in zip(every, sizes, strict=True)
        ]
        budgets = []
        for i, budget in enumerate(false_alarms):
            shared = float((outcomes.counts(own[i]) & outcomes.alarming).sum()) / images
            rate = float((false_confidence >= common[i]).sum()) / images
            of_all, of_each = (ImageRates.of(outcomes, t, names, confidence=confidence) for t in (common[i], own[i]))
            per_class = PerClassRecall(shared, readings[len(common) + i], of_each)
            bounds = _alarm_bounds(outcomes, common[i], budget, confidence)
            budgets.append(BudgetRecall(float(budget), common[i], rate, readings[i], per_class, of_all, *bounds))
        units = None if outcomes.units == outcomes.images else outcomes.units
        return cls(split, iou, confidence, outcomes.images, outcomes.clean_images, tuple(budgets), units=units)

    def with_details(self, outcomes: Outcomes, costs: CostsConfig | None = None) -> RecallReport:
        """Return the report with its details, read from the same outcomes."""
        first, by_budget = self.budgets[0], sorted(self.budgets, key=lambda budget: budget.false_alarms)
        strict, loose = (
            [row.threshold for row in (budget.per_class or budget).classes.values()]
            for budget in (by_budget[0], by_budget[-1])
        )
        names, threshold, level = list(first.classes), first.threshold, self.confidence
        details = Details(
            zones(outcomes, np.minimum(strict, loose), np.maximum(strict, loose), names, confidence=level),
            None
            if costs is None
            else cheapest_threshold(outcomes, names, costs.escape, costs.overkill, costs.defect_rate),
            ErrorTypes.of(outcomes, names, threshold, iou=self.iou),
            RecallBySize.of(outcomes, names, threshold, confidence=level),
            pod_by_class(outcomes, names, threshold),
        )
        return dataclasses.replace(self, details=details)

    @property
    def per(self) -> str:
        """Name of the images that false boxes are counted on: `clean image`, or `image` on a split without any."""
        return alarm_unit(self.clean_images)

    @property
    def cluster(self) -> str:
        """Name of what intervals count as independent: `image`, or `unit`."""
        return "image" if self.units is None else "unit"

    def rows(self, epoch: int, scores: Mapping[str, ClassScores] | None = None) -> list[tuple[str, ...]]:
        """Return a row per budget and class in the order of COLUMNS; empty fields where there is no data.

        `scores` by class name are those of Ultralytics, which hold at every budget.
        """
        known = scores or {}
        return [
            (
                str(epoch),
                csv_text(name),
                f"{budget.false_alarms:g}",
                str(c.n),
                str(c.hits),
                *map(_decimals, (c.recall, c.low, c.high)),
                f"{c.threshold:.6f}",
                "" if budget.measured is None else f"{budget.measured:.5f}",
                *map(_decimals, (*(c.bounds or (None, None)), c.precision, *known.get(name, (None, None)))),
            )
            for budget in self.budgets
            for name, c in budget.classes.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `recall.json`: the reading, then what the split held besides."""
        content = counts_last(dataclasses.asdict(self))
        for key in ("units", "weights_sha256"):
            if content[key] is None:
                del content[key]
        return {"schema": SCHEMA, **content}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, source: str = "recall report") -> RecallReport:
        """Read the content of a `recall.json`, whoever wrote it; the inverse of `to_dict`.

        More keys than ours are ignored. Required are `schema`, `split`, `iou`, `images`, `clean_images` and `budgets`;
        per budget `false_alarms`, `threshold` and `classes`; per class `n`, `hits`, `recall`, `low`, `high` and
        `threshold`. Left out, `confidence` is 0.95, `measured` is not known, and the counts of images are 0.

        Args:
            content: Content of the JSON.
            source: Name of the file, for the error.

        Raises:
            DataError: One line that names the key: missing, of another type, out of range, or another schema version.
        """
        return read(cls, content, source)

    def save(self, path: str | Path) -> None:
        """Write `recall.json`, a path that ends so or in a folder, whole or not at all."""
        write_whole(file_in(path, "recall.json"), json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> RecallReport:
        """Read `recall.json`; raises DataError in one line that names the file, and the key where it is one."""
        return read(cls, read_json(path, "the recall.json of a run"), str(path))

    def columns(self) -> dict[str, list[object]]:
        """Return the table of budgets and classes."""
        rows = [(budget, name, row) for budget in self.budgets for name, row in budget.classes.items()]
        figures = ("n", "hits", "recall", "low", "high", "threshold", "precision", "target")
        table: dict[str, list[object]] = {"budget": [b.false_alarms for b, _, _ in rows]}
        table["class"] = [name for _, name, _ in rows]
        return table | {figure: [getattr(row, figure) for _, _, row in rows] for figure in figures}

    def __repr__(self) -> str:
        """Return one line: the split, and the worst class at the first budget."""
        first = self.budgets[0]
        read = [(row.recall, name) for name, row in first.classes.items() if row.recall is not None]
        worst = f"worst recall {min(read)[0]:.2f} ({plain(min(read)[1])})" if read else "no objects"
        of = f"{counted(len(first.classes), 'class', 'classes')}, {counted(self.images, 'image')}"
        return f"RecallReport({plain(self.split)}: {of}; {worst} at {first.false_alarms:g} false boxes per {self.per})"

    def __str__(self) -> str:
        """Draw the console table: users print the report that `train` returns.

        No other pure function calls `views`, or imports inside its body.
        """
        from yolo_balance.views.recall.report_console import render_report

        return render_report(self)


def _alarm_bounds(outcomes: Outcomes, threshold: float, budget: float, level: float) -> tuple[float, float]:
    """Return bounds of false boxes per image at a threshold, the units counted that hold the images of a budget."""
    images = outcomes.clean if outcomes.clean_images else np.ones(outcomes.images, bool)
    units, unit = np.unique(outcomes.unit[images], return_inverse=True)
    place = np.zeros(outcomes.images, np.int64)
    place[images] = unit
    boxes = outcomes.counts(threshold) & outcomes.alarming
    counts = np.bincount(place[outcomes.image[boxes]], minlength=len(units))
    per_unit = max(int(images.sum()), 1) / max(len(units), 1)
    low, high = alarm_interval(counts, min(budget * per_unit, CAP / 2), level)
    return low / per_unit, high / per_unit


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"
