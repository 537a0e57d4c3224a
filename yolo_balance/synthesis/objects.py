"""Objects of one image in pixels: the labels that a paste changes with the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Floats32, Ints

Pixels: TypeAlias = npt.NDArray[Any]
"""(h, w, channels) image as loaded, of Ultralytics' dtype."""


@dataclass(frozen=True)
class ImageObjects:
    """Objects of one image, coordinates in px of the image as loaded.

    Attributes:
        classes: (n,) class of each object.
        boxes: (n, 4) corners x1, y1, x2, y2.
        outlines: (n) polygons (k, 2), masks or rotated boxes; None where labels are boxes.
        keypoints: (n, K, 2 or 3) x, y and visibility; None where labels have none.
    """

    classes: Ints
    boxes: Floats
    outlines: Sequence[Floats] | None = None
    keypoints: Floats | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def joined(self, other: ImageObjects) -> ImageObjects:
        """Return these objects, followed by those of `other`; outlines and key points only where both have them."""
        outlines = None
        if self.outlines is not None and other.outlines is not None:
            outlines = [*self.outlines, *other.outlines]
        keypoints = None
        if self.keypoints is not None and other.keypoints is not None:
            keypoints = np.concatenate([self.keypoints, other.keypoints])
        return ImageObjects(
            np.concatenate([self.classes, other.classes]),
            np.concatenate([self.boxes, other.boxes]),
            outlines,
            keypoints,
        )


def grey_of(pixels: Pixels) -> Floats32:
    """Return (h, w) the mean of the channels of pixels (h, w, channels)."""
    if pixels.shape[2] == 3:  # several times faster than numpy's mean
        return np.asarray(cv2.transform(pixels, np.full((1, 3), 1 / 3, np.float32)), np.float32)
    return np.asarray(pixels.mean(2), np.float32)


def bounds(points: Floats) -> Floats:
    """Return the corners (4,) of the upright box around points (k, 2)."""
    corners: Floats = np.concatenate([points.min(0), points.max(0)])
    return corners


def overlaps(box: Floats, boxes: Floats) -> Floats:
    """Compute (n,) share of each of the boxes (n, 4) that a box covers."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-9)
    covered: Floats = np.maximum(sides, 0).prod(1) / area
    return covered
