"""Laws of the image level: escape, overkill and the three zones."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from helpers.outcomes import pooled
from helpers.splits import NAMES, pool, split
from pydantic import TypeAdapter

from yolo_balance.recall import ImageOutcome, Outcomes, interval
from yolo_balance.recall.images import ImageRates, Zones, images_needed, zones


def counted(image, threshold):
    """Its boxes at or above the threshold of their class, each as (class, found an object, best IoU)."""
    iou, _, guesses, confidence = image
    found = ImageOutcome.of(*image).found
    return [
        (guesses[j], found[j] >= 0, iou[:, j].max(initial=0))
        for j in range(len(guesses))
        if confidence[j] >= threshold[guesses[j]]
    ]


def rated(count, n):
    return (count / n, *interval(count, n)) if n else (None, None, None)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.625, 2.0, [0.25, 0.875, 0.5], [2.0, 2.0, 0.0]])
def test_rates_are_what_counting_image_by_image_gives(seed, threshold):
    images = split(seed)
    each = threshold if isinstance(threshold, list) else [threshold] * 3
    rates = ImageRates.of(pool(images), threshold, NAMES)
    assert rates.thresholds == dict(zip(NAMES, each, strict=True))
    defective, clean = [i for i in images if len(i[1])], [i for i in images if not len(i[1])]
    for c, name in enumerate([*NAMES, None]):
        row = rates if name is None else rates.classes[name]
        of = [i for i in defective if name is None or c in i[1]]
        boxes = [counted(i, each) for i in of]
        assert row.escape.n == len(of)
        assert row.escape.passed == sum(not b for b in boxes)
        assert row.escape.without_hit == sum(bool(b) and not any(hit for _, hit, _ in b) for b in boxes)
        assert row.escape.by_luck == sum(bool(b) and all(iou < 0.1 for _, _, iou in b) for b in boxes)
        assert (row.escape.rate, row.escape.low, row.escape.high) == rated(row.escape.passed, len(of))
        alarms = [[k for k, _, _ in counted(i, each) if name is None or k == c] for i in clean]
        assert (row.overkill.n, row.overkill.rejected) == (len(clean), sum(map(bool, alarms)))
        assert (row.overkill.rate, row.overkill.low, row.overkill.high) == rated(row.overkill.rejected, len(clean))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(("lower", "higher"), [(0.25, 0.75), (0.5, 0.5), ([0.125, 0.5, 0.0], [1.0, 0.5, 2.0])])
def test_zones_are_what_deciding_image_by_image_gives(seed, lower, higher):
    images = split(seed)
    low, high = (np.broadcast_to(np.array(t, float), 3).tolist() for t in (lower, higher))
    read = zones(pool(images), lower, higher, NAMES)
    assert (list(read.pass_below.values()), list(read.reject_from.values())) == (low, high)
    rows = {None: read.defective, -1: read.clean, **dict(enumerate(read.classes.values()))}
    for c, row in rows.items():
        of = [i for i in images if (len(i[1]) == 0) == (c == -1) and (c in (None, -1) or c in i[1])]
        where = ["rejected" if counted(i, high) else "reviewed" if counted(i, low) else "passed" for i in of]
        assert row.n == len(of)
        for zone in ("passed", "reviewed", "rejected"):
            share = getattr(row, zone)
            assert share.count == where.count(zone)
            assert (share.share, share.low, share.high) == rated(share.count, len(of))


@pytest.mark.parametrize("seed", range(5))
def test_equal_thresholds_review_nothing_and_agree_with_the_rates(seed):
    outcomes = pool(split(seed))
    rates, read = ImageRates.of(outcomes, 0.5, NAMES), zones(outcomes, 0.5, 0.5, NAMES)
    assert read.clean.reviewed.count == read.defective.reviewed.count == 0
    assert read.defective.passed.count == rates.escape.passed
    assert read.clean.rejected.count == rates.overkill.rejected
    for name in NAMES:
        assert read.classes[name].passed.count == rates.classes[name].escape.passed


def test_a_lower_threshold_above_its_higher_one_is_refused():
    with pytest.raises(ValueError, match=r"expected pass_below at most reject_from, got 0\.5 and 0\.4 for class b"):
        zones(pool(split(0)), 0.5, [0.5, 0.4, 0.6], NAMES)


def test_an_image_with_any_counted_box_is_rejected_for_all_its_classes():
    """Its object of class a is found; that of class b is not, but the image does not escape."""
    rates = ImageRates.of(pooled([[1]], [[0.9]], [[0]], [[0, 1]], 2), 0.5, ["a", "b"])
    assert [rates.classes[name].escape.passed for name in "ab"] == [0, 0]
    assert [rates.classes[name].escape.without_hit for name in "ab"] == [0, 0]


def test_a_box_of_the_wrong_name_on_an_object_is_no_hit_and_no_luck():
    images = [([[iou]], [0], [1], [0.9]) for iou in (0.9, 0.3, 0.1, 0.05, 0.0)]
    escape = ImageRates.of(pool(images), 0.5, NAMES).escape
    assert (escape.n, escape.passed, escape.without_hit, escape.by_luck) == (5, 0, 5, 2)


def test_without_images_of_a_kind_there_is_no_data():
    defective = ImageRates.of(pooled([[]], [[]], [[]], [[0]], 2), 0.5, ["a", "b"])
    for nothing in (defective.overkill, defective.classes["a"].overkill, defective.classes["b"].escape):
        assert nothing.n == 0
        assert (nothing.rate, nothing.low, nothing.high, nothing.verdict) == (None, None, None, None)
    clean = ImageRates.of(pooled([[0]], [[0.9]], [[0]], [[]], 2), 0.5, ["a", "b"])
    assert clean.escape.rate is None
    assert clean.classes["a"].overkill.rate == 1
    assert clean.classes["b"].overkill.rate == 0
    empty = Outcomes.pool([], 2)
    assert ImageRates.of(empty, 0.5, ["a", "b"]).overkill.n == 0
    assert zones(empty, 0.1, 0.5, ["a", "b"]).clean.reviewed.share is None


def test_verdicts_need_the_whole_interval():
    def verdicts(n, wrong):
        defective = pooled([[1]] * (n - wrong) + [[]] * wrong, [[0.9]] * (n - wrong) + [[]] * wrong,
                           [[0]] * (n - wrong) + [[]] * wrong, [[0]] * n, 1)  # fmt: skip
        clean = pooled([[0]] * wrong + [[]] * (n - wrong), [[0.9]] * wrong + [[]] * (n - wrong),
                       [[0]] * wrong + [[]] * (n - wrong), [[]] * n, 1)  # fmt: skip
        escape = ImageRates.of(defective, 0.5, ["a"])
        overkill = ImageRates.of(clean, 0.5, ["a"])
        assert escape.classes["a"].escape == escape.escape
        assert overkill.classes["a"].overkill == overkill.overkill
        return escape.escape.verdict, overkill.overkill.verdict

    assert verdicts(72, 0) == ("cannot conclude", "cannot conclude")
    assert verdicts(73, 0) == ("cannot conclude", "met")
    assert verdicts(188, 0) == ("cannot conclude", "met")
    assert verdicts(189, 0) == ("met", "met")
    assert verdicts(100, 7) == ("missed", "cannot conclude")
    assert verdicts(100, 12) == ("missed", "missed")


def test_a_lower_level_concludes_earlier():
    outcomes = pooled([[1]] * 150, [[0.9]] * 150, [[0]] * 150, [[0]] * 150, 1)
    assert ImageRates.of(outcomes, 0.5, ["a"]).escape.verdict == "cannot conclude"
    assert ImageRates.of(outcomes, 0.5, ["a"], confidence=0.9).escape.verdict == "met"
    assert zones(outcomes, 0.5, 0.6, ["a"], confidence=0.9).defective.passed.high == interval(0, 150, confidence=0.9)[1]


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.05, 0.3])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_images_needed_are_the_fewest_whose_upper_bound_reaches_the_rate(rate, confidence):
    n = images_needed(rate, confidence=confidence)
    assert interval(0, n, confidence=confidence)[1] <= rate < interval(0, n - 1, confidence=confidence)[1]


@pytest.mark.parametrize(("rate", "confidence"), [(0.0, 0.95), (1.0, 0.95), (0.02, 1.0)])
def test_rates_that_no_number_of_images_shows_are_refused(rate, confidence):
    with pytest.raises(ValueError, match="expected rate and confidence in"):
        images_needed(rate, confidence=confidence)


def test_json_round_trips():
    outcomes = pool(split(3))
    for result in (ImageRates.of(outcomes, [0.5, 0.25, 0.5], NAMES), zones(outcomes, 0.25, 0.5, NAMES)):
        content = json.loads(json.dumps(dataclasses.asdict(result), allow_nan=False))
        assert TypeAdapter(type(result)).validate_python(content) == result
    assert isinstance(result, Zones)
