"""The recall report: a frozen result that prints as a table and converts to rows and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from yolo_balance.errors import DataError
from yolo_balance.files import csv_text, write_whole
from yolo_balance.recall.counts import Outcomes
from yolo_balance.recall.intervals import interval
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at

SCHEMA = 1
COLUMNS = ("epoch", "class", "budget", "n", "hits", "recall", "low", "high", "threshold", "false_alarms")


@dataclass(frozen=True)
class ClassRecall:
    """Recall of one class at one budget.

    Attributes:
        n: Objects of the class in the split.
        hits: Those found at the threshold.
        recall: hits / n; None without objects: no data is not zero.
        low: Lower bound of the interval, None without objects.
        high: Upper bound.
        threshold: Confidence at and above which boxes count.
        target: Recall promised for the class, None if none was.
    """

    n: int
    hits: int
    recall: float | None
    low: float | None
    high: float | None
    threshold: float
    target: float | None = None

    @property
    def verdict(self) -> Literal["shown", "missed", "open"] | None:
        """Whether the target is met: `shown` by the whole interval, `missed` by it, else `open`."""
        if self.target is None or self.low is None or self.high is None:
            return None
        return "shown" if self.low >= self.target else "missed" if self.high < self.target else "open"


@dataclass(frozen=True)
class BudgetRecall:
    """All classes at one false-alarm budget.

    Attributes:
        false_alarms: The budget, false boxes per clean image.
        threshold: Lowest confidence that keeps it.
        measured: False boxes per clean image at that confidence.
        classes: By class name, in class-id order.
    """

    false_alarms: float
    threshold: float
    measured: float
    classes: Mapping[str, ClassRecall]


@dataclass(frozen=True)
class RecallReport:
    """Recall per class at each false-alarm budget, with intervals.

    Attributes:
        split: Split the model was read on.
        iou: IoU at which a box finds an object.
        confidence: Level of the Wilson intervals.
        images: Images of the split.
        clean_images: Those without objects; 0 means false boxes were counted per image instead.
        budgets: One entry per budget.
    """

    split: str
    iou: float
    confidence: float
    images: int
    clean_images: int
    budgets: tuple[BudgetRecall, ...]

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
            false_alarms: Budgets.
            split: Name of the split.
            iou: IoU the outcomes were matched at.
            confidence: Level of the intervals.
            targets: Promised recall per class name.
            floor: Lowest confidence the boxes were collected at.
        """
        false_confidence, images = outcomes.confidence[outcomes.alarming], outcomes.alarm_images
        budgets = []
        for budget in false_alarms:
            threshold = threshold_at(false_confidence, max(images, 1), budget, floor=floor)
            hits = outcomes.hits_at(threshold)
            classes = {
                name: _class_recall(int(n), int(h), threshold, confidence, (targets or {}).get(name))
                for name, n, h in zip(names, outcomes.objects, hits, strict=True)
            }
            rate = false_alarm_rate(false_confidence, max(images, 1), threshold)
            budgets.append(BudgetRecall(float(budget), threshold, rate, classes))
        return cls(split, iou, confidence, outcomes.images, outcomes.clean_images, tuple(budgets))

    def rows(self, epoch: int) -> list[tuple[str, ...]]:
        """One row per budget and class in the order of COLUMNS; empty fields where there is no data."""
        return [
            (
                str(epoch),
                csv_text(name),
                f"{budget.false_alarms:g}",
                str(c.n),
                str(c.hits),
                *("" if value is None else f"{value:.5f}" for value in (c.recall, c.low, c.high)),
                f"{c.threshold:.6f}",
                f"{budget.measured:.5f}",
            )
            for budget in self.budgets
            for name, c in budget.classes.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The shape of `recall.json`."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RecallReport:
        """Inverse of `to_dict`; raises DataError for another schema version."""
        fields = dict(content)
        if fields.pop("schema", None) != SCHEMA:
            raise DataError(f"recall report: expected schema {SCHEMA}, got {content.get('schema')!r}")
        budgets = tuple(
            BudgetRecall(**{**b, "classes": {name: ClassRecall(**c) for name, c in b["classes"].items()}})
            for b in fields.pop("budgets")
        )
        return cls(**fields, budgets=budgets)

    def save(self, path: str | Path) -> None:
        """Write `recall.json`, whole or not at all."""
        write_whole(Path(path), json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> RecallReport:
        """Read `recall.json`."""
        return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))

    def __str__(self) -> str:
        """The table people read."""
        from yolo_balance.recall.table import render

        return render(self)


def _class_recall(n: int, hits: int, threshold: float, confidence: float, target: float | None) -> ClassRecall:
    if n == 0:
        return ClassRecall(0, 0, None, None, None, threshold, target)
    low, high = interval(hits, n, confidence=confidence)
    return ClassRecall(n, hits, hits / n, low, high, threshold, target)
