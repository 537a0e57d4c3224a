"""`thresholds.yaml`: the confidence from which on a box counts, by class and false-alarm budget, beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import Field, ValidationError

from yolo_balance.config.reading import key_text, problem_lines, read_yaml, shown
from yolo_balance.config.section import Section
from yolo_balance.errors import ConfigError
from yolo_balance.files import write_whole
from yolo_balance.ranges import Amount, Confidence, Count
from yolo_balance.recall.conditions import Conditions
from yolo_balance.recall.report import RecallReport
from yolo_balance.results import Result, file_in
from yolo_balance.text import counted, listed, plain

SCHEMA = 1
MOST_BYTES = 8 << 20
"""Size above which the file is none of thresholds; 10,000 classes at three budgets have 1 MiB."""
Zone = Literal["pass", "review", "reject"]
"""Fate of a part: it passes, a person looks at it, or it is rejected."""


class ZoneBudgets(Section):
    """Budgets of the review zone and of the reject zone.

    Attributes:
        review: False boxes per clean image from which on a person looks, the loosest budget.
        reject: Likewise from which on a part is rejected, the strictest; equal to `review` nothing is reviewed.
    """

    review: Amount
    reject: Amount


class BudgetThresholds(Section):
    """Thresholds that keep one budget.

    Attributes:
        false_alarms: The budget, false boxes per clean image.
        threshold: One confidence for all classes.
        classes: One confidence per class name, in class-id order; together they keep the same budget.
    """

    false_alarms: Amount
    threshold: Confidence
    classes: Annotated[dict[str, Confidence], Field(min_length=1)]


class Thresholds(Result, Conditions):
    """Thresholds of a set of weights: the confidence from which on a box of a class counts, and their conditions.

    A class's review threshold is the lower of its thresholds at the two budgets of `zones`, its reject threshold the
    higher. Classes share each budget independently, so that a class's threshold may be lower at the stricter budget;
    with the lower of both, a box that rejects a part is always among those that have it reviewed.

    Attributes:
        split: Split on which the thresholds were measured.
        iou: IoU at which a box found an object.
        images: Images of the split.
        clean_images: Images without objects; 0 means false boxes were counted per image instead.
        zones: Budgets of the zones.
        budgets: Thresholds of each budget.
        chosen_on: Images that the thresholds were chosen on, or certified on, as `image_ids` knows them, parted by
            spaces; None in a file without them.
    """

    split: str
    iou: Annotated[float, Field(gt=0, le=1)]
    images: Count
    clean_images: Count
    zones: ZoneBudgets
    budgets: Annotated[list[BudgetThresholds], Field(min_length=1)]
    chosen_on: str | None = None

    @classmethod
    def of(cls, report: RecallReport, conditions: Conditions | None = None) -> Thresholds:
        """Take the thresholds of a report; the loosest budget makes the review zone, the strictest rejects."""
        budgets = {
            budget.false_alarms: BudgetThresholds(
                false_alarms=budget.false_alarms,
                threshold=budget.threshold,
                classes={name: float(row.threshold) for name, row in (budget.per_class or budget).classes.items()},
            )
            for budget in report.budgets
        }
        return cls(
            **(conditions or Conditions()).model_dump(),
            split=report.split,
            iou=report.iou,
            images=report.images,
            clean_images=report.clean_images,
            zones=ZoneBudgets(review=max(budgets), reject=min(budgets)),
            budgets=list(budgets.values()),
        )

    @classmethod
    def load(cls, path: str | Path) -> Thresholds:
        """Read `thresholds.yaml`; raises ConfigError with a line per problem of the file."""
        content = read_yaml(path, MOST_BYTES)
        if (schema := content.pop("schema", None)) != SCHEMA or isinstance(schema, bool):
            raise ConfigError(f"{path}: schema: expected {SCHEMA}, got {shown(schema)}")
        try:
            thresholds = cls.model_validate(content)
        except ValidationError as e:
            raise ConfigError([f"{path}: {line}" for line in problem_lines(e, _keys(content))]) from None
        if problems := thresholds._contradictions():
            raise ConfigError([f"{path}: {line}" for line in problems])
        return thresholds

    def save(self, path: str | Path) -> None:
        """Write `thresholds.yaml`, a path that ends so or in a folder, whole or not at all; floats load the same."""
        content = {"schema": SCHEMA, **self.model_dump()}
        write_whole(
            file_in(path, "thresholds.yaml"),
            self._head() + yaml.safe_dump(content, sort_keys=False, allow_unicode=True),
        )

    @cached_property
    def review(self) -> dict[str, float]:
        """Confidence per class name from which on a part is at least reviewed."""
        return {name: min(values) for name, values in self._zone_thresholds().items()}

    @cached_property
    def reject(self) -> dict[str, float]:
        """Confidence per class name from which on a part is rejected."""
        return {name: max(values) for name, values in self._zone_thresholds().items()}

    def zone(self, classes: Sequence[str], confidence: npt.ArrayLike) -> Zone:
        """Return the zone of an image from class name and confidence of its P boxes.

        `reject` if a box is at or above its class's reject threshold, else `review` if one is at or above its review
        threshold, else `pass`.
        """
        score = np.asarray(confidence, np.float64)
        reject, review = (
            bool((score >= [threshold[name] for name in classes]).any()) for threshold in (self.reject, self.review)
        )
        return "reject" if reject else "review" if review else "pass"

    def columns(self) -> dict[str, list[object]]:
        """Return the table of budgets and classes."""
        rows = [(budget.false_alarms, *item) for budget in self.budgets for item in budget.classes.items()]
        return {key: [row[i] for row in rows] for i, key in enumerate(("budget", "class", "threshold"))}

    def __repr__(self) -> str:
        """Return one line: classes, budgets, and the range of the reject thresholds."""
        lowest, highest = (pick(self.reject, key=self.reject.__getitem__) for pick in (min, max))
        budgets = listed([f"{budget.false_alarms:g}" for budget in self.budgets])
        classes = counted(len(self.reject), "class", "classes")
        return (
            f"Thresholds({plain(self.split)}: {classes}, budgets {budgets}; reject "
            f"from {self.reject[lowest]:.3f} ({plain(lowest)}) to {self.reject[highest]:.3f} ({plain(highest)}))"
        )

    __str__ = __repr__

    def _zone_thresholds(self) -> dict[str, tuple[float, float]]:
        at = {budget.false_alarms: budget.classes for budget in self.budgets}
        review, reject = at[self.zones.review], at[self.zones.reject]
        return {name: (review[name], reject[name]) for name in review}

    def _contradictions(self) -> list[str]:
        """Return a line for each value that contradicts another."""
        budgets, first = [b.false_alarms for b in self.budgets], self.budgets[0].classes
        problems, known = [], listed([key_text(name) for name in first])
        if self.clean_images > self.images:
            problems.append(f"clean_images: expected at most images, {self.images}, got {self.clean_images}")
        for i, budget in enumerate(self.budgets):
            if budget.false_alarms in budgets[:i]:
                problems.append(
                    f"budgets.{i}.false_alarms: expected each budget once, got {budget.false_alarms:g} again"
                )
            own = budget.classes
            unknown, missing = [name for name in own if name not in first], [name for name in first if name not in own]
            key = f"budgets.{i}.classes"
            problems += [f"{key}.{key_text(name)}: unknown class, those of budgets.0 are {known}" for name in unknown]
            problems += [
                f"{key}.{key_text(name)}: missing, expected the classes of budgets.0: {known}" for name in missing
            ]
        stated = ", ".join(f"{b:g}" for b in budgets)
        problems += [
            f"zones.{zone}: expected one of the budgets {stated}, got {value:g}"
            for zone, value in (("review", self.zones.review), ("reject", self.zones.reject))
            if value not in budgets
        ]
        if self.zones.review < self.zones.reject:
            problems.append(
                f"zones.review: expected a budget no stricter than zones.reject, {self.zones.reject:g}, "
                f"got {self.zones.review:g}"
            )
        return problems

    def _head(self) -> str:
        """Return the comments at the top of the file: its use and its origin."""
        if self.clean_images:
            basis = f"false boxes per clean image, on {self.clean_images} clean of {self.images} images"
        else:
            basis = f"no clean image, so false boxes per image, on {self.images} images"
        lines = [
            "Confidence from which on a box counts, by false-alarm budget and class, for `yolo_balance predict` and",
            "`attach_thresholds`. An image is rejected if a box is at or above its class's threshold at the budget",
            "zones.reject, else reviewed if one is at or above that at zones.review, else it passes.",
            f"Measured on split {shown(self.split)}: {basis}.",
            "They belong to the weights they were measured with: after any training measure anew.",
        ]
        return "".join(f"# {line}\n" for line in lines)


def _keys(content: dict[str, Any]) -> list[str]:
    """Return every dotted key that a file may have, with as many budgets as it lists."""
    budgets = content.get("budgets")
    count = len(budgets) if isinstance(budgets, list) else 0
    return [
        "schema",
        *Thresholds.model_fields,
        *(f"zones.{key}" for key in ZoneBudgets.model_fields),
        *(f"budgets.{i}.{key}" for i in range(count) for key in BudgetThresholds.model_fields),
    ]
