"""Laws of the effective number of objects, and of intervals on it."""

import numpy as np
import pytest

from yolo_balance.recall import interval
from yolo_balance.recall.evidence.effective_size import effective_sizes
from yolo_balance.recall.evidence.intervals import effective_interval


def sizes(detected, classes, images, num_classes=1):
    return effective_sizes(np.atleast_2d(detected), np.asarray(classes), np.asarray(images), num_classes)


def test_one_object_per_image_is_one_trial_each():
    rng = np.random.default_rng(0)
    detected, classes = rng.random((3, 50)) < 0.7, np.repeat([0, 1], 25)
    images = np.tile(np.arange(25), 2)  # classes share images, objects of a class do not
    np.testing.assert_array_equal(sizes(detected, classes, images, 3), [[25, 25, 0]] * 3)


def test_objects_that_share_their_fate_count_as_their_images():
    images = np.repeat(np.arange(400), 5)
    detected = np.repeat(np.random.default_rng(1).random(400) < 0.6, 5)
    assert sizes(detected, np.zeros(2000, int), images)[0, 0] == pytest.approx(400, rel=0.15)


def test_objects_found_independently_keep_their_number_nearly():
    rng = np.random.default_rng(2)
    images, detected = np.repeat(np.arange(500), 4), rng.random((20, 2000)) < 0.7
    found = sizes(detected, np.zeros(2000, int), images)[:, 0]
    assert found.max() <= 2000
    assert found.mean() > 1800


@pytest.mark.parametrize("every", [True, False])
def test_all_or_none_found_counts_images(every):
    detected = np.full(12, every)
    assert sizes(detected, np.zeros(12, int), np.repeat(np.arange(4), 3))[0, 0] == 4


def test_one_image_is_one_trial():
    assert sizes(np.array([1, 0, 1], bool), np.zeros(3, int), np.zeros(3, int))[0, 0] == 1


def test_the_bootstrap_agrees_with_the_variance_of_a_ratio():
    """Linearised: Var(R) = k / (k - 1) * sum((h - R m)^2) / n^2 over k images with m objects, h of them found."""
    rng = np.random.default_rng(3)
    held = rng.integers(1, 6, 300)
    images = np.repeat(np.arange(300), held)
    detected = rng.random(len(images)) < np.repeat(rng.beta(1.5, 1, 300), held)
    hits, n = np.bincount(images, detected), len(images)
    recall = hits.sum() / n
    variance = 300 / 299 * ((hits - recall * held) ** 2).sum() / n**2
    expected = recall * (1 - recall) / variance
    assert sizes(detected, np.zeros(n, int), images)[0, 0] == pytest.approx(expected, rel=0.12)


def test_the_same_pass_gives_the_same_sizes_and_readings_do_not_touch_each_other():
    rng = np.random.default_rng(4)
    classes, images = rng.integers(0, 3, 200), rng.integers(0, 60, 200)
    detected = rng.random((3, 200)) < [[0.2], [0.5], [0.9]]
    together = sizes(detected, classes, images, 3)
    np.testing.assert_array_equal(together, sizes(detected, classes, images, 3))
    np.testing.assert_allclose(together[1], sizes(detected[1], classes, images, 3)[0], rtol=1e-12)


def test_the_order_of_images_and_of_objects_does_not_matter():
    rng = np.random.default_rng(6)
    classes, images = rng.integers(0, 3, 200), rng.integers(0, 60, 200)
    detected = rng.random((3, 200)) < [[0.2], [0.5], [0.9]]
    mixed, renamed = rng.permutation(200), rng.permutation(60)
    found = sizes(detected[:, mixed], classes[mixed], renamed[images[mixed]], 3)
    np.testing.assert_array_equal(found, sizes(detected, classes, images, 3))


@pytest.mark.parametrize(("hits", "n"), [(0, 3), (3, 3), (9, 10), (17, 40)])
@pytest.mark.parametrize("method", ["wilson", "exact"])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_an_effective_interval_of_whole_numbers_is_the_interval(hits, n, method, confidence):
    expected = interval(hits, n, confidence=confidence, method=method)
    found = effective_interval(hits / n, n, confidence=confidence, method=method)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_fewer_effective_objects_widen_the_interval():
    wide, narrow = effective_interval(0.75, 7.5), effective_interval(0.75, 20)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    exact = effective_interval(0.75, 7.5, method="exact")
    assert exact[0] < wide[0] < wide[1] < exact[1]


def test_clustered_intervals_hold_their_level_where_plain_ones_do_not():
    """400 splits of 60 images with 4 objects each, half of them sharing their image's fate."""
    rng, plain, clustered = np.random.default_rng(5), 0, 0
    images = np.repeat(np.arange(60), 4)
    for _ in range(400):
        shared, own = rng.random(60) < 0.7, rng.random(240) < 0.7
        detected = np.where(rng.random(60) < 0.5, True, False)[images]
        detected = np.where(detected, shared[images], own)
        recall, n = detected.mean(), sizes(detected, np.zeros(240, int), images)[0, 0]
        low, high = interval(int(detected.sum()), 240)
        plain += low <= 0.7 <= high
        low, high = effective_interval(recall, n)
        clustered += low <= 0.7 <= high
    assert plain / 400 < 0.88
    assert 0.92 <= clustered / 400 <= 0.98
