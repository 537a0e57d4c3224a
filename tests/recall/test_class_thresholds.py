"""Laws of the confidences that share a budget, and their agreement with trying every way of sharing it."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from helpers.outcomes import pooled

from yolo_balance.recall import RecallReport, share_budget, threshold_at
from yolo_balance.recall.class_thresholds import ROOM


def split(seed, num_classes=3, levels=20):
    """Eight images with objects and four without; few confidences, so that boxes of equal confidence occur."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(12):
        objects = rng.integers(0, num_classes, rng.integers(1, 4)) if i < 8 else np.zeros(0, int)
        found = objects[rng.random(len(objects)) < 0.8]
        false = rng.integers(0, num_classes, rng.integers(0, 3))
        predicted = np.concatenate([found, false]).astype(int)
        hit = np.arange(len(predicted)) < len(found)
        rows.append((hit, np.float32(rng.integers(1, levels, len(predicted)) / levels), predicted, objects))
    return pooled(*zip(*rows, strict=True), num_classes)


def recalls(o, thresholds):
    present = o.objects > 0
    return (o.hits_at(thresholds)[present] / o.objects[present]).tolist()


def alarms(o, thresholds):
    return int((o.counts(thresholds) & o.alarming).sum())


def best_worst(o, allowed):
    """Highest worst recall over all combinations of thresholds, class by class."""
    steps = [np.unique(np.append(o.confidence[o.predicted == c], 2.0)) for c in range(o.num_classes)]
    return max(min(recalls(o, t)) for t in product(*steps) if alarms(o, t) <= allowed)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("budget", [0.0, 0.25, 0.5, 1.0])
def test_no_other_sharing_gives_a_higher_worst_recall(seed, budget):
    o = split(seed)
    thresholds = share_budget(o, budget)
    allowed = int(budget * o.alarm_images)
    assert alarms(o, thresholds) <= allowed
    assert min(recalls(o, thresholds)) == best_worst(o, allowed)


@pytest.mark.parametrize("seed", range(12))
def test_the_worst_class_is_never_worse_off_than_at_one_confidence(seed):
    o = split(seed, num_classes=5)
    for budget in (0.25, 0.5, 1.0):
        common = threshold_at(o.confidence[o.alarming], o.alarm_images, budget)
        assert min(recalls(o, share_budget(o, budget))) >= min(recalls(o, common))


def test_by_hand():
    """Class 0 finds all without a false box; the two allowed ones go to class 1, whose next hit lies under them."""
    o = pooled(
        hit=[[1, 1, 1], [0, 0, 0], [0]],
        confidence=[[0.9, 0.8, 0.3], [0.7, 0.6, 0.2], [0.5]],
        predicted=[[0, 1, 1], [1, 1, 1], [0]],
        objects=[[0, 1, 1], [], []],
        num_classes=2,
    )
    np.testing.assert_allclose(share_budget(o, 1.0), [0.5 + ROOM, 0.2 + ROOM], atol=1e-6)
    np.testing.assert_array_equal(o.hits_at(share_budget(o, 1.0)), [1, 2])
    # One false box buys no object; class 1 takes it, for .7 is nearer to its last object's .8 than .5 to class 0's .9
    np.testing.assert_allclose(share_budget(o, 0.5), [0.5 + ROOM, 0.6 + ROOM], atol=1e-6)


def test_the_printed_report_says_what_own_confidences_would_do():
    o = pooled(
        hit=[[1, 1], [1, 1], [0, 0, 0], []],
        confidence=[[0.9, 0.2], [0.8, 0.1], [0.5, 0.4, 0.3], []],
        predicted=[[0, 1], [0, 1], [0, 0, 0], []],
        objects=[[0, 1], [0, 1], [], []],
        num_classes=2,
    )
    line = (
        "With a confidence for each class, 1 false boxes per clean image give a worst recall of 1.00 (a) instead of "
        "0.00 (b)"
    )
    assert str(RecallReport.of(o, ["a", "b"], false_alarms=[1.0])).splitlines()[-1] == line
    assert "instead of" not in str(RecallReport.of(o, ["a", "b"], false_alarms=[2.0]))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("budget", [0.25, 0.5, 1.0])
