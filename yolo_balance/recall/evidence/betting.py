"""Bounds of the mean of bounded counts by bets fixed beforehand: false boxes of a clean unit, objects found of a unit.

A bettor whose wealth grows by a factor for each unit has, if the mean is not below m, a wealth above 1 / alpha at most
alpha of the time (Ville; Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting, 2024). All
bets are fixed before the units are read, so the wealth does not depend on the order of the units.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log1p, sqrt

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Ints

WEIGHTS = np.array([0.25, 0.5, 0.25])
"""Shares of the wealth at the start."""
MULTIPLES = np.array([1.6, 1.0, 0.5])
"""Bets, in multiples of the one that is best for the expected variance."""
OBJECT_BETS = np.array([1.0, 0.5, 0.25, 0.125])
"""Bets on the objects of a unit, with equal shares of the wealth."""
CAP = 3
"""False boxes that a unit is counted with at most, unless another number is fixed beforehand."""
STEPS = 50
"""Halvings of an interval of bounds: the last is below 1e-15."""


@dataclass(frozen=True)
class AlarmBets:
    """Upper bounds of false boxes per clean unit, each unit counted with at most `cap` false boxes.

    For x = min(N, cap) / cap, m = b / cap and the hypothesis E[x] >= m, the wealth is
    sum_j w_j prod_i (1 - f_j (x_i - m) / (1 - m)). Each false box less makes the wealth larger, so the bound never
    rises with the thresholds.

    Attributes:
        cap: False boxes counted on a unit at most.
        fractions: (J,) bets f_j in (0, 1].
    """

    cap: int
    fractions: tuple[float, ...]

    @classmethod
    def of(cls, budget: float, cap: int, units: int, alpha: float, *, dispersion: float = 1.0) -> AlarmBets:
        """Choose the bets for a budget before any of the units is read.

        Args:
            budget: False boxes per clean unit, in (0, cap).
            cap: False boxes counted on a unit at most.
            units: Clean units there are.
            alpha: Probability of a wrong bound.
            dispersion: Variance over mean of the counts on other units, such as those of val; 1 for independent boxes.
        """
        m = budget / cap
        best = sqrt(2 * log(1 / alpha) / (max(units, 1) * max(dispersion, 1e-9) * m / cap)) * (1 - m)
        return cls(cap, tuple(np.minimum(MULTIPLES * best, 1.0).tolist()))

    def log_wealth(self, counts: npt.ArrayLike, mean: float) -> float:
        """Return the logarithm of the wealth against the hypothesis of at least `mean` false boxes per unit."""
        numbers = np.bincount(np.minimum(np.asarray(counts, np.int64), self.cap), minlength=self.cap + 1)
        x, m, f = np.arange(self.cap + 1) / self.cap, mean / self.cap, np.array(self.fractions)
        return _log_mixture(1 - f[:, None] * (x - m) / (1 - m), numbers, WEIGHTS)

    def high(self, counts: npt.ArrayLike, alpha: float) -> float:
        """Return the upper bound of capped false boxes per unit, wrong at most alpha of the time.

        `counts` are the (U,) false boxes of each clean unit. The bound is at most a budget just where the wealth
        against that budget reaches 1 / alpha; without units the bound is the cap.
        """
        enough, low, high = log(1 / alpha), 0.0, float(self.cap)
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.log_wealth(counts, middle) >= enough else (middle, high)
        return high

    def keeps(self, counts: npt.ArrayLike, budget: float, alpha: float) -> bool:
        """Decide whether the units show that the mean is at most the budget."""
        return self.log_wealth(counts, budget) >= log(1 / alpha)

    def low(self, counts: npt.ArrayLike, alpha: float) -> float:
        """Return the lower bound of capped false boxes per unit, which is one of all false boxes too."""
        room = self.cap - np.minimum(np.asarray(counts, np.int64), self.cap)
        return self.cap - self.high(room, alpha)


def alarm_interval(counts: npt.ArrayLike, budget: float, level: float, *, cap: int = CAP) -> tuple[float, float]:
    """Return bounds of false boxes per unit, each unit counted with `cap` at most, both right with probability `level`.

    Args:
        counts: (U,) false boxes on each unit.
        budget: False boxes per unit that the bets are chosen for.
        level: Probability that both bounds are right.
        cap: False boxes counted on a unit at most.
    """
    tail, units = (1 - level) / 2, len(np.asarray(counts))
    expected = min(max(budget, 1 / max(units, 1)), cap / 2)
    above = AlarmBets.of(expected, cap, units, tail)
    spread = expected / (cap - expected)  # the counts' variance, as that of what they leave of the cap
    below = AlarmBets.of(cap - expected, cap, units, tail, dispersion=spread)
    return below.low(counts, tail), above.high(counts, tail)


def fewest_clean_units(budget: float, cap: int, alpha: float) -> int:
    """Return the fewest clean units that can show a budget, no false box being on any of them.

    ln(1 / alpha) / -ln(1 - budget / cap) would do if all were staked; the mixture stakes a part of it on smaller bets.
    """
    n = max(ceil(log(1 / alpha) / -log1p(-budget / cap)), 1)
    while not AlarmBets.of(budget, cap, n, alpha).keeps(np.zeros(n, np.int64), budget, alpha):
        n += 1
    return n


def objects_low(found: Ints, objects: Ints, cap: int, alpha: float) -> float:
    """Return the lower bound of the share of objects found, wrong at most alpha of the time.

    A unit has M objects and F of them are found. For a share r and the hypothesis E[F - r M] <= 0 the wealth is
    sum_j w_j prod_i (1 + f_j (F_i - r M_i) / (r cap)); the bound is the largest r that the wealth rejects. The bound
    holds also where objects of one unit are found or missed together.

    Args:
        found: (U,) objects found on each unit with the class.
        objects: (U,) objects there, at least 1 and at most `cap`.
        cap: Most objects that a unit has, fixed beforehand.
        alpha: Probability of a wrong bound.

    Raises:
        ValueError: If a unit has more objects than the cap.
    """
    if len(objects) and objects.max() > cap:
        raise ValueError(f"expected at most {cap} objects on a unit, got {objects.max()}")
    enough, low, high = log(1 / alpha), 0.0, 1.0
    weights, once = np.full(len(OBJECT_BETS), 1 / len(OBJECT_BETS)), np.ones(len(found), np.int64)
    for _ in range(STEPS):
        r = (low + high) / 2
        factors = 1 + OBJECT_BETS[:, None] * (found - r * objects) / (r * cap)
        low, high = (r, high) if _log_mixture(factors, once, weights) >= enough else (low, r)
    return low


def objects_high(found: Ints, objects: Ints, cap: int, alpha: float) -> float:
    """Return the upper bound of the share of objects found: what the lower bound of the share missed leaves."""
    return 1 - objects_low(objects - found, objects, cap, alpha)


def _log_mixture(factors: Floats, numbers: Ints, weights: Floats) -> float:
    """Return the log of sum_j weights_j prod_v factors_jv ^ numbers_v; a factor of 0 loses the whole bet."""
    there = numbers > 0
    with np.errstate(divide="ignore"):
        logs = np.log(weights) + np.log(np.maximum(factors[:, there], 0)) @ numbers[there]
    return float(np.logaddexp.reduce(logs))
