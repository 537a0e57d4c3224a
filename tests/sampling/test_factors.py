"""Laws of the strategies, and the papers restated image by image."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.factors import class_uniform_factors, effective_number_factors, inverse_frequency_factors

from yolo_balance.sampling import ClassStatistics, repeat_factors
from yolo_balance.sampling.factors import background_share, image_factors

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


def frequency_restated(images, c, frequency):
    image = sum(c in held for held in images) / len(images)
    instance = sum(list(held).count(c) for held in images) / sum(map(len, images))
    return {"image": image, "instance": instance, "sqrt(image*instance)": (image * instance) ** 0.5}[frequency]


def aggregated(images, r, aggregate):
    return [{"max": max, "mean": np.mean, "sum": sum}[aggregate]([r[c] for c in set(i)]) if i else 1.0 for i in images]


FREQUENCIES = ["image", "instance", "sqrt(image*instance)"]


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("aggregate", ["max", "mean", "sum"])
def test_instance_aware_repeat_factors_agree_with_the_paper_restated(frequency, aggregate):
    f = {c: frequency_restated(IMAGES, c, frequency) for c in range(3)}
    r = {c: max(1.0, (np.median(list(f.values())) / f[c]) ** 0.5) for c in f}
    ours = repeat_factors(IMAGES, 4, frequency=frequency, aggregate=aggregate)
    np.testing.assert_allclose(ours, aggregated(IMAGES, r, aggregate), rtol=1e-12)


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("aggregate", ["max", "mean"])
def test_inverse_frequency_agrees_with_itself_restated(frequency, power, aggregate):
    f = {c: frequency_restated(IMAGES, c, frequency) for c in range(3)}
    r = {c: (max(f.values()) / f[c]) ** power for c in f}
    ours = inverse_frequency_factors(IMAGES, 4, frequency=frequency, power=power, aggregate=aggregate)
    np.testing.assert_allclose(ours, aggregated(IMAGES, r, aggregate), rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.999, 0.999999])
def test_effective_number_agrees_with_the_paper_restated(beta):
    n = {c: sum(c in held for held in IMAGES) for c in range(3)}
    weight = {c: (1 - beta) / (1 - beta ** n[c]) for c in n}  # Cui et al. (2019), the class-balanced weight
    r = {c: weight[c] / min(weight.values()) for c in n}
    np.testing.assert_allclose(effective_number_factors(IMAGES, 4, beta=beta), aggregated(IMAGES, r, "max"), rtol=1e-9)


def test_effective_number_lies_between_nothing_and_the_inverse_frequency():
    np.testing.assert_array_equal(effective_number_factors(IMAGES, 3, beta=0.0), 1)
    np.testing.assert_allclose(
        effective_number_factors(IMAGES, 3, beta=1 - 1e-9), inverse_frequency_factors(IMAGES, 3, power=1.0), rtol=1e-5
    )


def test_class_uniform_is_drawing_a_class_and_then_an_image_of_it():
    factors = class_uniform_factors(IMAGES, 4)
    objects = [i for i, image in enumerate(IMAGES) if image]
    drawn = np.zeros(len(IMAGES))
    for c in range(3):  # the two-stage draw, its probabilities added up
        holders = [i for i in objects if c in IMAGES[i]]
        drawn[holders] += 1 / 3 / len(holders)
    np.testing.assert_allclose(factors[objects] / factors[objects].sum(), drawn[objects])
    assert factors[0] == 1  # an image of the most frequent class alone


STRATEGIES = [repeat_factors, inverse_frequency_factors, effective_number_factors, class_uniform_factors]


@pytest.mark.parametrize("strategy", STRATEGIES)
class TestEveryStrategy:
    def test_the_smallest_factor_is_one(self, strategy):
        factors = strategy(IMAGES, 4)
        assert factors.shape == (10,)
        assert factors.dtype == np.float64
        assert factors.min() == 1

    def test_the_cap_holds(self, strategy):
        assert strategy(IMAGES, 4).max() > 1.3
        assert strategy(IMAGES, 4, max_repeat=1.3).max() == 1.3
        with pytest.raises(ValueError, match="max_repeat >= 1"):
            strategy(IMAGES, 4, max_repeat=0.5)

    def test_a_rarer_class_never_gets_less(self, strategy):
        factors = strategy([[0]] * 50 + [[1]] * 10 + [[2]] * 2, 3)
        assert factors[0] <= factors[50] <= factors[60]

    def test_little_is_enough(self, strategy):
        for images in ([[0]], [[]], [[0], []], [[0, 0], [0]]):
            np.testing.assert_array_equal(strategy(images, 1), 1)
        assert len(strategy([], 2)) == 0

    def test_flat_table_and_lists_give_the_same(self, strategy):
        classes = np.array([c for image in IMAGES for c in image])
        index = np.array([i for i, image in enumerate(IMAGES) for _ in image])
        np.testing.assert_array_equal(strategy((classes, index, len(IMAGES)), 3), strategy(IMAGES, 3))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="frequency image, instance or"):
        repeat_factors(IMAGES, 3, frequency="box")
    with pytest.raises(ValueError, match="aggregate max, mean or sum, got 'min'"):
        repeat_factors(IMAGES, 3, aggregate="min")
    with pytest.raises(ValueError, match=r"beta in \[0, 1\), got 1"):
        effective_number_factors(IMAGES, 3, beta=1)


def test_a_class_factor_below_one_shows_its_images_less_often():
    statistics = ClassStatistics.of(IMAGES, 3)
    assert image_factors(statistics, np.array([0.25, 1.0, 1.0]))[0] == 0.25


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
    kept = background_share(factors, statistics.background)
    assert kept[statistics.background].sum() / kept.sum() == pytest.approx(statistics.background.mean())
    np.testing.assert_array_equal(kept[~statistics.background], factors[~statistics.background])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_background_gets_the_share_asked_for(share):
    statistics = ClassStatistics.of(IMAGES, 3)
    factors = background_share(repeat_factors(IMAGES, 3, threshold=1.0), statistics.background, share)
    assert factors[statistics.background].sum() / factors.sum() == pytest.approx(share)


@pytest.mark.parametrize("images", [[[0], [0]], [[], []]])
def test_all_or_no_background_changes_nothing(images):
    statistics = ClassStatistics.of(images, 1)
    np.testing.assert_array_equal(background_share(np.ones(2), statistics.background), 1)


def test_statistics_count_boxes_and_images():
    statistics = ClassStatistics.of(IMAGES, 4)
    assert statistics.boxes.tolist() == [8, 2, 1, 0]
    assert statistics.images.tolist() == [7, 2, 1, 0]
    assert statistics.background.sum() == 2
    np.testing.assert_allclose(statistics.box_shares(), [8 / 11, 2 / 11, 1 / 11, 0])
    twice = np.where(np.arange(10) == 4, 2.0, 1.0)
    np.testing.assert_allclose(statistics.box_shares(twice), [8 / 12, 2 / 12, 2 / 12, 0])


def test_boxes_picked_are_those_of_the_images_one_by_one():
    statistics = ClassStatistics.of(IMAGES, 4)
    samples = [[2, 0, 5, 1], [5], [4, 4, 4], [6, 2], []]
    for sides, boxes in zip(
        ([s[:1] for s in samples], [s[1:] for s in samples]), statistics.picked(samples), strict=True
    ):
        classes = [c for images in sides for i in images for c in IMAGES[i]]
        assert boxes.tolist() == np.bincount(classes, minlength=4).tolist()
    np.testing.assert_array_equal(statistics.picked([]), np.zeros((2, 4)))
    np.testing.assert_array_equal(statistics.picked([[5]]), np.zeros((2, 4)))


def test_the_image_that_supplies_most_of_a_class_is_found():
    statistics = ClassStatistics.of([[0, 0, 1], [0], [1], []], 3)
    share, image = statistics.largest_image_shares(np.array([1.0, 1.0, 3.0, 1.0]))
    np.testing.assert_allclose(share, [2 / 3, 3 / 4, 0])
    assert image.tolist() == [0, 2, -1]
