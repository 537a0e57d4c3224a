"""Several tests of one level: scales in a fixed order, and a list of promises.

Scales are tested in an order fixed beforehand, and the walk stops before the first that fails: no correction is needed
(fixed sequence; Bates et al., Distribution-free, risk-controlling prediction sets, 2021; Angelopoulos et al., Learn
then Test, 2021). A list of promises, each of which may be right or wrong, is Holm's (1979).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping


def last_of_walk(steps: int, passes: Callable[[int], bool]) -> int | None:
    """Return the last step before the first that fails, of steps 0 to `steps` - 1; None where the first fails.

    `passes` is monotone: after a step that fails all fail, so the walk's end is found by halving.
    """
    low, high = -1, steps
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return None if low < 0 else low


def holm(p_values: Mapping[str, float], alpha: float) -> frozenset[str]:
    """Return the names that hold together, any wrong one among them with probability alpha at most.

    The smallest p-value is compared with alpha / K, the next with alpha / (K - 1), and so on to the first that fails.
    """
    rising = sorted(p_values, key=p_values.__getitem__)
    proven = []
    for i, name in enumerate(rising):
        if p_values[name] > alpha / (len(rising) - i):
            break
        proven.append(name)
    return frozenset(proven)


def look_alpha(level: float, number: int, *, grows: bool) -> float:
    """Return the probability of a false statement that a look may spend.

    On data that was planned to grow, look k spends (1 - level) / 2^k, so all looks together spend 1 - level. Else the
    first look spends it whole, and look k > 1 spends (1 - level) / 2^k on top (`spent`).
    """
    return (1 - level) if number == 1 and not grows else (1 - level) / 2**number


def spent(level: float, number: int, *, grows: bool) -> float:
    """Return the probability of a false statement in any of the looks up to this one."""
    return sum(look_alpha(level, k, grows=grows) for k in range(1, number + 1))
