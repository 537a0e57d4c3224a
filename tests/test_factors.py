"""Laws of the repeat factors, and the paper restated image by image."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.sampling import ClassStatistics, keep_background_share, repeat_factors

IMAGES = [[0], [0, 0], [0, 1], [0], [2], [], [1, 0], [], [0], [0]]


def restated(images, num_classes, threshold, power, max_repeat):
    """Gupta et al. (2019), loops and all."""
    f = {c: sum(c in image for image in images) / len(images) for c in range(num_classes)}
    present = sorted(v for v in f.values() if v > 0)
    middle = len(present) // 2
    median = present[middle] if len(present) % 2 else (present[middle - 1] + present[middle]) / 2
    t = median if threshold == "median" else threshold
    factors = []
    for image in images:
        r = 1.0
        for c in image:
            rc = max(1.0, (t / f[c]) ** power)
            r = max(r, rc if max_repeat is None else min(rc, max_repeat))
        factors.append(r)
    return factors


@pytest.mark.parametrize("threshold", ["median", 0.05, 0.5, 1.0])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("max_repeat", [None, 1.0, 1.7])
def test_agrees_with_the_paper_restated(threshold, power, max_repeat):
    ours = repeat_factors(IMAGES, 4, threshold=threshold, power=power, max_repeat=max_repeat)
    np.testing.assert_allclose(ours, restated(IMAGES, 4, threshold, power, max_repeat), rtol=1e-12)
    assert ours.dtype == np.float64


def test_flat_table_and_lists_give_the_same():
    classes = np.array([c for image in IMAGES for c in image])
    index = np.array([i for i, image in enumerate(IMAGES) for _ in image])
    np.testing.assert_array_equal(repeat_factors((classes, index, len(IMAGES)), 3), repeat_factors(IMAGES, 3))


def test_a_tuple_of_three_images_is_not_taken_for_a_table():
    images = (np.array([0]), np.array([0]), np.array([1]))
    np.testing.assert_array_equal(repeat_factors(images, 2), repeat_factors(list(images), 2))


def test_power_zero_repeats_nothing():
    np.testing.assert_array_equal(repeat_factors(IMAGES, 3, threshold=1.0, power=0.0), 1)


def test_boxes_of_one_class_in_one_image_count_once():
    np.testing.assert_array_equal(repeat_factors([[0, 0, 0], [1]], 2), [1, 1])


def test_one_class_only_and_no_class_at_all_repeat_nothing():
    np.testing.assert_array_equal(repeat_factors([[0], [], [0]], 1), 1)
    np.testing.assert_array_equal(repeat_factors([[], []], 3), 1)
    assert len(repeat_factors([], 3)) == 0


def test_background_is_never_repeated():
    factors = repeat_factors(IMAGES, 3, threshold=1.0, power=1.0)
    assert factors[5] == factors[7] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"power": -1.0}, "power >= 0, got -1.0"),
        ({"max_repeat": 0.5}, "max_repeat >= 1, got 0.5"),
    ],
)
def test_out_of_range_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        repeat_factors(IMAGES, 3, **options)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"classes in \[0, 2\), got 0..2"):
        repeat_factors(IMAGES, 2)
    with pytest.raises(ValueError, match="as many classes as image indices"):
        repeat_factors((np.array([0]), np.array([0, 1]), 2), 1)
    with pytest.raises(ValueError, match="image indices in"):
        repeat_factors((np.array([0]), np.array([2]), 2), 1)


def test_background_keeps_its_share():
    statistics = ClassStatistics.of(IMAGES, 3)
    factors = repeat_factors(IMAGES, 3, threshold=1.0, power=1.0)
    kept = keep_background_share(factors, statistics.background)
    assert kept[statistics.background].sum() / kept.sum() == pytest.approx(statistics.background.mean())
    np.testing.assert_array_equal(kept[~statistics.background], factors[~statistics.background])


@pytest.mark.parametrize("images", [[[0], [0]], [[], []]])
def test_all_or_no_background_changes_nothing(images):
    statistics = ClassStatistics.of(images, 1)
    np.testing.assert_array_equal(keep_background_share(np.ones(2), statistics.background), 1)


def test_statistics_count_boxes_and_images():
    statistics = ClassStatistics.of(IMAGES, 4)
    assert statistics.boxes.tolist() == [8, 2, 1, 0]
    assert statistics.images.tolist() == [7, 2, 1, 0]
    assert statistics.background.sum() == 2
    np.testing.assert_allclose(statistics.box_shares(), [8 / 11, 2 / 11, 1 / 11, 0])
    twice = np.where(np.arange(10) == 4, 2.0, 1.0)
    np.testing.assert_allclose(statistics.box_shares(twice), [8 / 12, 2 / 12, 2 / 12, 0])
