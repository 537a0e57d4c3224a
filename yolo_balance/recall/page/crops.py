"""Pictures of the worst errors: defects that were missed, and false alarms."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from yolo_balance.recall.counts import NONE, Floats, Floats32, Ints, Outcomes

PER_CLASS, MOST = 4, 24  # crops of a class, and in all
PIXELS, QUALITY = 200, 80  # longer side of a crop, and of JPEG
MARGIN, LEAST = 1.7, 48  # of a crop's side to that of its box, and in pixels of the image
LABELS = 3  # boxes of a crop that are named, its own aside


@dataclass(frozen=True)
class Drawn:
    """A box in a crop, in the crop's pixels.

    Attributes:
        x, y, width, height: It may reach beyond the crop.
        kind: An `object`, a `box` that counts at the threshold, or one `below` it.
        name: Class of what is named, else None.
        confidence: Of a box.
        own: Whether the crop is about it.
    """

    x: float
    y: float
    width: float
    height: float
    kind: Literal["object", "box", "below"]
    name: str | None
    confidence: float | None
    own: bool


@dataclass(frozen=True)
class Picture:
    """Part of an image.

    Attributes:
        uri: The picture as a data URI.
        width, height: In pixels.
        drawn: Boxes, the one it is about last.
    """

    uri: str
    width: int
    height: int
    drawn: tuple[Drawn, ...]


@dataclass(frozen=True)
class Crop:
    """An error and its surroundings.

    Attributes:
        name: Class of the object, or of the false box.
        file: The image.
        confidence: Of the false box, or of the object's prime sample.
        iou: Overlap of the object's prime sample, 0 if no box of its class touches it; None for a false box.
        on_clean: Whether the image has no objects.
        picture: None if the image cannot be read.
    """

    name: str
    file: str
    confidence: float
    iou: float | None
    on_clean: bool
    picture: Picture | None


def worst_missed(outcomes: Outcomes, threshold: float | npt.ArrayLike, rarest: Iterable[int]) -> list[int]:
    """Objects not found at a threshold, those first of whose prime samples the model was least sure.

    Args:
        outcomes: Boxes and objects of the split.
        threshold: Confidence, one for all classes or (C,) one for each.
        rarest: Class ids in the order in which they are shown.

    Returns:
        At most PER_CLASS of a class and MOST in all; of equal ones the larger come first.
    """
    missed = np.flatnonzero(~outcomes.detected(threshold))
    area = np.prod(outcomes.object_box[:, 2:] - outcomes.object_box[:, :2], axis=1)
    worst = missed[np.lexsort((-area[missed], outcomes.prime_score[missed]))]
    label = outcomes.object_class[worst]
    return [int(o) for c in rarest for o in worst[label == c][:PER_CLASS]][:MOST]


def worst_false_alarms(outcomes: Outcomes, threshold: float | npt.ArrayLike) -> list[int]:
    """Boxes at or above a threshold that found nothing: on clean images first, the most confident first.

    Returns:
        At most PER_CLASS of a class and MOST in all.
    """
    false = np.flatnonzero(~outcomes.hit & outcomes.counts(threshold))
    worst = false[np.lexsort((-outcomes.confidence[false], ~outcomes.on_clean[false]))]
    return list(islice(_few_of_each(worst, outcomes.predicted[worst]), MOST))


def _few_of_each(items: Ints, label: Ints) -> Iterator[int]:
    seen: dict[int, int] = {}
    for item, c in zip(items.tolist(), label.tolist(), strict=True):
        seen[c] = seen.get(c, 0) + 1
        if seen[c] <= PER_CLASS:
            yield item


def of_object(outcomes: Outcomes, o: int, threshold: float | npt.ArrayLike, names: Sequence[str]) -> Crop:
    """The crop around an object; its prime sample is drawn whatever its confidence."""
    iou, score = outcomes.prime_iou[o], outcomes.prime_score[o]
    prime = (outcomes.own == o) & (outcomes.own_iou == iou) & (outcomes.confidence.astype(np.float32) == score)
    b = int(prime.argmax()) if prime.any() else NONE
    return Crop(
        name=names[outcomes.object_class[o]],
        file=outcomes.files[outcomes.object_image[o]],
        confidence=float(score),
        iou=float(iou),
        on_clean=False,
        picture=_picture(outcomes, int(outcomes.object_image[o]), outcomes.object_box[o], threshold, names, o=o, b=b),
    )


def of_box(outcomes: Outcomes, b: int, threshold: float | npt.ArrayLike, names: Sequence[str]) -> Crop:
    """The crop around a box."""
    return Crop(
        name=names[outcomes.predicted[b]],
        file=outcomes.files[outcomes.image[b]],
        confidence=float(outcomes.confidence[b]),
        iou=None,
        on_clean=bool(outcomes.on_clean[b]),
        picture=_picture(outcomes, int(outcomes.image[b]), outcomes.box[b], threshold, names, o=NONE, b=b),
    )


def _picture(
    outcomes: Outcomes,
    image: int,
    centre: Floats32,
    threshold: float | npt.ArrayLike,
    names: Sequence[str],
    *,
    o: int,
    b: int,
) -> Picture | None:
    """Around `centre`, which is object o, or box b if o is NONE: all objects, the boxes that count, and box b."""
    pixels = _read(outcomes.files[image])
    if pixels is None:
        return None
    x0, y0, x1, y1 = window(centre, pixels.shape[1], pixels.shape[0])
    scale = PIXELS / max(x1 - x0, y1 - y0)
    width, height = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
    part = np.array([x0, y0, x1, y1], np.float64)

    def placed(box: Floats32) -> tuple[float, float, float, float]:
        left, top, right, bottom = ((np.nan_to_num(box) - part[[0, 1, 0, 1]]) * scale).tolist()
        return left, top, right - left, bottom - top

    counts = outcomes.counts(threshold)
    boxes = np.flatnonzero((outcomes.image == image) & counts & _touches(outcomes.box, part))
    boxes = np.union1d(boxes, [b] if b != NONE else []).astype(np.int64)
    boxes = boxes[np.argsort(-outcomes.confidence[boxes], kind="stable")]
    objects = np.flatnonzero((outcomes.object_image == image) & _touches(outcomes.object_box, part))
    drawn = [
        Drawn(*placed(outcomes.object_box[i]), "object", names[outcomes.object_class[i]], None, bool(i == o))
        for i in np.union1d(objects, [o] if o != NONE else []).astype(np.int64)
    ]
    for place, i in enumerate(boxes):
        kind: Literal["box", "below"] = "box" if counts[i] else "below"
        name = names[outcomes.predicted[i]] if place < LABELS or i == b else None
        own = o == NONE and bool(i == b)
        drawn.append(Drawn(*placed(outcomes.box[i]), kind, name, float(outcomes.confidence[i]), own))
    drawn.sort(key=lambda item: item.own)
    return Picture(_jpeg(pixels[y0:y1, x0:x1], width, height), width, height, tuple(drawn))


def window(box: Floats32 | Floats, width: int, height: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a square around a box with a margin, moved and cut to lie in an image of that size."""
    x0, y0, x1, y1 = np.nan_to_num(np.asarray(box, np.float64), posinf=0, neginf=0).tolist()
    side = round(max(MARGIN * (x1 - x0), MARGIN * (y1 - y0), LEAST))
    found = []
    for middle, length in (((x0 + x1) / 2, width), ((y0 + y1) / 2, height)):
        start = min(max(round(middle - side / 2), 0), max(length - side, 0))
        found.append((start, min(start + side, length)))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def _touches(boxes: Floats32, part: Floats) -> npt.NDArray[np.bool_]:
    touches: npt.NDArray[np.bool_] = np.logical_and.reduce(
        np.hstack([boxes[:, :2] < part[2:], boxes[:, 2:] > part[:2]]), axis=1
    )
    return touches


def _read(file: str) -> npt.NDArray[np.uint8] | None:
    """An image as 8-bit BGR; None for what is no image, or not there."""
    try:
        content = np.frombuffer(Path(file).read_bytes(), np.uint8)  # OpenCV's own reading knows ASCII paths only
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except (OSError, ValueError, cv2.error):
        return None
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _jpeg(part: npt.NDArray[np.uint8], width: int, height: int) -> str:
    larger = width > part.shape[1]
    scaled = cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC if larger else cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
