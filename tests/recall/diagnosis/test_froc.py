"""Laws of the FROC curves, against counting box by box."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.outcomes import pooled
from helpers.random_splits import random_split

from yolo_balance import RecallReport
from yolo_balance.recall import Outcomes, interval, threshold_at
from yolo_balance.recall.diagnosis.froc import froc


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "no clean image"])
@pytest.mark.parametrize("coarse", [True, False], ids=["ties", "no ties"])
@pytest.mark.parametrize("seed", range(5))
def test_every_point_is_what_counting_at_its_threshold_gives(seed, coarse, clean):
    split = random_split(seed, clean=clean, coarse=coarse)
    assert bool(split.clean_images) == clean
    curve = froc(split, [0.3, 0.5], points=20)
    assert {0.0, 0.3, 0.5} <= set(curve.threshold)
    false = split.confidence[split.alarming]
    for k, threshold in enumerate(curve.threshold):
        assert curve.false_alarms[k] == (false >= threshold).sum() / split.alarm_images
        np.testing.assert_array_equal(curve.hits[:, k], split.hits_at(threshold))
    assert (np.diff(curve.threshold) < 0).all()
    assert (np.diff(curve.false_alarms) >= 0).all()
    assert (np.diff(curve.hits) >= 0).all()
    np.testing.assert_array_equal(curve.objects, split.objects)
    assert np.isnan(curve.recall[2]).all(), "a class without objects has no recall"


@pytest.mark.parametrize("seed", range(5))
def test_with_points_enough_it_holds_every_budget_s_lowest_threshold(seed):
    split = random_split(seed, coarse=False)
    false = split.confidence[split.alarming]
    curve = froc(split, points=20 * len(false))
    for allowed in range(len(false) + 1):
        threshold = threshold_at(false, split.alarm_images, allowed / split.alarm_images)
        assert threshold in curve.threshold


@pytest.mark.parametrize("seed", range(5))
def test_it_passes_through_the_report_at_its_budgets(seed):
    split = random_split(seed, coarse=seed % 2 == 0)
    report = RecallReport.of(split, list("abc"), false_alarms=[0.0, 0.1, 1.0])
    curve = froc(split, [budget.threshold for budget in report.budgets], points=8)
    for budget in report.budgets:
        k = curve.threshold.tolist().index(budget.threshold)
        assert curve.false_alarms[k] == budget.measured
        for c, row in enumerate(budget.classes.values()):
            assert curve.hits[c, k] == row.hits
            if row.recall is not None:
                low, high = curve.band(c, report.confidence)
                assert (curve.recall[c, k], low[k], high[k]) == (row.recall, row.low, row.high)


@pytest.mark.parametrize("points", [1, 2, 3, 50, 200])
def test_it_has_no_more_points_than_asked_for(points):
    split = random_split(1, images=600, coarse=False)
    assert len(froc(split, points=points).threshold) <= max(points, 2)
    assert len(froc(split, [0.2, 0.4], points=points).threshold) <= max(points, 4)
    assert len(froc(split).threshold) <= 200


def test_points_are_spread_over_the_decades():
    alarms = 10_000
    split = pooled([[0] * alarms], [np.linspace(0.1, 0.9, alarms).tolist()], [[0] * alarms], [[]], 1)
    curve = froc(split, points=100)
    for decade in (1, 10, 100, 1000):
        assert ((curve.false_alarms >= decade) & (curve.false_alarms < 10 * decade)).sum() >= 7
    assert (curve.false_alarms[0], curve.false_alarms[-1]) == (0, alarms)


def test_bands_are_the_intervals_of_each_point():
    curve = froc(random_split(3), points=10)
    for c in range(3):
        expected = [interval(int(hits), int(curve.objects[c]), confidence=0.9) for hits in curve.hits[c]]
        np.testing.assert_array_equal(np.stack(curve.band(c, 0.9), axis=1), expected)


def test_of_nothing_there_is_one_point():
    for split in (Outcomes.pool([], 2), pooled([[]], [[]], [[]], [[0]], 2)):
        curve = froc(split)
        assert curve.threshold.tolist() == [0.0]
        assert curve.false_alarms.tolist() == [0.0]
        assert curve.hits.tolist() == [[0], [0]]
