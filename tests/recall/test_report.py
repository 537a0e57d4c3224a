"""Laws of the operating point and the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.outcomes import pooled
from scipy.stats import beta, norm

from yolo_balance import RecallReport
from yolo_balance.errors import DataError
from yolo_balance.recall import interval, threshold_at


def wilson(hits, n, confidence):
    """Wilson (1927), his formula."""
    z = norm.ppf(0.5 + confidence / 2)
    p = hits / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (9, 10), (3, 40), (40, 40)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_agree_with_their_formulas(hits, n, confidence):
    np.testing.assert_allclose(interval(hits, n, confidence=confidence), wilson(hits, n, confidence), atol=1e-12)
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    np.testing.assert_allclose(interval(hits, n, confidence=confidence, method="exact"), (low, high), atol=1e-9)


def test_nothing_tried_nothing_known():
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "options"), [((2, 1), {}), ((-1, 1), {}), ((1, 2), {"method": "wald"}), ((1, 2), {"confidence": 1.0})]
)
def test_bad_interval_arguments_are_refused(arguments, options):
    with pytest.raises(ValueError, match="expected"):
        interval(*arguments, **options)


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.25, 1.0, 2.5])
def test_threshold_is_the_lowest_that_keeps_the_budget(budget):
    rng = np.random.default_rng(0)
    confidence = rng.random(200).astype(np.float32)
    threshold = threshold_at(confidence, 40, budget)
    assert (confidence >= threshold).sum() / 40 <= budget
    below = np.nextafter(np.float32(threshold), np.float32(0))
    assert (confidence >= below).sum() / 40 > budget


def test_boxes_of_equal_confidence_stand_or_fall_together():
    assert threshold_at([0.5, 0.5, 0.5, 0.2], 2, 1.0) > 0.5


def test_a_budget_that_is_never_reached_gives_the_floor():
    assert threshold_at([0.3], 10, 1.0, floor=0.001) == 0.001
    assert threshold_at([], 10, 0.0) == 0.0


def test_a_budget_of_a_tenth_on_thirty_images_allows_three():
    threshold = threshold_at(np.linspace(0.1, 0.9, 9), 30, 0.1)
    assert (np.linspace(0.1, 0.9, 9) >= threshold).sum() == 3


def outcomes():
    """Four images: two with objects, two clean; class 2 has no object."""
    return pooled(
        hit=[[1, 0], [1, 1], [0], []],
        confidence=[[0.9, 0.6], [0.7, 0.2], [0.5], []],
        predicted=[[0, 1], [1, 0], [0], []],
        objects=[[0, 0], [1, 0], [], []],
        num_classes=3,
    )


def test_report_by_hand():
    report = RecallReport.of(outcomes(), ["a", "b", "c"], false_alarms=[0.1, 1.0], floor=0.001, targets={"a": 0.9})
    strict, loose = report.budgets
    assert strict.threshold == pytest.approx(0.5)
    assert strict.threshold > 0.5
    assert (strict.classes["a"].n, strict.classes["a"].hits) == (3, 1)
    assert (strict.classes["b"].n, strict.classes["b"].hits) == (1, 1)
    assert loose.threshold == 0.001
    assert loose.measured == 0.5
    assert (loose.classes["a"].hits, loose.classes["a"].recall) == (2, pytest.approx(2 / 3))
    assert loose.classes["a"].verdict == "cannot conclude"
    assert report.clean_images == 2


def test_a_class_without_objects_says_no_data():
    report = RecallReport.of(outcomes(), ["a", "b", "c"], false_alarms=[0.1], targets={"c": 0.9})
    c = report.budgets[0].classes["c"]
    assert (c.n, c.recall, c.low, c.high, c.verdict) == (0, None, None, None, "no data")
    assert "no data" in str(report)
    assert [row[5] for row in report.rows(1)] == ["0.33333", "1.00000", ""]


def test_a_split_without_clean_images_counts_false_boxes_per_image():
    o = pooled([[1, 0], [0]], [[0.9, 0.8], [0.3]], [[0, 0], [0]], [[0], [0]], 1)
    report = RecallReport.of(o, ["a"], false_alarms=[0.5])
    assert report.clean_images == 0
    assert report.budgets[0].threshold == pytest.approx(0.3)
    assert report.budgets[0].measured == 0.5
    assert "no defect-free image" in str(report)


def test_a_split_of_clean_images_only_has_no_data_for_anyone():
    o = pooled([[0]], [[0.4]], [[0]], [[]], 1)
    assert RecallReport.of(o, ["a"], false_alarms=[0.0]).budgets[0].classes["a"].recall is None


def test_verdicts_follow_the_interval():
    o = pooled([[1]] * 40, [[0.9]] * 40, [[0]] * 40, [[0]] * 40, 1)
    for target, verdict in ((0.9, "met"), (0.95, "cannot conclude")):
        report = RecallReport.of(o, ["a"], false_alarms=[1.0], targets={"a": target})
        assert report.budgets[0].classes["a"].verdict == verdict
    empty = pooled([[]] * 40, [[]] * 40, [[]] * 40, [[0]] * 40, 1)
    assert (
        RecallReport.of(empty, ["a"], false_alarms=[1.0], targets={"a": 0.5}).budgets[0].classes["a"].verdict
        == "missed"
    )


def test_json_keeps_the_contract_and_round_trips(tmp_path):
    report = RecallReport.of(outcomes(), ["a", "b", "c"], false_alarms=[0.1, 1.0])
    report.save(tmp_path / "recall.json")
    content = json.loads((tmp_path / "recall.json").read_text())
    assert {"schema": 1, "split": "val", "iou": 0.5, "images": 4, "clean_images": 2}.items() <= content.items()
    assert {"n", "hits", "recall", "low", "high", "threshold"} <= content["budgets"][0]["classes"]["c"].keys()
    assert content["budgets"][0]["classes"]["c"]["recall"] is None
    assert RecallReport.load(tmp_path / "recall.json") == report
    assert [p.name for p in tmp_path.iterdir()] == ["recall.json"]
    with pytest.raises(DataError, match="expected schema 1, got 2"):
        RecallReport.from_dict({**content, "schema": 2})


def test_the_printed_table():
    report = RecallReport.of(outcomes(), ["a", "b [x]", "c"], false_alarms=[0.1, 1.0], floor=0.001, targets={"a": 0.9})
    assert str(report).splitlines() == [
        "Recall per class on val (IoU 0.5, 95% Wilson interval, clustered by image; 2 defect-free of 4 images)",
        "            at 0.1 false boxes per clean image            at 1 false boxes per clean image",
        "            (conf 0.500, measured 0 [0.00, 2.53])         (conf 0.001, measured 0.5 [0.00, 2.61])",
        "class   n   hits  recall                                  hits  recall",
        "a       3      1  0.33 [0.06, 0.79]  target 0.9: missed      2  0.67 [0.21, 0.94]  target 0.9: cannot conclude",
        "b [x]   1      1  1.00 [0.21, 1.00]                          1  1.00 [0.21, 1.00]",
        "c       0      -  no data                                    -  no data",
    ]
