"""Laws of the probability of detection: the fit, its bounds, and when there is none."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import binom, norm

from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.recall.diagnosis.detection_probability import DetectionProbability, pod_by_class

TARGET = np.log(9)  # logit of .9


def draw(seed, n=150, b1=4.0, middle=30.0, low=8.0, high=150.0):
    """Sizes even in their logarithm, found by a logistic curve that is one half at the middle."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(low), np.log(high), n))
    return sizes, rng.random(n) < 1 / (1 + (sizes / middle) ** -b1)


def reweighted_least_squares(sizes, hit):
    """McCullagh and Nelder's own way to the maximum of the likelihood, and its covariance."""
    design, b = np.stack([np.ones(len(sizes)), np.log(sizes)], 1), np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-design @ b))
        weight = p * (1 - p)
        b = np.linalg.solve((design.T * weight) @ design, (design.T * weight) @ (design @ b + (hit - p) / weight))
    return b, np.linalg.inv((design.T * weight) @ design)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n", [60, 300])
def test_the_fit_is_that_of_reweighted_least_squares(seed, n):
    sizes, hit = draw(seed, n)
    pod = DetectionProbability.fit(sizes, hit)
    b, covariance = reweighted_least_squares(sizes, hit)
    np.testing.assert_allclose((pod.b0, pod.b1), b, rtol=1e-5)
    np.testing.assert_allclose(pod.covariance, covariance[[0, 0, 1], [0, 1, 1]], rtol=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_a90_and_a9095_are_where_the_curve_and_its_lower_bound_reach_nine_tenths(seed):
    pod = DetectionProbability.fit(*draw(seed, 300))
    assert pod.reason is None
    assert pod.smallest < pod.a90 < pod.a9095 < pod.largest
    middle, low, high = pod.curve([pod.a90, pod.a9095])
    np.testing.assert_allclose((middle[0], low[1]), 0.9, atol=1e-9)
    assert (low < middle).all()
    assert (middle < high).all()


def test_bounds_are_those_of_wald_on_the_linear_predictor():
    sizes, hit = draw(3)
    b, covariance = reweighted_least_squares(sizes, hit)
    x = np.stack([np.ones(5), np.log([10, 20, 30, 60, 120])])
    margin = norm.ppf(0.95) * np.sqrt(np.einsum("ik,ij,jk->k", x, covariance, x))
    expected = [1 / (1 + np.exp(-(b @ x + sign * margin))) for sign in (0, -1, 1)]
    np.testing.assert_allclose(DetectionProbability.fit(sizes, hit).curve([10, 20, 30, 60, 120]), expected, rtol=1e-4)


def test_a9095_is_above_the_true_a90_in_about_95_of_100_repeats():
    """Where the bound lies beyond the sizes tried it is above; else its figure is compared."""
    repeats, truth, above = 600, 30 * np.exp(TARGET / 4), 0
    for seed in range(repeats):
        pod = DetectionProbability.fit(*draw(1000 + seed, 400))
        above += pod.a9095 > truth if pod.a9095 is not None else "a90/95 lies beyond" in pod.reason
    assert binom.ppf(0.001, repeats, 0.95) <= above <= binom.ppf(0.999, repeats, 0.95)


def test_sizes_in_other_units_move_the_sizes_and_not_the_slope():
    sizes, hit = draw(5)
    pixels, microns = DetectionProbability.fit(sizes, hit), DetectionProbability.fit(sizes * 1e4, hit)
    np.testing.assert_allclose(
        (microns.b1, microns.a90, microns.a9095), (pixels.b1, pixels.a90 * 1e4, pixels.a9095 * 1e4), rtol=1e-5
    )


EVEN = np.linspace(10, 100, 60)
TURNS = np.arange(60) % 2 == 0


@pytest.mark.parametrize(
    ("sizes", "hit", "reason"),
    [
        ([], [], "no data"),
        ([0.0, 0.0], [True, False], "no data"),
        (EVEN[1:], TURNS[1:], "59 objects, and hit or miss data need at least 60"),
        ([0.0, *EVEN[1:]], TURNS, "59 objects, and hit or miss data need at least 60"),
        (EVEN, np.ones(60), "all of 60 objects found: nothing to tell sizes apart by"),
        (EVEN, np.zeros(60), "none of 60 objects found: nothing to tell sizes apart by"),
        (np.full(60, 12.5), TURNS, "all objects are of one size, 12.5 px"),
        (EVEN, EVEN > 54.5, "size alone parts hits from misses, at 54.24 to 55.76 px: no finite slope fits best"),
        (EVEN, EVEN < 54.5, "smaller objects are found and larger ones missed, parted at 54.24 to 55.76 px"),
        ([10.0] * 20 + [20.0] * 40, [False] * 40 + [True] * 20, "size alone parts hits from misses, at 20 px: no"),
        ([10.0] * 20 + [20.0] * 40, [True] * 40 + [False] * 20, "smaller objects are found and larger ones missed"),
    ],
)
def test_without_a_finite_fit_there_is_a_reason_and_no_number(sizes, hit, reason):
    pod = DetectionProbability.fit(sizes, hit)
    assert pod.reason.startswith(reason)
    assert (pod.b0, pod.b1, pod.covariance, pod.a90, pod.a9095) == (None,) * 5
    with pytest.raises(ValueError, match="no curve: "):
        pod.curve([10.0])


@pytest.mark.parametrize("seed", range(5))
def test_a_detector_that_finds_small_objects_better_has_no_a90(seed):
    sizes, hit = draw(seed)
    pod = DetectionProbability.fit(sizes, ~hit)
    assert pod.reason.startswith("POD does not grow with size: slope -")
    assert (pod.a90, pod.a9095) == (None, None)
    assert pod.b1 < 0


def test_a_slope_that_may_be_chance_has_no_a90():
    sizes, _ = draw(0)
    pods = [DetectionProbability.fit(sizes, np.random.default_rng(seed).random(150) < 0.7) for seed in range(50, 90)]
    rising = [pod for pod in pods if pod.b1 > 0]
    assert len(rising) > 10
    for pod in rising:
        significant = pod.b1 > norm.ppf(0.95) * np.sqrt(pod.covariance[2])
        assert pod.reason.startswith("POD does not grow significantly with size") != significant
        assert significant or (pod.a90, pod.a9095) == (None, None)


def test_beyond_the_sizes_tried_nothing_is_given_as_shown():
    small = DetectionProbability.fit(*draw(1, 200, high=40.0))
    assert small.a90 is None
    assert small.a9095 is None
    assert small.reason.startswith("a90 lies beyond the largest object tried, ")
    assert "; a90/95 lies beyond the largest object tried, " in small.reason
    assert "(extrapolated: " in small.reason
    some = DetectionProbability.fit(*draw(4, 200, high=53.0))
    assert some.a90 < some.largest
    assert some.a9095 is None
    assert some.reason.startswith("a90/95 lies beyond the largest object tried, ")
    large = DetectionProbability.fit(*draw(2, 2000, b1=3.0, low=110.0, high=600.0))
    assert (large.a90, large.a9095) == (None, None)
    assert large.reason.startswith("a90 lies below the smallest object tried, ")
    assert large.curve([120.0])[0] > 0.9


def test_an_extrapolation_by_more_than_ten_has_no_figure():
    sizes = np.linspace(10, 40, 4000)
    hit = np.random.default_rng(0).random(4000) < 0.2 + 0.005 * (sizes - 10)
    pod = DetectionProbability.fit(sizes, hit)
    assert pod.reason == "; ".join(f"{name} lies beyond the largest object tried, 40 px" for name in ("a90", "a90/95"))


def test_shapes_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(1,\)"):
        DetectionProbability.fit([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="expected sizes above 0"):
        DetectionProbability.fit(*draw(0)).curve([0.0, 10.0])


def test_every_class_has_its_own_curve_at_its_own_threshold():
    sizes, hit = draw(7, 200)
    images = [
        ImageOutcome.of([[float(h)]], [c], [c], [0.6], object_box=[[0, 0, s, s]])
        for c in (0, 1)
        for s, h in zip(sizes, hit, strict=True)
    ]
    pods = pod_by_class(Outcomes.pool(images, 3), ["a", "b", "c"], [0.5, 0.7, 0.5])
    np.testing.assert_allclose(pods["a"].a90, DetectionProbability.fit(sizes, hit).a90, rtol=1e-3)
    assert pods["b"].reason == "none of 200 objects found: nothing to tell sizes apart by"
    assert pods["c"].reason == "no data"
    content = json.loads(json.dumps(dataclasses.asdict(pods["a"])))
    assert (content["n"], content["hits"], content["reason"]) == (200, int(hit.sum()), None)
    assert len(content["covariance"]) == 3
