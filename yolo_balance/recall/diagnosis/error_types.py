"""Error types at a threshold: causes of missed objects, and places of false boxes.

In the manner of Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors (ECCV 2020), with its two
overlaps: t_f, at which a box finds an object, and t_b = 0.1, below which it lies on background. TIDE asks what AP each
type costs; here they are counted at the confidence a line runs at, so a box below it is not there, and an object that
only such a box found has a cause of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Ints
from yolo_balance.recall.matching import BACKGROUND_IOU, NONE
from yolo_balance.recall.outcomes import Outcomes

CAUSES = ("confused", "badly_located", "below_threshold", "missed")
"""Causes why an object was not found, in order of precedence."""

TYPES = ("duplicate", "confused", "badly_located", "both", "background")
"""Types of a false box, in order of precedence."""


@dataclass(frozen=True)
class MissedObjects:
    """Missed objects of one class by cause; every missed object has one cause.

    Attributes:
        n: Objects of the class.
        not_found: Objects that no box at or above the threshold found.
        confused: A false box of another class overlaps the object by at least t_f.
        badly_located: A false box of its class overlaps it by at least t_b, but less than t_f.
        below_threshold: A box below the threshold finds it.
        below_confidence: Median confidence of these boxes; None without.
        missed: None of these.
        confused_with: Number of the confused objects by class of the most confident such box.
    """

    n: int
    not_found: int
    confused: int
    badly_located: int
    below_threshold: int
    below_confidence: float | None
    missed: int
    confused_with: Mapping[str, int]


@dataclass(frozen=True)
class FalseBoxes:
    """False boxes of one class by type; every false box has one type.

    Attributes:
        n: False boxes at or above the threshold.
        on_clean: False boxes on images without objects, all of them `background`; None where every image has objects.
        duplicate: Overlaps an object of its class by at least t_f, which a more confident box found.
        confused: Overlaps an object of another class by at least t_f.
        badly_located: Overlaps an object of its class by at least t_b.
        both: Overlaps an object of another class by at least t_b.
        background: None of these.
        confused_with: Number of the confused boxes by class of the object.
    """

    n: int
    on_clean: int | None
    duplicate: int
    confused: int
    badly_located: int
    both: int
    background: int
    confused_with: Mapping[str, int]


@dataclass(frozen=True)
class ClassErrors:
    """Missed objects and false boxes of one class.

    Attributes:
        threshold: Confidence at and above which boxes of the class count.
        objects, boxes: The objects not found and the false boxes.
    """

    threshold: float
    objects: MissedObjects
    boxes: FalseBoxes


@dataclass(frozen=True)
class ErrorTypes:
    """Error types per class at a threshold.

    Attributes:
        iou: t_f, the IoU at which a box finds an object.
        background_iou: t_b.
        classes: By class name, in class-id order.
    """

    iou: float
    background_iou: float
    classes: Mapping[str, ClassErrors]

    @classmethod
    def of(
        cls, outcomes: Outcomes, names: Sequence[str], threshold: float | npt.ArrayLike, *, iou: float = 0.5
    ) -> ErrorTypes:
        """Count the error types of a validation pass that was matched at an IoU.

        The threshold is one confidence for all classes or (C,) one for each.

        Example:
            >>> from yolo_balance.recall import ImageOutcome
            >>> image = ImageOutcome.of([[0.8], [0.0]], [0, 1], [1], [0.9])  # an a under a box that says b, and a b
            >>> errors = ErrorTypes.of(Outcomes.pool([image], 2), ["a", "b"], 0.5).classes
            >>> errors["a"].objects.confused_with, errors["b"].objects.missed, errors["b"].boxes.confused_with
            ({'b': 1}, 1, {'a': 1})
        """
        thresholds = np.broadcast_to(np.asarray(threshold, np.float64), (outcomes.num_classes,))
        cause, taken_for = miss_causes(outcomes, thresholds, iou=iou)
        kind, really = false_box_types(outcomes, thresholds, iou=iou)
        finder = np.zeros(len(cause))
        finder[outcomes.found[outcomes.hit]] = outcomes.confidence[outcomes.hit]

        def named(classes: Ints) -> dict[str, int]:
            counted = Counter(classes[classes > NONE].tolist())
            return {names[c]: counted[c] for c in sorted(counted, key=lambda c: (-counted[c], c))}

        classes = {}
        for c, (name, least) in enumerate(zip(names, thresholds.tolist(), strict=True)):
            mine, its = outcomes.object_class == c, outcomes.predicted == c
            below = finder[mine & (cause == CAUSES.index("below_threshold"))]
            objects = MissedObjects(
                n=int(mine.sum()),
                not_found=int((cause[mine] > NONE).sum()),
                **{field: int((cause[mine] == i).sum()) for i, field in enumerate(CAUSES)},
                below_confidence=float(np.median(below)) if len(below) else None,
                confused_with=named(taken_for[mine]),
            )
            boxes = FalseBoxes(
                n=int((kind[its] > NONE).sum()),
                on_clean=int((outcomes.on_clean[its] & (kind[its] > NONE)).sum()) if outcomes.clean_images else None,
                **{field: int((kind[its] == i).sum()) for i, field in enumerate(TYPES)},
                confused_with=named(really[its]),
            )
            classes[name] = ClassErrors(least, objects, boxes)
        return cls(iou, BACKGROUND_IOU, classes)


def miss_causes(outcomes: Outcomes, threshold: float | npt.ArrayLike, *, iou: float = 0.5) -> tuple[Ints, Ints]:
    """Return the cause why each object was not found.

    What a line sees comes first, so causes by boxes at or above the threshold precede `below_threshold`; and of these
    the box that lies where the object is, if of another class, precedes one that only touches it.

    A box is asked about two objects only, the one of its class and the one of other classes that it overlaps most. So a
    box over several objects explains one of each, and the others, unless another box does, are `missed`; so is one of
    two objects of a class under one box, which finds one alone. `below_threshold` is exact: some lower threshold finds
    the object.

    Returns:
        (T,) index of the cause in CAUSES, NONE for objects found; and (T,) class of the most confident box that
        `confused` is due to, of equal ones the first, NONE for other causes.
    """
    false = outcomes.counts(threshold) & ~outcomes.hit
    causes = np.full(len(outcomes.object_class), CAUSES.index("missed"), np.int64)
    causes[outcomes.found[outcomes.hit]] = CAUSES.index("below_threshold")
    near = false & (outcomes.own_iou >= np.float32(BACKGROUND_IOU))  # from t_f on a duplicate, whose object is found
    causes[outcomes.own[near]] = CAUSES.index("badly_located")
    instead = np.flatnonzero(false & (outcomes.other_iou >= np.float32(iou)))
    causes[outcomes.other[instead]] = CAUSES.index("confused")
    causes[outcomes.detected(threshold)] = NONE

    taken_for = np.full(len(causes), NONE, np.int64)
    rising = instead[np.argsort(-outcomes.confidence[instead], kind="stable")][::-1]
    taken_for[outcomes.other[rising]] = outcomes.predicted[rising]  # of several the last stays, the most confident
    return causes, np.where(causes == CAUSES.index("confused"), taken_for, NONE)


def false_box_types(outcomes: Outcomes, threshold: float | npt.ArrayLike, *, iou: float = 0.5) -> tuple[Ints, Ints]:
    """Return the type of each false box: the object or background it lies on.

    The larger overlap comes first, and at either overlap the box's own class: `duplicate` and `confused` at t_f, then
    `badly_located` and `both` at t_b. In TIDE's own code `badly_located` precedes all, also where the box lies on an
    object of another class and merely touches one of its own; here such a box is `confused`.

    A false box on an object of its class is always a duplicate: boxes choose in falling confidence, so the object went
    to one of the same class that counts as well. A box that overlaps several objects is judged by the one of its class
    and the one of other classes that it overlaps most, which are all that its type depends on.

    Returns:
        (P,) index of the type in TYPES, NONE for boxes that found an object or do not count; and (P,) class of the
        object that a `confused` box lies on, NONE for other types.
    """
    own, other = outcomes.own_iou, outcomes.other_iou
    found, touched = np.float32(iou), np.float32(BACKGROUND_IOU)
    first: list[Bools] = [own >= found, other >= found, own >= touched, other >= touched]
    types = np.select(first, [0, 1, 2, 3], TYPES.index("background")).astype(np.int64)
    types[outcomes.hit | ~outcomes.counts(threshold)] = NONE
    really = np.full(len(types), NONE, np.int64)
    confused = types == TYPES.index("confused")
    really[confused] = outcomes.object_class[outcomes.other[confused]]
    return types, really
