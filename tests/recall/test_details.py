"""The details of a report are what their parts say at its operating points, and survive JSON."""

import dataclasses

import numpy as np
import pytest
from helpers.splits import NAMES, pool, split

from yolo_balance.config.recall import CostsConfig
from yolo_balance.recall import RecallReport
from yolo_balance.recall.costs import cheapest_threshold
from yolo_balance.recall.diagnosis.error_types import ErrorTypes
from yolo_balance.recall.diagnosis.recall_by_size import RecallBySize
from yolo_balance.recall.images import ImageRates, zones

COSTS = CostsConfig(escape={"a": 100.0}, overkill=1.0, defect_rate=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_parts_are_read_at_the_report_s_operating_points(seed):
    outcomes = pool(split(seed, 60))
    report = RecallReport.of(outcomes, NAMES, false_alarms=[0.1, 1.0]).with_details(outcomes, COSTS)
    first, last = report.budgets
    own = [[row.threshold for row in budget.per_class.classes.values()] for budget in (first, last)]
    assert report.details.errors == ErrorTypes.of(outcomes, NAMES, first.threshold)
    assert report.details.sizes == RecallBySize.of(outcomes, NAMES, first.threshold)
    assert report.details.zones == zones(outcomes, np.min(own, axis=0), np.max(own, axis=0), NAMES)
    assert report.details.cheapest == cheapest_threshold(outcomes, NAMES, {"a": 100.0}, 1.0, 0.01)
    for budget in report.budgets:
        assert budget.images == ImageRates.of(outcomes, budget.threshold, NAMES)
        thresholds = [row.threshold for row in budget.per_class.classes.values()]
        assert budget.per_class.images == ImageRates.of(outcomes, thresholds, NAMES)
    missed = [row.objects.not_found for row in report.details.errors.classes.values()]
    assert missed == [row.n - row.hits for row in first.classes.values()]


def test_one_budget_reviews_nothing():
    outcomes = pool(split(1, 60))
    details = RecallReport.of(outcomes, NAMES, false_alarms=[0.5]).with_details(outcomes).details
    assert details.zones.defective.reviewed.count == details.zones.clean.reviewed.count == 0
    assert details.cheapest is None


def test_a_report_with_details_round_trips(tmp_path):
    outcomes = pool(split(2, 80))
    report = RecallReport.of(outcomes, NAMES, false_alarms=[0.1, 1.0]).with_details(outcomes, COSTS)
    report.save(tmp_path / "recall.json")
    again = RecallReport.load(tmp_path / "recall.json")
    assert again == report
    assert dataclasses.replace(again, details=None) == RecallReport.of(outcomes, NAMES, false_alarms=[0.1, 1.0])