def test_what_is_left_over_lowers_all_confidences_by_one_factor(seed, budget):
    """No factor below the one taken keeps the budget; and where the budget admits all boxes, all count."""
    o = split(seed, levels=1000)
    allowed = int(budget * o.alarm_images)
    thresholds = share_budget(o, budget, floor=0.001)
    used = alarms(o, thresholds)
    below = o.confidence[o.alarming & ~o.counts(thresholds)]
    if len(below):
        assert used == allowed  # distinct confidences: not one false box is left over
    assert (share_budget(o, 10.0, floor=0.001) == 0.001).all()


def test_a_class_without_objects_keeps_the_common_confidence_and_pays_for_it():
    o = pooled(
        hit=[[1, 1], [0, 0, 0], []],
        confidence=[[0.9, 0.3], [0.8, 0.6, 0.5], []],
        predicted=[[0, 0], [2, 2, 0], []],
        objects=[[0, 0], [], []],
        num_classes=3,
    )
    common = threshold_at(o.confidence[o.alarming], 2, 1.0)
    thresholds = share_budget(o, 1.0)
    assert thresholds[2] == thresholds[1] == common
    assert alarms(o, thresholds) == 2
    np.testing.assert_allclose(thresholds[0], 0.5 + ROOM, atol=1e-6)


def test_a_split_without_clean_images_shares_what_found_nothing():
    o = pooled([[1, 0, 0]], [[0.4, 0.9, 0.2]], [[0, 0, 0]], [[0]], 1)
    assert o.clean_images == 0
    assert share_budget(o, 1.0)[0] == pytest.approx(0.2 + ROOM)
    assert share_budget(o, 0.0)[0] == pytest.approx(0.9 + ROOM)


def test_a_budget_that_is_never_reached_gives_the_floor():
    o = pooled([[1], []], [[0.9], []], [[0], []], [[0], []], 1)
    assert share_budget(o, 1.0, floor=0.001).tolist() == [0.001]


def test_the_report_holds_both_readings():
    o = split(3)
    report = RecallReport.of(o, list("abc"), false_alarms=[0.5])
    shared = report.budgets[0].per_class
    assert shared.measured <= 0.5
    np.testing.assert_array_equal([row.threshold for row in shared.classes.values()], share_budget(o, 0.5))
    np.testing.assert_array_equal([row.hits for row in shared.classes.values()], o.hits_at(share_budget(o, 0.5)))


@pytest.mark.parametrize("seed", range(12))
def test_a_last_digit_lets_no_false_box_back_in(seed):
    """Confidences of the same image differ by 1e-6 where another batch sums in another order."""
    o = split(seed)
    thresholds = share_budget(o, 0.5)
    for change in (-1e-6, 1e-6):
        other = replace(o, confidence=o.confidence + change)
        np.testing.assert_array_equal(other.counts(thresholds), o.counts(thresholds))


def test_room_ends_half_way_to_the_next_box_and_at_confidence_one():
    near = float(np.float32(0.5) + np.float32(2e-5))
    o = pooled([[1], [0]], [[near], [0.5]], [[0], [0]], [[0], []], 1)
    assert share_budget(o, 0.0)[0] == pytest.approx(0.50001, abs=1e-7)
    certain = pooled([[1], [0]], [[0.9], [1.0]], [[0], [0]], [[0], []], 1)
    assert share_budget(certain, 0.0)[0] == np.nextafter(np.float32(1), np.float32(2))
    nearly = pooled([[1], [0]], [[0.9], [0.99999]], [[0], [0]], [[0], []], 1)
    assert share_budget(nearly, 0.0)[0] == 1.0
