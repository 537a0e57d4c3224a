"""The host's validator, which also reads recall per class at each false-alarm budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ultralytics.utils import LOGGER

from yolo_balance.config import RecallConfig
from yolo_balance.integration.host import class_names, mix_in
from yolo_balance.recall import Outcomes, RecallReport


class RecallValidatorMixin:
    """Adds a recall report to every validation; what the host computes stays as it is.

    Attributes:
        recall: What to report.
        recall_report: The last validation's report; None before the first, and on ranks that gather nothing.
    """

    recall: RecallConfig
    recall_report: RecallReport | None = None
    args: Any
    metrics: Any
    names: dict[int, str]

    def get_stats(self) -> dict[str, Any]:
        """The host's metrics and one `recall/...` entry per class and budget, which results.csv and loggers receive."""
        self.recall_report = self._read_recall()  # before the host clears its statistics
        stats: dict[str, Any] = super().get_stats()  # type: ignore[misc]
        return {**stats, **recall_columns(self.recall_report)}

    def print_results(self) -> None:
        """The host's lines and our table."""
        super().print_results()  # type: ignore[misc]
        LOGGER.info(f"\n{self.recall_report}\n")

    def _read_recall(self) -> RecallReport:
        stats, names = self.metrics.stats, class_names(self.names)
        column = round((self.recall.iou - 0.5) * 20)  # the host matches at IoU 0.5, 0.55, ..., 0.95
        outcomes = Outcomes.pool(
            hit=[np.asarray(tp)[:, column] for tp in stats["tp"]],
            confidence=stats["conf"],
            predicted=stats["pred_cls"],
            objects=stats["target_cls"],
            num_classes=len(names),
        )
        return RecallReport.of(
            outcomes,
            names,
            false_alarms=self.recall.false_alarms,
            split=self.args.split or "val",
            iou=self.recall.iou,
            confidence=self.recall.confidence,
            targets=self.recall.targets,
            floor=self.args.conf,
        )


def balance_validator(validator: Any, recall: RecallConfig) -> Any:
    """Make a validator report recall, in place."""
    mix_in(validator, RecallValidatorMixin)
    validator.recall = recall
    return validator


def recall_columns(report: RecallReport) -> dict[str, float]:
    """Metrics by column name, `recall/crack_fa0.1`; a class without objects has none, for no number is true of it."""
    names = column_names(list(report.budgets[0].classes))
    return {
        f"recall/{column}_fa{budget.false_alarms:g}": c.recall
        for budget in report.budgets
        for column, c in zip(names, budget.classes.values(), strict=True)
        if c.recall is not None
    }


def column_names(classes: Sequence[str]) -> list[str]:
    """Class names in the characters that a CSV header and every logger accept, told apart by id where they collide."""
    plain = [re.sub(r"[^\w\-. ]", "_", name) for name in classes]
    return [name if plain.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(plain)]
