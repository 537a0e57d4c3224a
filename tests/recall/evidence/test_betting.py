"""Bounds by bets: against the products written out, and how often they are wrong in simulated worlds."""

from __future__ import annotations

from math import comb, log, prod

import numpy as np
import pytest
from helpers.matrices import sampled

from yolo_balance.recall.evidence.betting import (
    MULTIPLES,
    OBJECT_BETS,
    WEIGHTS,
    AlarmBets,
    alarm_interval,
    fewest_clean_units,
    objects_high,
    objects_low,
)


@pytest.mark.parametrize("seed", range(3))
def test_the_wealth_is_the_product_over_units(seed):
    rng = np.random.default_rng(seed)
    cap, budget, n = int(rng.integers(1, 6)), 0.1, 40
    bets, counts = AlarmBets.of(budget, cap, n, 0.05), rng.poisson(0.1, n)
    m = budget / cap
    wealth = sum(
        w * prod(1 - f * (min(c, cap) / cap - m) / (1 - m) for c in counts)
        for w, f in zip(WEIGHTS, bets.fractions, strict=True)
    )
    assert bets.log_wealth(counts, budget) == pytest.approx(log(wealth))
    assert bets.log_wealth(rng.permutation(counts), budget) == bets.log_wealth(counts, budget)


def test_the_bets_are_fixed_before_the_data():
    """By hand: phi 1, so l* = sqrt(2 ln 20 / (300 * .1 / 9)) and f* = l* (1 - 1/30), no more than all."""
    best = (2 * log(20) / (300 * 0.1 / 9)) ** 0.5 * (1 - 0.1 / 3)
    assert AlarmBets.of(0.1, 3, 300, 0.05).fractions == pytest.approx(tuple(np.minimum(MULTIPLES * best, 1)))
    assert AlarmBets.of(0.1, 3, 300, 0.05, dispersion=4).fractions[1] == pytest.approx(min(best / 2, 1))


@pytest.mark.parametrize("seed", range(3))
def test_one_false_box_more_never_lowers_the_bound(seed):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.08, 200)
    bets = AlarmBets.of(0.1, 3, 200, 0.025)
    bounds = [bets.high(counts, 0.025)]
    for unit in rng.permutation(200)[:10]:
        counts[unit] += 1
        bounds.append(bets.high(counts, 0.025))
    assert bounds == sorted(bounds)
    for budget in (0.05, 0.1, 0.2, 0.4):
        assert bets.keeps(counts, budget, 0.025) == (bounds[-1] <= budget)


def test_bounds_at_the_ends():
    bets = AlarmBets.of(0.1, 3, 100, 0.05)
    assert bets.high([], 0.05) == 3
    assert bets.high([9] * 100, 0.05) == 3
    assert 0 < bets.high([0] * 100, 0.05) < 0.1
    none, all_of_five = np.zeros(5, np.int64), np.full(5, 2)
    assert objects_low(none, all_of_five, 2, 0.05) == pytest.approx(0, abs=1e-12)
    assert objects_high(all_of_five, all_of_five, 2, 0.05) == pytest.approx(1, abs=1e-12)
    with pytest.raises(ValueError, match="at most 2 objects on a unit, got 3"):
        objects_low(none, np.full(5, 3), 2, 0.05)


def test_the_fewest_clean_units():
    assert [fewest_clean_units(b, cap, 0.05) for b in (0.1, 0.05) for cap in (3, 5)] == [89, 149, 179, 299]
    n = fewest_clean_units(0.1, 3, 0.025)
    assert AlarmBets.of(0.1, 3, n, 0.025).high([0] * n, 0.025) <= 0.1
    assert AlarmBets.of(0.1, 3, n - 1, 0.025).high([0] * (n - 1), 0.025) > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_objects_is_the_largest_that_the_products_reject(seed):
    rng = np.random.default_rng(seed)
    objects = rng.integers(1, 4, 60)
    found = rng.binomial(objects, 0.9)
    low = objects_low(found, objects, 3, 0.05)

    def wealth(r):
        grown = [prod(1 + f * (a - r * b) / (3 * r) for a, b in zip(found, objects, strict=True)) for f in OBJECT_BETS]
        return sum(grown) / len(grown)

    assert wealth(low) == pytest.approx(20, rel=1e-6)
    assert wealth(low + 0.01) < 20 < wealth(low - 0.01)
    assert objects_high(found, objects, 3, 0.05) == pytest.approx(1 - objects_low(objects - found, objects, 3, 0.05))


def allowed(alpha, worlds):
    """The count of wrong bounds among the worlds that a true rate of alpha exceeds once in a thousand times."""
    tail, k = 1.0, -1
    while tail > 1e-3:
        k += 1
        tail -= comb(worlds, k) * alpha**k * (1 - alpha) ** (worlds - k)
    return k


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("units", sampled([30, 300, 3000], [300]))
@pytest.mark.parametrize("worlds", sampled([300, 2000], [300]))
def test_a_budget_that_is_just_exceeded_is_shown_no_more_often_than_stated(worlds, units, clustered):
    """False boxes at the capped mean of the budget: independent, or five on each unit with any."""
    rng, budget, alpha = np.random.default_rng(units), 0.1, 0.05
    tried, counted = (1, 5) if clustered else (3, 1)
    counts = rng.binomial(tried, budget / 3, (worlds, units)) * counted
    bets = AlarmBets.of(budget, 3, units, alpha)
    assert sum(bets.keeps(world, budget, alpha) for world in counts) <= allowed(alpha, worlds)


@pytest.mark.parametrize("worlds", sampled([200, 2000], [200]))
def test_the_share_of_objects_is_rarely_below_its_bound_where_crowded_units_are_worse(worlds):
    rng, alpha = np.random.default_rng(0), 0.05
    wrong = 0
    for _ in range(worlds):
        objects = rng.choice([1, 3], 60)
        found = rng.binomial(1, np.where(objects == 3, 0.6, 0.95)) * objects  # all of a unit or none
        wrong += objects_low(found, objects, 3, alpha) > (0.95 + 3 * 0.6) / 4
    assert wrong <= allowed(alpha, worlds)


@pytest.mark.parametrize("worlds", sampled([100, 2000], [100]))
@pytest.mark.parametrize("mean", [0.03, 0.3])
def test_the_interval_of_false_boxes_holds_the_true_mean(worlds, mean):
    rng = np.random.default_rng(1)
    bounds = np.array([alarm_interval(rng.binomial(3, mean / 3, 400), 0.1, 0.95) for _ in range(worlds)])
    wrong = (bounds[:, 0] > mean) | (bounds[:, 1] < mean)
    assert wrong.sum() <= allowed(0.05, worlds)
    assert (bounds[:, 1] - bounds[:, 0]).mean() < 3 * mean + 0.02


def test_the_interval_of_false_boxes_at_the_ends():
    assert alarm_interval([], 0.1, 0.95) == (0, 3)
    low, high = alarm_interval([0] * 200, 0.0, 0.95)
    assert low == pytest.approx(0, abs=1e-12)
    assert high < 0.1
    assert alarm_interval([3] * 200, 0.1, 0.95)[1] == 3
