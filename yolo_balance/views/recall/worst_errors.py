"""Selection of the errors that a page shows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from yolo_balance.recall.outcomes import Outcomes

PER_CLASS, MOST = 4, 24  # errors of a class, and in all


def missed(outcomes: Outcomes, threshold: float | npt.ArrayLike, rarest: Iterable[int]) -> list[int]:
    """Select objects not found at a threshold, lowest confidence of their prime sample first.

    Args:
        outcomes: Boxes and objects of the split.
        threshold: Confidence, one for all classes or (C,) one for each.
        rarest: Class ids in the order in which they are shown.

    Returns:
        At most PER_CLASS of a class and MOST in all; of equal ones the larger come first.
    """
    lost = np.flatnonzero(~outcomes.detected(threshold))
    area = np.prod(outcomes.object_box[:, 2:] - outcomes.object_box[:, :2], axis=1)
    worst = lost[np.lexsort((-area[lost], outcomes.prime_score[lost]))]
    label = outcomes.object_class[worst]
    return [int(o) for c in rarest for o in worst[label == c][:PER_CLASS]][:MOST]


def false_alarms(outcomes: Outcomes, threshold: float | npt.ArrayLike) -> list[int]:
    """Select boxes at or above a threshold that found nothing: on clean images first, the most confident first.

    Returns:
        At most PER_CLASS of a class and MOST in all.
    """
    false = np.flatnonzero(~outcomes.hit & outcomes.counts(threshold))
    worst = false[np.lexsort((-outcomes.confidence[false], ~outcomes.on_clean[false]))]
    label = outcomes.predicted[worst]
    few = sorted(place for c in set(label.tolist()) for place in np.flatnonzero(label == c)[:PER_CLASS].tolist())
    return [int(b) for b in worst[few[:MOST]]]
