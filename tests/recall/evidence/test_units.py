"""Laws of units: evidence on units of images is that of images which were merged unit by unit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers.outcomes import pooled, same
from helpers.splits import NAMES, pool, split

from yolo_balance.recall import ImageOutcome, Outcomes, RecallReport, interval
from yolo_balance.recall.decisions.calibration import halves
from yolo_balance.recall.evidence.effective_size import effective_images
from yolo_balance.recall.evidence.units import unit_ids
from yolo_balance.recall.images import ImageRates, zones


def merged(images):
    """One image that holds the objects and boxes of several, none of which overlap across them."""
    iou = np.zeros((sum(len(image[1]) for image in images), sum(len(image[2]) for image in images)))
    row = column = 0
    for part, objects, boxes, _ in images:
        iou[row : row + len(objects), column : column + len(boxes)] = part
        row, column = row + len(objects), column + len(boxes)
    return iou, *(np.concatenate([image[i] for image in images]) for i in (1, 2, 3))


def test_units_are_counted_in_the_order_in_which_they_come():
    assert unit_ids(["b", "a", "b", "c", "a"]).tolist() == [0, 1, 0, 2, 1]
    assert unit_ids([]).tolist() == []


@pytest.mark.parametrize("seed", range(8))
def test_recall_on_units_is_recall_on_images_merged_by_unit(seed):
    images, rng = split(seed, n=40), np.random.default_rng(seed)
    keys = rng.integers(0, 12, len(images)).tolist()
    outcomes = pool(images).with_units(keys)
    together = pool([merged([i for i, k in zip(images, keys, strict=True) if k == key]) for key in sorted(set(keys))])
    at = RecallReport.of(outcomes, NAMES, false_alarms=[1e9])  # every box counts, merged or not
    every = RecallReport.of(together, NAMES, false_alarms=[1e9])
    assert (at.units, every.units) == (len(set(keys)), None)
    for name in NAMES:
        mine, theirs = at.budgets[0].classes[name], every.budgets[0].classes[name]
        assert (mine.n, mine.hits, mine.images) == (theirs.n, theirs.hits, theirs.images)
        assert mine.bounds == pytest.approx(theirs.bounds) if mine.n else mine.bounds is theirs.bounds is None
        assert mine.n_effective == pytest.approx(theirs.n_effective)


def test_a_unit_per_image_changes_nothing():
    outcomes = pool(split(3))
    again = outcomes.with_units([f"part {i}" for i in range(outcomes.images)])
    assert same(outcomes, again)
    assert (
        RecallReport.of(again, NAMES, false_alarms=[0.1]).to_dict()
        == RecallReport.of(outcomes, NAMES, false_alarms=[0.1]).to_dict()
    )


def test_six_pictures_of_a_part_are_one_trial():
    """Each part is seen six times and judged the same way, so the interval is that of the parts."""
    hit = np.random.default_rng(0).random(30) < 0.7
    once = pooled([[found] for found in hit], [[0.9]] * 30, [[0]] * 30, [[0]] * 30, 1)
    six = pooled([[found] for found in np.repeat(hit, 6)], [[0.9]] * 180, [[0]] * 180, [[0]] * 180, 1)
    six = six.with_units(np.repeat(np.arange(30), 6).tolist())
    low, high = interval(int(hit.sum()), 30)
    row = RecallReport.of(six, ["a"], false_alarms=[9.0]).budgets[0].classes["a"]
    assert (row.n, row.images) == (180, 30)
    assert row.n_effective == pytest.approx(30, rel=0.1)
    assert row.bounds == pytest.approx((low, high), abs=0.02)
    escapes = [ImageRates.of(found, 0.95, ["a"]).escape for found in (once, six)]
    assert (escapes[1].n, escapes[1].passed) == (180, 180)
    assert (escapes[0].low, escapes[0].high) == (escapes[1].low, escapes[1].high)


@pytest.mark.parametrize("seed", range(5))
def test_image_rates_of_repeated_images_are_those_of_the_parts(seed):
    """Copies of each image, one unit each: counts are multiplied, intervals stay, but for k / (k - 1) with k units."""
    images = split(seed)
    outcomes = pool(images)
    copies = pool([image for image in images for _ in range(4)])
    copies = copies.with_units(np.repeat(np.arange(len(images)), 4).tolist())
    one, four = (ImageRates.of(found, 0.5, NAMES) for found in (outcomes, copies))
    few, many = (zones(found, 0.25, 0.625, NAMES).clean for found in (outcomes, copies))
    pairs = [(one.escape, four.escape), (one.overkill, four.overkill), (few.passed, many.passed)]
    for once, often in pairs:
        assert often.low == pytest.approx(once.low, abs=0.05)
        assert often.high == pytest.approx(once.high, abs=0.05)
    assert four.escape.passed == 4 * one.escape.passed


def test_effective_images_restated_slowly():
    rng = np.random.default_rng(1)
    unit, of = rng.integers(0, 9, 80), rng.random(80) < 0.7
    part = rng.random(9)[unit] < 0.5
    members = [(np.array([part[i] for i in range(80) if of[i] and unit[i] == u])) for u in range(9)]
    members = [m for m in members if len(m)]
    n, k = sum(map(len, members)), len(members)
    rate = sum(m.sum() for m in members) / n
    variance = k / (k - 1) * sum((m.sum() - rate * len(m)) ** 2 for m in members) / n**2
    expected = n / max(1, variance / (rate * (1 - rate) / n))
    assert effective_images(part, of, unit=unit_ids(unit.tolist())) == pytest.approx(expected)
    assert effective_images(np.ones(80, bool), of, unit=unit) == k
    assert effective_images(part, np.zeros(80, bool), unit=unit) == 0


def test_a_subset_keeps_units_together():
    outcomes = pool(split(4, n=6)).with_units(["a", "b", "a", "c", "b", "a"])
    assert outcomes.subset([4, 2, 1, 5]).unit.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_the_halves_of_a_calibration_keep_units_whole(seed):
    outcomes = pool(split(seed, n=60))
    assert np.array_equal(halves(outcomes, seed=seed), halves(outcomes.with_units(range(60)), seed=seed))
    keys = np.random.default_rng(seed).integers(0, 14, 60)
    second = halves(outcomes.with_units(keys.tolist()), seed=seed)
    assert all(len(set(second[keys == key].tolist())) == 1 for key in set(keys.tolist()))
    assert 4 <= len(set(keys[second].tolist())) <= 10


def test_a_report_with_units_comes_back_and_one_that_cannot_be_is_refused(tmp_path):
    outcomes = Outcomes.pool([ImageOutcome.of([], [], [], [], file=f"{i}.jpg") for i in range(4)], 1)
    report = RecallReport.of(outcomes.with_units("aabb"), ["a"], false_alarms=[0.1])
    report.save(tmp_path / "recall.json")
    assert RecallReport.load(tmp_path / "recall.json") == report
    assert "4 defect-free of 4 images of 2 units" in str(report)
    assert "clustered by unit" in str(report)
    with pytest.raises(ValueError, match="units: expected 1 to images = 4, got 5"):
        dataclasses.replace(report, units=5)
