"""Cutting an object out of its image: its pixels with the ring around its box, and a mask of its shape.

The mask comes from an outline or a mask image where the data has one. Where labels are boxes, the mask is worked out:
the ring around the box says what the surface looks like, and what differs from the surface within the box is the
object. A super-ellipse stands in where nothing stands out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from yolo_balance.arrays import Bools, Floats, Floats32
from yolo_balance.synthesis.objects import Pixels, bounds

RING = 0.35
"""Width of the ring as a share of the box's longer side."""
LEAST_RING, MOST_RING = 6, 24
"""Bounds of the ring's width, px."""
NOISES = 3.0
"""Standard deviations of the ring's noise from which on a pixel differs from the surface."""
LEAST_NOISE = 2.0
"""Grey levels that no camera distinguishes."""
FILLED = (0.06, 0.92)
"""Shares of the box between which a worked-out mask is believed."""
UNEVEN = 0.12
"""Share of the ring that may differ from the surface; above it nothing stands out."""
BESIDE = 4
"""Width of the ring that is tried where the wide one is uneven, px."""
PATTERN = 16.0
"""Standard deviation of a ring about its plane from which on a surface is a pattern, grey levels."""


@dataclass(frozen=True)
class CutObject:
    """An object as it was cut out; coordinates in px of its pixels.

    Attributes:
        pixels: (h, w, channels) the box with the ring around it.
        solid: (h, w) the object's shape, 1 inside and 0 outside.
        ring: (h, w) 1 where the pixels show the surface beside the object, and no labelled object.
        box: (4,) label box.
        outline: (k, 2) polygon, None where labels are boxes.
        keypoints: (K, 2 or 3) key points, None without.
        found: Origin of the shape: `outline`, `mask`, `residual` or `ellipse`.
        pattern: Whether the surface is a pattern, as on a circuit board. Its parts have sizes and directions, so the
            object is neither turned nor scaled, and its tone stays.
        zoom: Size in px of the loaded image for one px of the file.
    """

    pixels: Pixels
    solid: Floats32
    ring: Floats32
    box: Floats
    outline: Floats | None
    keypoints: Floats | None
    found: str
    pattern: bool
    zoom: float = 1.0

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take, in bytes."""
        return self.pixels.nbytes + self.solid.nbytes + self.ring.nbytes


def cut(
    image: Pixels,
    box: Floats,
    others: Floats,
    *,
    outline: Floats | None = None,
    mask: Bools | None = None,
    rotated: bool = False,
    keypoints: Floats | None = None,
    zoom: float = 1.0,
) -> CutObject:
    """Cut an object out of its image.

    Args:
        image: (H, W, channels) image.
        box: (4,) corners of the object's box, px.
        others: (n, 4) boxes of the image's other objects.
        outline: (k, 2) polygon of the object.
        mask: (H, W) pixels of defects, of this object and maybe of others.
        rotated: Whether the outline is a rotated box and not the object's shape.
        keypoints: (K, 2 or 3) key points of the object.
        zoom: Size in px of the image for one px of its file.
    """
    height, width = image.shape[:2]
    sides = box[2:] - box[:2]
    margin = float(np.clip(RING * sides.max(), LEAST_RING, MOST_RING))
    x1, y1 = np.floor(np.maximum(box[:2] - margin, 0)).astype(int)
    x2, y2 = np.ceil(np.minimum(box[2:] + margin, (width, height))).astype(int)
    pixels = image[y1:y2, x1:x2].copy()
    corner = np.array([x1, y1], np.float64)
    inner = box - np.tile(corner, 2)
    shape = pixels.shape[:2]
    inside = filled_box(inner, shape)
    within = inside if not rotated or outline is None else filled(outline - corner, shape) * inside
    neighbours = np.zeros(shape, np.float32)
    for other in others:
        neighbours = np.maximum(neighbours, filled_box(other - np.tile(corner, 2), shape))
    beyond = 1 - cv2.dilate(inside, np.ones((3, 3), np.uint8))  # labels are not exact to the pixel
    ring = np.asarray(beyond * (1 - neighbours), np.float32)

    solid, found = None, ""
    if outline is not None and not rotated:
        solid, found = filled(outline - corner, shape), "outline"
    elif mask is not None:
        solid, found = mask[y1:y2, x1:x2].astype(np.float32) * within, "mask"
    if solid is None or not (solid > 0.5).any():
        solid, found = residual_mask(pixels, within, ring), "residual"
    if solid is None:
        narrow = cv2.dilate(inside, np.ones((2 * BESIDE + 1, 2 * BESIDE + 1), np.uint8)) * ring
        solid = residual_mask(pixels, within, narrow)
    if solid is None:
        solid, found = super_ellipse(inner, shape) if not rotated else within, "ellipse"
    near = cv2.dilate(solid, np.ones((3, 3), np.uint8)) > 0
    cut_object = CutObject(
        pixels,
        solid,
        np.where(near, 0, ring).astype(np.float32),
        inner,
        None if outline is None else outline - corner,
        None if keypoints is None else np.concatenate([keypoints[:, :2] - corner, keypoints[:, 2:]], 1),
        found,
        is_pattern(pixels, ring),
        zoom,
    )
    return replace(cut_object, box=bounds(cut_object.outline)) if cut_object.outline is not None else cut_object


def filled(outline: Floats, shape: tuple[int, ...]) -> Floats32:
    """Return (h, w) the part of each pixel that a polygon (k, 2) covers, from a fill at four times the resolution.

    OpenCV's own fill takes in every pixel that the border touches.
    """
    height, width = shape[:2]
    mask = np.zeros((4 * height, 4 * width), np.uint8)
    cv2.fillPoly(mask, [np.rint((outline * 4 - 0.5) * 16).astype(np.int32)], 255, shift=4)
    covered = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(covered / 255, np.float32)


def filled_box(box: Floats, shape: tuple[int, ...]) -> Floats32:
    """Return (h, w) 1 inside a box and 0 outside."""
    mask = np.zeros(shape, np.float32)
    x1, y1, x2, y2 = np.rint(box).astype(int)
    mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = 1
    return mask


def surface(pixels: Pixels, ring: Floats32) -> Floats32:
    """Fit a plane to the ring's pixels, each channel by itself; return the plane (h, w, channels)."""
    height, width = ring.shape
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    terms = np.stack([np.ones_like(x), x, y], -1).reshape(-1, 3)
    values = pixels.reshape(-1, pixels.shape[2]).astype(np.float64)
    rows = np.flatnonzero(ring > 0.5)
    if len(rows) < 12:
        return np.broadcast_to(values.mean(0), pixels.shape).astype(np.float32)
    rows = rows[:: max(1, len(rows) // 500)]  # as good as all of them
    fitted, *_ = np.linalg.lstsq(terms[rows], values[rows], rcond=None)
    low, high = values[rows].min(0), values[rows].max(0)
    return np.asarray((terms @ fitted).clip(low, high).reshape(pixels.shape), np.float32)


def is_pattern(pixels: Pixels, ring: Floats32) -> bool:
    """Return whether the surface in a ring varies too much about its plane for a plain or grained surface."""
    beside = ring > 0.5
    return bool(beside.any() and (pixels - surface(pixels, ring))[beside].std() > PATTERN)


def residual_mask(pixels: Pixels, within: Floats32, ring: Floats32) -> Floats32 | None:
    """Work the object's shape out of what differs from the surface within its box.

    Returns:
        (h, w) 1 on the object and 0 beside it; None where nothing stands out, or where the ring is a pattern itself.
    """
    beside = ring > 0.5
    if beside.sum() < 12:
        return None
    residual = np.abs(pixels - surface(pixels, ring)).max(2)
    residual = cv2.GaussianBlur(residual, (3, 3), 0)
    limit = NOISES * max(float(1.4826 * np.median(residual[beside])), LEAST_NOISE)
    differs = residual > limit
    if differs[beside].mean() > UNEVEN:
        return None
    object_ = (differs & (within > 0.5)).astype(np.uint8)
    size = max(3, int(0.12 * np.sqrt(within.sum()))) | 1
    object_ = cv2.morphologyEx(object_, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    contours, _ = cv2.findContours(object_, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = [c for c in contours if cv2.contourArea(c) + len(c) / 2 > 0.02 * within.sum()]
    solid = cv2.drawContours(np.zeros_like(object_), large, -1, 1, cv2.FILLED).astype(np.float32) * within
    if not FILLED[0] <= solid.sum() / max(within.sum(), 1) <= FILLED[1]:
        return None
    columns, rows = (np.flatnonzero((solid > 0.5).any(axis)) for axis in (0, 1))
    wide, high = (np.flatnonzero((within > 0.5).any(axis)) for axis in (0, 1))
    fits = np.ptp(columns) >= 0.5 * np.ptp(wide) and np.ptp(rows) >= 0.5 * np.ptp(high)  # a label fits its object
    return solid if fits else None


def super_ellipse(box: Floats, shape: tuple[int, ...], power: float = 4.0) -> Floats32:
    """Return (h, w) 1 inside the super-ellipse that fills a box, between an ellipse (2) and the box itself."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    centre, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.5)
    radius = np.abs((x - centre[0]) / half[0]) ** power + np.abs((y - centre[1]) / half[1]) ** power
    return np.asarray(radius <= 1, np.float32)
