"""Numbers of objects that a recall needs before it is informative."""

from __future__ import annotations

from functools import cache
from math import ceil, floor, log, sqrt

import numpy as np
from scipy.special import betainc
from scipy.stats import norm

from yolo_balance.recall.evidence.intervals import exact_low, interval

RECALL, HALF_WIDTH, CONFIDENCE = 0.9, 0.1, 0.95
STEADY = 20  # sizes in a row that have to keep to it: hits come in whole numbers, so nothing is quite monotone in n
CLOSEST = 1e-6  # a recall nearer to the target than this counts as not above it; it would take 10^11 objects and more
CHUNK = 5_000  # sizes looked at together


@cache
def boxes_for_half_width(half_width: float = HALF_WIDTH, recall: float = RECALL, confidence: float = CONFIDENCE) -> int:
    """Fewest objects n from which on the Wilson interval of floor(recall * n) hits is at most 2 * half_width wide.

    Hits come in whole numbers, so the width is not quite monotone in n: the next 20 sizes have to keep to it as well.
    """

    def fits(n: int) -> bool:
        low, high = interval(floor(recall * n + 1e-9), n, confidence=confidence)
        return high - low <= 2 * half_width

    n, steady = 0, 0
    while steady < STEADY:
        n += 1
        steady = steady + 1 if fits(n) else 0
    return n - steady + 1


@cache
def boxes_to_show(recall: float = RECALL, confidence: float = CONFIDENCE) -> int:
    """Fewest objects that can show a recall of at least `recall` at a one-sided level, every one of them being found.

    A detector that finds just `recall` of all objects finds n of n by luck with probability recall^n; this has to be
    below 1 - confidence. With 0.9 at 95 %: 0.9^28 = .052, 0.9^29 = .047, hence 29.
    """
    n = ceil(log(1 - confidence) / log(recall))
    return n if recall**n < 1 - confidence else n + 1


@cache
def boxes_for_verdict(recall: float = RECALL, confidence: float = CONFIDENCE) -> int:
    """Fewest objects at which the recall report can call a target `met`, every one of them being found.

    Its verdict asks the lower end of the two-sided exact interval, which is stricter than `boxes_to_show`: recall^n is
    to be at most (1 - confidence) / 2.
    """
    n = 1
    while exact_low(n, n, (1 - confidence) / 2) < recall:
        n += 1
    return n


@cache
def objects_to_show(recall: float, target: float, confidence: float = CONFIDENCE) -> int | None:
    """Fewest objects n at which h = floor(recall * n) hits show a target t: their exact lower bound reaches it.

    The lower bound of Clopper and Pearson reaches t just when a detector of recall t finds h or more of n with a
    probability of at most (1 - confidence) / 2. Wilson's reaches t about as soon, when
    h - t n >= z sqrt(t (1 - t) n), z the two-sided normal quantile of the level: counting starts below that n. Hits
    come in whole numbers, so the next 20 sizes have to keep to it as well.

    Args:
        recall: Share of the objects that the detector finds, in [0, 1].
        target: Recall promised, in (0, 1].
        confidence: Level of the interval.

    Returns:
        n, or None where the recall is not above the target (by 1e-6 at least): then no number of objects would do, the
        detector has to improve. None also for a target of 1, which no finite number shows.
    """
    above = recall - target
    if above < CLOSEST:
        return None
    spread = float(norm.ppf(0.5 + confidence / 2)) * sqrt(target * (1 - target))
    roughly = (spread / above) ** 2  # with h = recall * n, not rounded down
    start = max(floor(roughly - 2 * sqrt(roughly / (target * (1 - target)))), 1)
    steady = 0
    while True:
        n = np.arange(start, start + CHUNK, dtype=np.float64)
        hits = np.floor(recall * n + 1e-9)
        fits = np.where(hits > 0, betainc(np.maximum(hits, 1), n - hits + 1, target), 1.0) <= (1 - confidence) / 2
        misses = np.concatenate([[-1 - steady], np.flatnonzero(~fits), [CHUNK]])
        gaps = np.diff(misses) - 1  # sizes in a row that fit, the first row having begun in the chunk before
        if (gaps >= STEADY).any():
            return int(start + misses[int((gaps >= STEADY).argmax())] + 1)
        steady = int(gaps[-1])
        start += CHUNK


def more_objects(n: float, recall: float, target: float | None = None, *, confidence: float = CONFIDENCE) -> int | None:
    """Return the further objects needed, at the measured recall, to show a target or a narrow interval.

    Args:
        n: Objects there are; a real number where they are not independent trials (an effective sample size), and then
            so are those that are missing.
        recall: Share of them found.
        target: Recall that is to be shown; without one, the interval is to lie within +-0.1.
        confidence: Level of the interval.

    Returns:
        Their number, 0 if there are enough; None where no number of objects would show the target.
    """
    if target is None:
        return max(ceil(boxes_for_half_width(HALF_WIDTH, recall, confidence) - n), 0)
    enough = objects_to_show(recall, target, confidence)
    return None if enough is None else max(ceil(enough - n), 0)
