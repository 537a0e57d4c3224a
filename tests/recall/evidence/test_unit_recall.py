"""Recall by units: counts against loops, bounds against sums of the binomial."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from yolo_balance.recall import interval
from yolo_balance.recall.evidence.intervals import exact_high, exact_low
from yolo_balance.recall.evidence.unit_recall import UnitHits, unit_hits


def at_least(k, n, p):
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (3, 5), (5, 5), (57, 60), (0, 0)])
@pytest.mark.parametrize("alpha", [0.05, 0.025 / 6])
def test_an_exact_bound_is_the_share_at_which_the_result_has_probability_alpha(hits, n, alpha):
    low, high = exact_low(hits, n, alpha), exact_high(hits, n, alpha)
    assert low == 0 if hits == 0 else at_least(hits, n, low) == pytest.approx(alpha)
    assert high == 1 if hits == n else 1 - at_least(hits + 1, n, high) == pytest.approx(alpha)
    if n:
        both = interval(hits, n, confidence=1 - 2 * alpha, method="exact")
        assert (low, high) == pytest.approx(both)


@pytest.mark.parametrize("seed", range(3))
def test_objects_are_counted_on_units(seed):
    rng = np.random.default_rng(seed)
    object_class, object_unit = rng.integers(0, 3, 50), rng.integers(0, 20, 50)
    detected = rng.random(50) < 0.7
    for hit in ("all", "any", "objects"):
        for c, counted in enumerate(unit_hits(detected, object_class, object_unit, 4, hit)):
            units = [detected[(object_class == c) & (object_unit == u)].tolist() for u in range(20)]
            units = [unit for unit in units if unit]
            if hit == "objects":
                assert (counted.n, counted.hits) == (sum(map(len, units)), sum(map(sum, units)))
            else:
                assert (counted.n, counted.hits) == (len(units), sum(map({"all": all, "any": any}[hit], units)))


def test_where_no_unit_has_two_objects_the_three_shares_are_one():
    found, objects = np.array([1, 0, 1, 1]), np.ones(4, np.int64)
    bounds = {
        (UnitHits(found, objects, h).low(0.05, 3), UnitHits(found, objects, h).high(0.05, 3))
        for h in ("all", "any", "objects")
    }
    assert bounds == {(exact_low(3, 4, 0.05), exact_high(3, 4, 0.05))}


def test_a_class_without_objects_shows_nothing():
    (nothing,) = unit_hits(np.zeros(0, bool), np.zeros(0, np.int64), np.zeros(0, np.int64), 1, "all")
    assert (nothing.n, nothing.hits, nothing.low(0.05, 3), nothing.high(0.05, 3)) == (0, 0, 0.0, 1.0)
