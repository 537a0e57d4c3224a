"""Matching of an image's boxes to its objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Floats32, Ints

NONE = -1
"""Index of an object where there is none."""

BACKGROUND_IOU = 0.1
"""Overlap below which a box has nothing to do with an object: TIDE's background threshold, Bolya et al. (2020)."""


def match(own: Floats32, confidence: Floats, threshold: float) -> Ints:
    """Return the (P,) object that each box finds, NONE for a false box.

    Boxes choose in falling confidence: of the objects of their class that are still free and overlap them by at least
    the threshold, the one they overlap most. A box of low confidence so never takes an object from one of higher, and
    counting the boxes above any confidence equals matching only those. COCO's evaluation (Lin et al. 2014) matches so.
    Ultralytics 8.4.0 leaves a box whose best object is taken without another that it overlaps; here it finds that one.

    Args:
        own: (T, P) overlap of objects and boxes, 0 where their classes differ.
        confidence: (P,) of the boxes, any order; of equal ones the first chooses first.
        threshold: Lowest IoU at which a box finds an object.
    """
    found = np.full(own.shape[1], NONE, np.int64)
    candidates = np.flatnonzero((own >= np.float32(threshold)).any(axis=0))
    candidates = candidates[np.argsort(-confidence[candidates], kind="stable")]
    free = own[:, candidates]
    for column, box in enumerate(candidates):
        best = free[:, column].argmax()
        if free[best, column] >= np.float32(threshold):
            found[box] = best
            free[best] = 0
    return found


@dataclass(frozen=True)
class ImageOutcome:
    """One image: P boxes and T objects, objects counted from 0.

    Attributes:
        confidence: (P,).
        predicted: (P,) class of each box.
        found: (P,) object each box found, NONE for a false box.
        own, own_iou: (P,) object of the box's own class that it overlaps most, NONE if none, and their IoU.
        other, other_iou: (P,) the same among objects of other classes.
        box: (P, 4) x1, y1, x2, y2 in pixels of the image file.
        object_class: (T,).
        object_box: (T, 4).
        prime_iou, prime_score: (T,) IoU and confidence of the object's prime sample, see `PrimeSamples`.
        file: The image.
    """

    confidence: Floats
    predicted: Ints
    found: Ints
    own: Ints
    own_iou: Floats32
    other: Ints
    other_iou: Floats32
    box: Floats32
    object_class: Ints
    object_box: Floats32
    prime_iou: Floats32
    prime_score: Floats32
    file: str = ""

    @classmethod
    def of(
        cls,
        iou: npt.ArrayLike,
        object_class: npt.ArrayLike,
        predicted: npt.ArrayLike,
        confidence: npt.ArrayLike,
        *,
        threshold: float = 0.5,
        object_box: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        file: str = "",
    ) -> ImageOutcome:
        """Match the boxes of an image.

        Args:
            iou: (T, P) overlap of objects and boxes, of whatever kind the task matches by.
            object_class: (T,) class ids.
            predicted: (P,) class ids.
            confidence: (P,) in [0, 1].
            threshold: IoU at which a box finds an object.
            object_box: (T, 4) x1, y1, x2, y2 in pixels; zeros when left out.
            box: (P, 4), likewise.
            file: The image.

        Raises:
            ValueError: The shapes do not go together.
        """
        label, guess = np.asarray(object_class, np.int64), np.asarray(predicted, np.int64)
        score = np.asarray(confidence, np.float64)
        overlap = np.asarray(iou, np.float32)
        if not overlap.size and not (label.size and guess.size):
            overlap = overlap.reshape(len(label), len(guess))
        if overlap.shape != (len(label), len(guess)) or guess.shape != score.shape:
            raise ValueError(
                f"expected IoU of shape (objects, boxes), got {overlap.shape} for {len(label)} objects, "
                f"{len(guess)} classes and {len(score)} confidences of boxes"
            )
        same = overlap * (label[:, None] == guess)
        own, own_iou = _most(same)
        other, other_iou = _most(overlap - same)
        prime_iou, prime_score = _prime(same, score)
        return cls(
            confidence=score,
            predicted=guess,
            found=match(same, score, threshold),
            own=own,
            own_iou=own_iou,
            other=other,
            other_iou=other_iou,
            box=_boxes(box, len(guess)),
            object_class=label,
            object_box=_boxes(object_box, len(label)),
            prime_iou=prime_iou,
            prime_score=prime_score,
            file=file,
        )


def _most(iou: Floats32) -> tuple[Ints, Floats32]:
    """Return per column of (T, P) the row of the largest entry, NONE where nothing overlaps, and this entry."""
    if not len(iou):
        return np.full(iou.shape[1], NONE, np.int64), np.zeros(iou.shape[1], np.float32)
    most = iou.max(axis=0)
    return np.where(most > 0, iou.argmax(axis=0), NONE), most


def _prime(own: Floats32, score: Floats) -> tuple[Floats32, Floats32]:
    """Return per row of (T, P) the largest entry and, of the boxes that have it, the highest score; zeros for none."""
    best = own.max(axis=1, initial=0)
    prime = (own == best[:, None]) & (own > 0)
    return best, (prime * score.astype(np.float32)).max(axis=1, initial=0)


def _boxes(boxes: npt.ArrayLike | None, count: int) -> Floats32:
    return np.asarray(np.zeros((count, 4)) if boxes is None else boxes, np.float32).reshape(count, 4)
