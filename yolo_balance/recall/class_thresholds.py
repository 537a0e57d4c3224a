"""Confidence thresholds per class that share one false-alarm budget."""

from __future__ import annotations

import heapq
import math

import numpy as np

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.recall.operating_point import threshold_at
from yolo_balance.recall.outcomes import Outcomes

TINY = float(np.finfo(np.float32).tiny)
"""Divisor in place of a confidence of 0."""
ROOM = 1e-4
"""Distance larger than the differences of one confidence between two orders of computation, or two runtimes."""


def share_budget(outcomes: Outcomes, budget: float, *, floor: float = 0.0) -> Floats:
    """Return (C,) thresholds that share a budget and make the worst class's recall as high as it can be.

    m = floor(budget * images) false boxes may be raised by all classes together. Every class starts at the confidence
    above its highest false box. Then, again and again, the class of the lowest recall (of several, the one that the
    next object costs least) is given as many false boxes as its next object costs, until what remains does not pay for
    it; the class is then finished, and the next lowest goes on. No other way of sharing m gives a higher worst recall:
    each false box went to a class that was the worst at the time. At one confidence for all, m is shared in some way,
    too, so the worst class is never worse off than there. False boxes that remain at the end, for which these
    objects have no more use, lower all confidences by one common factor, since other objects may have: that of each
    class from the last object it found.

    Where false boxes are left out, the threshold lies ROOM above the highest of them, or half way to the class's next
    box if that is nearer: the same image gives confidences that differ in their last digits from batch to batch, and
    a threshold just above a false box would let it in again half the time.

    A class without objects has no recall to raise and would be silenced: it keeps the confidence that all classes would
    have, and its false boxes there are taken off m first.

    The C thresholds are chosen on the objects that recall is then read on: expect a little less on other images.

    Args:
        outcomes: Boxes and objects of the split.
        budget: False boxes per image without objects; per image on a split that has none.
        floor: Lowest confidence the boxes were collected at.
    """
    images = max(outcomes.alarm_images, 1)
    alarms = outcomes.confidence[outcomes.alarming]
    common = threshold_at(alarms, images, budget, floor=floor)
    false = _by_class(alarms, outcomes.predicted[outcomes.alarming], outcomes.num_classes)
    found = _by_class(outcomes.confidence[outcomes.hit], outcomes.predicted[outcomes.hit], outcomes.num_classes)
    objects = outcomes.objects
    remaining = math.floor(budget * images + 1e-9)
    remaining -= sum(int((false[c] >= common).sum()) for c in np.flatnonzero(objects == 0).tolist())

    spent = [0] * outcomes.num_classes
    levels: list[list[tuple[int, int]]] = []  # per class, rising: false boxes, and the hits they pay for
    queue: list[tuple[float, int, int]] = []
    for c in range(outcomes.num_classes):
        cost = len(false[c]) - np.searchsorted(false[c], found[c])  # false boxes at or above each hit
        costs, gained = np.unique(cost, return_counts=True)
        levels.append(list(zip(costs.tolist(), np.cumsum(gained).tolist(), strict=True))[::-1])
        _wait(queue, levels[c], c, 0, 0, int(objects[c]))
    while queue:
        _, price, c = heapq.heappop(queue)
        if price > remaining:
            continue
        remaining -= price
        total, hits = levels[c].pop()
        spent[c] = total
        _wait(queue, levels[c], c, total, hits, int(objects[c]))

    thresholds = np.full(outcomes.num_classes, common)
    present = np.flatnonzero(objects).tolist()
    for c in present:
        thresholds[c] = threshold_at(false[c], 1, float(spent[c]), floor=floor)
    further = _left_over([false[c] for c in present], [found[c] for c in present], thresholds[present], remaining)
    for c, more in zip(present, further, strict=True):
        thresholds[c] = threshold_at(false[c], 1, float(spent[c] + more), floor=floor)
    return _with_room(outcomes, thresholds, (objects > 0) & (thresholds > floor))


def _left_over(false: list[Floats], found: list[Floats], thresholds: Floats, remaining: int) -> list[int]:
    """Count, per class, the further false boxes that a common factor on all confidences would let in."""
    factors = []
    for alarms, hits, threshold in zip(false, found, thresholds.tolist(), strict=True):
        counted = hits[np.searchsorted(hits, threshold) :]
        last = counted[0] if len(counted) else threshold
        factors.append(alarms[: np.searchsorted(alarms, threshold)] / max(last, TINY))
    falling = np.sort(np.concatenate([np.zeros(0), *factors]))[::-1]
    lowest = falling[remaining] if len(falling) > remaining else 0.0
    return [int((own > lowest).sum()) for own in factors]


def _with_room(outcomes: Outcomes, lowest: Floats, of: Bools) -> Floats:
    """Raise (C,) thresholds of the selected classes as far as ROOM allows; the same boxes count as before."""
    kept = outcomes.counts(lowest)
    nearest = np.full(len(lowest), np.inf)
    np.minimum.at(nearest, outcomes.predicted[kept], outcomes.confidence[kept])
    higher = np.minimum(lowest + np.minimum(ROOM, (nearest - lowest) / 2), np.maximum(lowest, 1.0))
    return np.where(of, higher, lowest)


def _by_class(confidence: Floats, classes: Ints, count: int) -> list[Floats]:
    """Split confidences by class, rising in each."""
    order = np.argsort(classes.astype(np.int32), kind="stable")
    ends = np.cumsum(np.bincount(classes, minlength=count))[:-1]
    return [np.sort(own) for own in np.split(confidence[order], ends)]


def _wait(
    queue: list[tuple[float, int, int]], levels: list[tuple[int, int]], c: int, spent: int, hits: int, objects: int
) -> None:
    """Queue a class by its recall and the price of its next object, if any; free objects are taken at once."""
    while levels and levels[-1][0] == spent:
        _, hits = levels.pop()
    if levels:
        heapq.heappush(queue, (hits / objects, levels[-1][0] - spent, c))
