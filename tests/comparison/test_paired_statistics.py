"""Laws of paired intervals: slow restatements, and how often they hold the truth in simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.matrices import sampled
from scipy import stats

from yolo_balance.comparison.paired_statistics import (
    bootstrap_interval,
    images_can_tell,
    resample_counts,
    student_interval,
    widening,
)


def test_the_first_row_counts_each_image_once_and_the_others_draw_as_many():
    counts = resample_counts(7, 500, np.random.default_rng(0))
    assert counts.shape == (501, 7)
    assert counts[0].tolist() == [1] * 7
    assert set(counts.sum(axis=1)) == {7}
    np.testing.assert_allclose(counts[1:].mean(axis=0), 1, atol=0.15)
    np.testing.assert_allclose(counts[1:].var(axis=0), 1 - 1 / 7, atol=0.25)
    assert resample_counts(0, 3, np.random.default_rng(0)).shape == (4, 0)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_the_interval_is_the_formula_written_out(seeds):
    rng = np.random.default_rng(seeds)
    differences = rng.normal(size=(81, seeds, 2, 3))
    differences[5] = np.nan  # a resample without objects
    differences[:, :, 1, 2] = np.nan  # a class without any
    drawn = resample_counts(seeds, 80, rng)
    low, high = bootstrap_interval(differences, drawn, confidence=0.9)
    assert low.shape == high.shape == (2, 3)
    assert np.isnan(low[1, 2])
    assert np.isnan(high[1, 2])
    for k, c in ((0, 0), (0, 2), (1, 1)):
        replicates = []
        for b in range(1, 81):
            d = [float(differences[b, s, k, c]) for s in range(seeds)]
            mean = sum(d) / seeds
            whole = [float(differences[0, s, k, c]) for s in range(seeds)]
            spread = sum(int(n) * (x - sum(whole) / seeds) for n, x in zip(drawn[b], whole, strict=True)) / seeds
            if seeds > 1:
                t, z = stats.t.ppf(0.95, seeds - 1), stats.norm.ppf(0.95)
                mean += spread * (seeds / (seeds - 1)) ** 0.5 * t / z
            if not np.isnan(mean):
                replicates.append(mean)
        assert len(replicates) == 79
        assert low[k, c] == pytest.approx(np.percentile(replicates, 5))
        assert high[k, c] == pytest.approx(np.percentile(replicates, 95))


def simulated(rng, seeds, images, *, seed_sd, image_sd, noise_sd, resamples=300):
    """(1 + B, seeds) differences of a true 0: an effect of the seed, one of the image that all seeds share, noise."""
    apart = seed_sd * rng.normal(size=(seeds, 1)) + image_sd * rng.normal(size=images)
    apart = apart + noise_sd * rng.normal(size=(seeds, images))
    return resample_counts(images, resamples, rng) @ apart.T / images


def coverage(seeds, widened=True, experiments=300, **spread):
    rng, held = np.random.default_rng(7), 0
    for _ in range(experiments):
        differences, drawn = simulated(rng, seeds, 60, **spread), resample_counts(seeds, 300, rng)
        if not widened:
            differences = differences[1:]
            replicates = (drawn[1:] * differences).mean(axis=1)
            low, high = np.percentile(replicates, [2.5, 97.5])
        else:
            low, high = bootstrap_interval(differences, drawn)
        held += bool(low <= 0 <= high)
    return held / experiments


@pytest.mark.parametrize("seeds", sampled([3, 5], [3]))
@pytest.mark.parametrize(
    "spread",
    [
        {"seed_sd": 0.1, "image_sd": 0.0, "noise_sd": 0.0},
        {"seed_sd": 0.0, "image_sd": 1.0, "noise_sd": 0.0},
        {"seed_sd": 0.1, "image_sd": 0.8, "noise_sd": 0.4},
        {"seed_sd": 0.0, "image_sd": 0.0, "noise_sd": 1.0},
    ],
    ids=["seeds alone", "images alone", "both", "noise"],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds, spread):
    assert 0.9 <= coverage(seeds, **spread) <= 1


def test_with_one_seed_it_holds_for_what_images_do():
    assert 0.9 <= coverage(1, seed_sd=0.0, image_sd=1.0, noise_sd=0.0) <= 0.98


def test_without_widening_a_few_seeds_would_claim_too_much():
    assert coverage(3, widened=False, seed_sd=0.1, image_sd=0.0, noise_sd=0.0) < 0.85


def test_seeds_alone_give_what_student_s_t_gives():
    rng = np.random.default_rng(3)
    for _ in range(10):
        d = rng.normal(size=6)
        low, high = bootstrap_interval(np.repeat(d[None], 20_001, 0), resample_counts(6, 20_000, rng))
        expected = student_interval(d)
        assert (high - low) / (expected[1] - expected[0]) == pytest.approx(1, abs=0.12)


def test_widening_vanishes_with_many_seeds():
    assert widening(10_000, 0.95) == pytest.approx(1, abs=1e-3)
    assert widening(5, 0.95) == pytest.approx(1.25**0.5 * 2.776445 / 1.959964, abs=1e-5)


def test_student_s_interval_is_scipy_s():
    rng = np.random.default_rng(4)
    for n in (2, 3, 8):
        d = rng.normal(size=n)
        expected = stats.ttest_1samp(d, 0).confidence_interval(0.9)
        assert student_interval(d, confidence=0.9) == pytest.approx(tuple(expected))
    assert student_interval([0.3]) is None
    assert student_interval([0.3, 0.3]) == pytest.approx((0.3, 0.3))


def test_so_few_images_as_a_sign_test_could_not_tell_cannot_tell():
    for confidence in (0.8, 0.9, 0.95, 0.99):
        for n in range(1, 15):
            p = stats.binomtest(n, n, 0.5).pvalue
            assert images_can_tell(n, confidence) == (p <= 1 - confidence)
    assert [images_can_tell(n, 0.95) for n in (5, 6)] == [False, True]
