"""The recall report: a frozen result that prints as a table and converts to rows and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolo_balance.errors import DataError
from yolo_balance.files import write_whole
from yolo_balance.recall.counts import Outcomes
from yolo_balance.recall.intervals import interval
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at
from yolo_balance.recall.verdicts import Verdict, verdict

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
        confidence: Level of the interval.
    """

    n: int
    hits: int
    recall: float | None
    low: float | None
    high: float | None
    threshold: float
    target: float | None = None
    confidence: float = 0.95

    @property
    def verdict(self) -> Verdict | None:
        """Whether the target is met, as `verdicts.verdict` says; None without a target."""
        if self.target is None:
            return None
        return verdict(self.n, self.low, self.high, target=self.target, confidence=self.confidence)


@dataclass(frozen=True)
class BudgetRecall:
    """All classes at one false-alarm budget.

    Attributes:
        false_alarms: The budget, false boxes per clean image.
        threshold: Lowest confidence that keeps it.
        measured: False boxes per clean image at that confidence; None in a report that does not say.
        classes: By class name, in class-id order.
    """

    false_alarms: float
    threshold: float
    measured: float | None
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
                name,
                f"{budget.false_alarms:g}",
                str(c.n),
                str(c.hits),
                *("" if value is None else f"{value:.5f}" for value in (c.recall, c.low, c.high)),
                f"{c.threshold:.6f}",
                "" if budget.measured is None else f"{budget.measured:.5f}",
            )
            for budget in self.budgets
            for name, c in budget.classes.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The shape of `recall.json`."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, source: str = "recall report") -> RecallReport:
        """Inverse of `to_dict`, also of a report that somebody else wrote.

        More keys than ours are ignored. Required are `schema`, `split`, `iou`, `images`, `clean_images` and `budgets`;
        per budget `false_alarms`, `threshold` and `classes`; per class `n`, `hits`, `recall`, `low`, `high` and
        `threshold`. Left out, `confidence` is 0.95 and `measured` is not known.

        Args:
            content: Of the JSON.
            source: Name of the file, for the error.

        Raises:
            DataError: One line that names the key: missing, of another type, out of range, or another schema version.
        """
        from yolo_balance.recall.reading import read

        return read(content, source)

    def save(self, path: str | Path) -> None:
        """Write `recall.json`, whole or not at all."""
        write_whole(Path(path), json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> RecallReport:
        """Read `recall.json`; raises DataError in one line that names the file, and the key where it is one."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as e:
            reason = e.strerror if isinstance(e, OSError) else f"not JSON: {e}"
            raise DataError(f"{path}: expected the recall.json of a run, but it cannot be read ({reason})") from e
        return cls.from_dict(content, source=str(path))

    def __str__(self) -> str:
        """The table people read."""
        from yolo_balance.recall.table import render

        return render(self)


def _class_recall(n: int, hits: int, threshold: float, confidence: float, target: float | None) -> ClassRecall:
    if n == 0:
        return ClassRecall(0, 0, None, None, None, threshold, target, confidence)
    low, high = interval(hits, n, confidence=confidence)
    return ClassRecall(n, hits, hits / n, low, high, threshold, target, confidence)
