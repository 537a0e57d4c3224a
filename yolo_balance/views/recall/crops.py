"""Pictures of errors: the part of an image around a missed object or a false box, with the model's boxes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Floats32
from yolo_balance.recall.matching import NONE
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.views.recall.crop_labels import Box, Label, place, text_of

Kind = Literal["object", "box", "below"]
PIXELS, QUALITY = 200, 80  # longer side of a crop, and of JPEG
MARGIN, LEAST = 1.7, 48  # of a crop's side to that of its box, and in pixels of the image
OTHERS = 4  # boxes that count in a crop, the most confident, its own aside


@dataclass(frozen=True)
class DrawnBox:
    """A box in a crop, in the crop's pixels.

    Attributes:
        x, y, width, height: Place; a box may reach beyond the crop.
        kind: An `object`, a `box` that counts at the threshold, or one `below` it.
        own: Whether the crop is about this box.
        label: Class, and the confidence of a box; None where there is no room.
    """

    x: float
    y: float
    width: float
    height: float
    kind: Kind
    own: bool
    label: Label | None


@dataclass(frozen=True)
class Picture:
    """Part of an image.

    Attributes:
        uri: The picture as a data URI.
        width, height: Size in pixels.
        drawn: Boxes, with the one that the crop is about last.
    """

    uri: str
    width: int
    height: int
    drawn: tuple[DrawnBox, ...]


@dataclass(frozen=True)
class Crop:
    """An error and its surroundings.

    Attributes:
        name: Class of the object, or of the false box.
        file: The image.
        confidence: Confidence of the false box, or of the object's prime sample.
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


def of_object(outcomes: Outcomes, o: int, threshold: float | npt.ArrayLike, names: Sequence[str]) -> Crop:
    """Cut the crop around an object; the object's prime sample is drawn whatever its confidence."""
    iou, score = outcomes.prime_iou[o], outcomes.prime_score[o]
    prime = (outcomes.own == o) & (outcomes.own_iou == iou) & (outcomes.confidence.astype(np.float32) == score)
    b = int(prime.argmax()) if prime.any() else NONE
    image, name = int(outcomes.object_image[o]), names[outcomes.object_class[o]]
    picture = _picture(outcomes, image, outcomes.object_box[o], threshold, names, o=o, b=b)
    return Crop(name, outcomes.files[image], float(score), float(iou), on_clean=False, picture=picture)


def of_box(outcomes: Outcomes, b: int, threshold: float | npt.ArrayLike, names: Sequence[str]) -> Crop:
    """Cut the crop around a box."""
    image, name, confidence = int(outcomes.image[b]), names[outcomes.predicted[b]], float(outcomes.confidence[b])
    picture = _picture(outcomes, image, outcomes.box[b], threshold, names, o=NONE, b=b)
    return Crop(name, outcomes.files[image], confidence, None, on_clean=bool(outcomes.on_clean[b]), picture=picture)


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
    """Draw objects, counted boxes and box b around `centre`, which is object o, or box b if o is NONE."""
    pixels = _read(outcomes.files[image])
    if pixels is None:
        return None
    x0, y0, x1, y1 = window(centre, pixels.shape[1], pixels.shape[0])
    scale = PIXELS / max(x1 - x0, y1 - y0)
    width, height = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
    part = np.array([x0, y0, x1, y1], np.float64)

    def placed(box: Floats32) -> Box:
        left, top, right, bottom = ((np.nan_to_num(box) - part[[0, 1, 0, 1]]) * scale).tolist()
        return left, top, right - left, bottom - top

    def an_object(i: int) -> tuple[Kind, Box, str]:
        return "object", placed(outcomes.object_box[i]), text_of(names[outcomes.object_class[i]], None)

    def a_box(i: int) -> tuple[Kind, Box, str]:
        text = text_of(names[outcomes.predicted[i]], float(outcomes.confidence[i]))
        return "box" if counts[i] else "below", placed(outcomes.box[i]), text

    counts = outcomes.counts(threshold)
    boxes = np.flatnonzero((outcomes.image == image) & counts & _touches(outcomes.box, part))
    boxes = boxes[np.argsort(-outcomes.confidence[boxes], kind="stable")]
    objects = np.flatnonzero((outcomes.object_image == image) & _touches(outcomes.object_box, part))
    found = [an_object(o)] if o != NONE else []
    found += [a_box(b)] if b != NONE else []
    found += [a_box(i) for i in boxes[boxes != b][:OTHERS]]
    found += [an_object(i) for i in objects[objects != o]]
    labels = place([(text, box) for _, box, text in found], width, height)
    drawn = [
        DrawnBox(*box, kind, own=i == 0, label=label)
        for i, ((kind, box, _), label) in enumerate(zip(found, labels, strict=True))
    ]
    return Picture(_jpeg(pixels[y0:y1, x0:x1], width, height), width, height, tuple(reversed(drawn)))


def window(box: Floats32 | Floats, width: int, height: int) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 of a square around a box with a margin, moved and cut to lie in an image of that size."""
    x0, y0, x1, y1 = np.nan_to_num(np.asarray(box, np.float64), posinf=0, neginf=0).tolist()
    side = round(max(MARGIN * (x1 - x0), MARGIN * (y1 - y0), LEAST))
    found = []
    for middle, length in (((x0 + x1) / 2, width), ((y0 + y1) / 2, height)):
        start = min(max(round(middle - side / 2), 0), max(length - side, 0))
        found.append((start, min(start + side, length)))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def _touches(boxes: Floats32, part: Floats) -> Bools:
    return np.asarray(((boxes[:, :2] < part[2:]) & (boxes[:, 2:] > part[:2])).all(axis=1))


def _read(file: str) -> npt.NDArray[np.uint8] | None:
    """Read an image as 8-bit BGR; None if the file is missing or no image."""
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
