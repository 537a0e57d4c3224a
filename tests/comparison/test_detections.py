"""Laws of what recall is resampled from: a resample reads as the same images, repeated, would."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.comparisons import random_outcomes

from yolo_balance.comparison import Detections
from yolo_balance.errors import DataError
from yolo_balance.recall import Outcomes, RecallReport

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
        read = Detections.of(outcomes, NAMES, BUDGETS).recall(weights)
        for row, found in zip(weights, read, strict=True):
            repeated = Outcomes.pool([part for part, times in zip(parts, row, strict=True) for _ in range(times)], 3)
            if repeated.clean_images or not outcomes.clean_images:  # else the report counts false boxes on all images
                np.testing.assert_array_equal(found, recall_of(repeated))


def test_the_order_in_which_images_were_read_does_not_matter():
    rng = np.random.default_rng(1)
    parts, outcomes = random_outcomes(rng)
    again = Outcomes.pool([parts[i] for i in rng.permutation(len(parts))], 3)
    one, other = (Detections.of(found, NAMES, BUDGETS) for found in (outcomes, again))
    assert one.split == other.split
    np.testing.assert_array_equal(one.object_class, other.object_class)
    weights = rng.integers(0, 3, (20, len(parts)))
    np.testing.assert_array_equal(one.recall(weights), other.recall(weights))


def test_other_images_are_another_split():
    rng = np.random.default_rng(2)
    parts, outcomes = random_outcomes(rng)
    fewer = Outcomes.pool(parts[:-1], 3)
    assert Detections.of(outcomes, NAMES, BUDGETS).split != Detections.of(fewer, NAMES, BUDGETS).split


def test_many_resamples_are_read_as_a_few_are(monkeypatch):
    rng = np.random.default_rng(3)
    _, outcomes = random_outcomes(rng)
    detections, weights = Detections.of(outcomes, NAMES, BUDGETS), rng.integers(0, 3, (30, 12))
    whole = detections.recall(weights)
    monkeypatch.setattr("yolo_balance.comparison.detections.BLOCK", 100)
    np.testing.assert_array_equal(detections.recall(weights), whole)


def test_only_the_highest_false_boxes_are_kept_and_bound_the_threshold():
    rng = np.random.default_rng(4)
    _, outcomes = random_outcomes(rng)
    full = Detections.of(outcomes, NAMES, BUDGETS)
    assert np.all(np.diff(full.false_confidence) <= 0)
    assert len(full.false_confidence) == outcomes.alarming.sum()
    detections, ones = Detections.of(outcomes, NAMES, [1.0]), np.ones((1, 12), np.int64)
    np.testing.assert_array_equal(detections.recall(ones)[:, 0], full.recall(ones)[:, 3])


def test_what_is_saved_is_what_is_loaded(tmp_path):
    _, outcomes = random_outcomes(np.random.default_rng(5))
    detections = Detections.of(outcomes, ["=1+1", "b", "日本"], BUDGETS)
    detections.save(tmp_path / "detections.npz")
    loaded = Detections.load(tmp_path / "detections.npz")
    assert loaded.split == detections.split
    assert list(loaded.names) == ["=1+1", "b", "日本"]
    weights = np.ones((1, outcomes.images), np.int64)
    np.testing.assert_array_equal(loaded.recall(weights), detections.recall(weights))
    assert [p.name for p in tmp_path.iterdir()] == ["detections.npz"]


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_one_line(tmp_path, content):
    file = tmp_path / "detections.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"detections\.npz: expected the detections\.npz of a run") as caught:
        Detections.load(file)
    assert "\n" not in str(caught.value)
