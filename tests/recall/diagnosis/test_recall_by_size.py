"""Laws of recall by box size."""

import dataclasses
import json

import numpy as np
import pytest

from yolo_balance.recall import ImageOutcome, Outcomes, interval
from yolo_balance.recall.diagnosis.recall_by_size import RecallBySize, object_sizes


def sized(sizes, hit, classes=None, num_classes=2):
    """One image per object, a square of that size, found at .9 or not at all."""
    classes = [0] * len(sizes) if classes is None else classes
    images = [
        ImageOutcome.of([[float(h)]], [c], [c], [0.9], object_box=[[3, 5, 3 + s, 5 + s]])
        for s, h, c in zip(sizes, hit, classes, strict=True)
    ]
    return Outcomes.pool(images, num_classes)


def random(seed, n=40):
    """Many equal sizes, some on the borders of the bins."""
    rng = np.random.default_rng(seed)
    return rng.choice([4, 31, 32, 33, 50, 95.5, 96, 200], n), rng.random(n) < 0.6, rng.integers(0, 2, n)


def test_a_size_is_the_root_of_the_area_in_pixels_of_the_file():
    boxes = [[0, 0, 8, 2], [10, 20, 42, 52.00001], [5, 5, 5, 9]]
    image = ImageOutcome.of(np.zeros((3, 0)), [0] * 3, [], [], object_box=boxes)
    np.testing.assert_array_equal(object_sizes(Outcomes.pool([image], 1)), [4, 32, 0])


@pytest.mark.parametrize("seed", range(10))
def test_bins_are_those_of_coco_per_class_and_overall(seed):
    sizes, hit, classes = random(seed)
    read = RecallBySize.of(sized(sizes, hit, classes), ["a", "b"], 0.5, confidence=0.9)
    for members, bins in (
        (classes == 0, read.classes["a"]),
        (classes == 1, read.classes["b"]),
        (hit | 1, read.overall),
    ):
        for (name, row), low, high in zip(bins.items(), (0, 32, 96), (32, 96, np.inf), strict=True):
            found = [h for s, h, m in zip(sizes, hit, members, strict=True) if m and low <= s < high]
            assert (row.n, row.hits) == (len(found), sum(found)), name
            assert (row.recall, row.low, row.high) == (
                (sum(found) / len(found), *interval(sum(found), len(found), confidence=0.9))
                if found
                else (None, None, None)
            )
    assert list(read.overall) == ["small", "medium", "large"]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 40])
def test_quantile_bins_hold_every_object_once_and_are_never_empty(seed, n):
    sizes, hit, _ = random(seed, n)
    bins = RecallBySize.of(sized(sizes, hit), ["a", "b"], 0.5).quantiles
    assert 1 <= len(bins) <= 4
    assert (sum(row.n for row in bins), sum(row.hits for row in bins)) == (n, hit.sum())
    assert min(row.n for row in bins) > 0
    assert bins[0].start == sizes.min()
    assert [row.end for row in bins] == [*(row.start for row in bins[1:]), None]


def test_distinct_sizes_are_split_into_four_equal_parts():
    bins = RecallBySize.of(sized(range(1, 13), [1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]), ["a", "b"], 0.5).quantiles
    assert [(row.start, row.n, row.hits) for row in bins] == [(1, 3, 3), (4, 3, 0), (7, 3, 1), (10, 3, 1)]


def test_equal_sizes_stay_together():
    bins = RecallBySize.of(sized([5, 7, 7, 7, 7, 7, 7, 7], [1] * 8), ["a", "b"], 0.5).quantiles
    assert [(row.start, row.end, row.n) for row in bins] == [(5, 7, 1), (7, None, 7)]


def test_each_class_is_read_at_its_own_threshold():
    read = RecallBySize.of(sized([10, 10], [1, 1], [0, 1]), ["a", "b"], [0.5, 0.95])
    assert (read.classes["a"]["small"].hits, read.classes["b"]["small"].hits) == (1, 0)


def test_without_objects_there_is_no_data():
    read = RecallBySize.of(Outcomes.pool([], 2), ["a", "b"], 0.5)
    assert read.quantiles == ()
    assert {(row.n, row.recall) for row in read.overall.values()} == {(0, None)}


def test_the_result_is_plain_json():
    read = RecallBySize.of(sized([10, 50.0], [1, 0]), ["a", "b"], 0.5)
    content = json.loads(json.dumps(dataclasses.asdict(read)))
    assert content["classes"]["b"]["large"] == {
        "start": 96.0,
        "end": None,
        "n": 0,
        "hits": 0,
        "recall": None,
        "low": None,
        "high": None,
    }
    assert [row["start"] for row in content["quantiles"]] == [10.0, 50.0]
