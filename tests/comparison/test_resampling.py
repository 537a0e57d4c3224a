"""Laws of what recall is resampled from: a resample reads as the same images, repeated, would."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.comparisons import random_outcomes

from yolo_balance.comparison.resampling import resampled_recall
from yolo_balance.recall import Outcomes, RecallReport
from yolo_balance.run_folder.detections import Detections

NAMES, BUDGETS = ["a", "b", "c"], [0.0, 0.1, 0.5, 1.0, 3.0]


def recall_of(outcomes):
    report = RecallReport.of(outcomes, NAMES, false_alarms=BUDGETS)
    rows = [[c.recall for c in budget.classes.values()] for budget in report.budgets]
    return np.array(rows, np.float64)  # None, no data, is NaN


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("clean", [False, True])
def test_a_resample_is_the_report_of_its_images_repeated(ties, clean):
    rng = np.random.default_rng(0)
    for _ in range(25):
        parts, outcomes = random_outcomes(rng, images=int(rng.integers(1, 14)), ties=ties, clean=clean)
        weights = rng.integers(0, 3, (6, len(parts)))
        weights[0] = 1
        weights[:, rng.integers(len(parts))] += 1  # none is empty
        read = resampled_recall(Detections.of(outcomes, NAMES, BUDGETS), weights)
        for row, found in zip(weights, read, strict=True):
            repeated = Outcomes.pool([part for part, times in zip(parts, row, strict=True) for _ in range(times)], 3)
            if repeated.clean_images or not outcomes.clean_images:  # else the report counts false boxes on all images
                np.testing.assert_array_equal(found, recall_of(repeated))


def test_many_resamples_are_read_as_a_few_are(monkeypatch):
    rng = np.random.default_rng(3)
    _, outcomes = random_outcomes(rng)
    detections, weights = Detections.of(outcomes, NAMES, BUDGETS), rng.integers(0, 3, (30, 12))
    whole = resampled_recall(detections, weights)
    monkeypatch.setattr("yolo_balance.comparison.resampling.BLOCK", 100)
    np.testing.assert_array_equal(resampled_recall(detections, weights), whole)


def test_only_the_highest_false_boxes_are_kept_and_bound_the_threshold():
    rng = np.random.default_rng(4)
    _, outcomes = random_outcomes(rng)
    full = Detections.of(outcomes, NAMES, BUDGETS)
    assert np.all(np.diff(full.false_confidence) <= 0)
    assert len(full.false_confidence) == outcomes.alarming.sum()
    detections, ones = Detections.of(outcomes, NAMES, [1.0]), np.ones((1, 12), np.int64)
    np.testing.assert_array_equal(resampled_recall(detections, ones)[:, 0], resampled_recall(full, ones)[:, 3])
