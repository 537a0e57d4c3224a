"""Plan of a certificate against counting up one by one."""

from __future__ import annotations

from math import comb

import pytest

from yolo_balance.recall.evidence.planning import fewest_units, units_to_show


def at_most(k, n, p):
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def slow(most, true, alpha, power):
    n = 0
    while True:
        n += 1
        fitting = [k for k in range(n) if at_most(k, n, most) <= alpha]
        if fitting and at_most(fitting[-1], n, true) >= power:
            return n


@pytest.mark.parametrize(
    ("most", "true", "alpha", "power"),
    [(0.3, 0.1, 0.05, 0.5), (0.2, 0.1, 0.05, 0.8), (0.2, 0.0, 0.025, 0.9), (0.5, 0.4, 0.2, 0.5)],
)
def test_the_plan_is_what_counting_up_finds(most, true, alpha, power):
    assert units_to_show(most, true, alpha, power=power) == slow(most, true, alpha, power)


def test_plans_of_usual_promises():
    """A target at a true recall with power .8, alone at alpha .05 and as one of six bounds."""
    promises = [(0.8, 0.9), (0.9, 0.96), (0.95, 0.98)]
    plans = [[units_to_show(1 - t, 1 - r, a, power=0.8) for a in (0.05, 0.025 / 6)] for t, r in promises]
    assert plans == [[82, 162], [116, 225], [234, 484]]
    assert [fewest_units(share, 0.025) for share in (0.1, 0.05, 0.01)] == [36, 72, 368]
    assert units_to_show(0.1, 0.0, 0.025) == fewest_units(0.1, 0.025)


def test_a_share_that_is_no_better_is_never_shown():
    assert units_to_show(0.1, 0.1, 0.05) is None
    assert units_to_show(1e-6, 0.9e-6, 0.05) is None  # beyond a million units
