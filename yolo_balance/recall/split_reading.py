"""A finished model's reading of one split: the report, the boxes that it was made from, and the conditions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from yolo_balance.config.recall import CostsConfig
from yolo_balance.recall.conditions import Conditions
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.recall.report import RecallReport


@dataclass(frozen=True)
class Reading:
    """One validation of a finished model, as its files and its page need it.

    Attributes:
        report: Recall per class.
        outcomes: Boxes and objects from which the report was made.
        conditions: Conditions of the validation.
        costs: `balance.recall.costs`, None without.
        baseline: Report to compare with, None without.
        title: Subject of the page, such as the folder of a run or the file of a model.
        note: A sentence that a reader of the page has to know first; empty without.
    """

    report: RecallReport
    outcomes: Outcomes
    conditions: Conditions = field(default_factory=Conditions)
    costs: CostsConfig | None = None
    baseline: RecallReport | None = None
    title: str = ""
    note: str = ""

    @property
    def names(self) -> list[str]:
        """Class names by class id."""
        return list(self.report.budgets[0].classes)

    def with_details(self) -> Reading:
        """Return the reading with the details of its report."""
        return replace(self, report=self.report.with_details(self.outcomes, self.costs))
