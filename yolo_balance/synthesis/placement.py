"""Places for a paste: inside the image, clear of labelled boxes, and where the surface looks like the object's own."""

from __future__ import annotations

import cv2
import numpy as np

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.synthesis.jitter import JitteredObject

MOST_COVERED = 0.05
"""Share of a labelled box that a paste may cover."""
TEMPLATE = 16
"""Longer side at which surfaces are compared first, px."""
FINE = 40
"""Longer side at which the best place is compared again, px."""
REACH = 1.0
"""Distance from the drawn centre within which a place is looked for, in sides of the patch."""
STEPS = 24
"""Places along each side that are tried where none is near the drawn centre."""
UNLIKE = 20.0
"""Root mean square difference to the image from which on a place is unlike the object's own, grey levels."""


def free_places(shape: tuple[int, ...], size: tuple[int, int], boxes: Floats) -> Ints:
    """Return (n, 2) corners x, y of the places where a patch (width, height) lies inside and touches no box.

    At most `STEPS` places along each side are tried.
    """
    height, width = shape[:2]
    if size[0] > width or size[1] > height:
        return np.zeros((0, 2), np.int64)
    xs, ys = (np.unique(np.linspace(0, end, STEPS).astype(np.int64)) for end in (width - size[0], height - size[1]))
    patch = np.array([0, 0, *size], np.float64)
    rows, columns = np.nonzero(allowed(xs, ys, patch, boxes, np.zeros((0, 4)), most=0.0))
    return np.stack([xs[columns], ys[rows]], 1)


def allowed(xs: Ints, ys: Ints, box: Floats, boxes: Floats, keep_out: Floats, *, most: float = MOST_COVERED) -> Bools:
    """Return (len(ys), len(xs)) whether a patch may have its corner there.

    Args:
        xs: Corners of the patch from the left.
        ys: Corners of the patch from the top.
        box: (4,) the object's box within the patch.
        boxes: (n, 4) labelled boxes, of which a share of at most `most` may be covered.
        keep_out: (m, 4) boxes that nothing may touch.
        most: The share.
    """
    free = np.ones((len(ys), len(xs)), bool)
    for others, limit in ((boxes, most), (keep_out, 0.0)):
        for x1, y1, x2, y2 in others:
            wide = np.maximum(np.minimum(xs + box[2], x2) - np.maximum(xs + box[0], x1), 0)
            high = np.maximum(np.minimum(ys + box[3], y2) - np.maximum(ys + box[1], y1), 0)
            free &= np.outer(high, wide) <= limit * (x2 - x1) * (y2 - y1)
    return free


def place(
    grey: Floats32,
    patch: JitteredObject,
    centre: tuple[float, float],
    boxes: Floats,
    keep_out: Floats,
    *,
    search: bool,
    like: bool = False,
) -> tuple[int, int] | None:
    """Return the corner x, y of a patch in an image, which may be negative where the ring leaves it; None for no place.

    The places around the drawn centre come first. Where none of them is allowed, or where all are unlike the object's
    own surroundings, the whole image is searched.

    Args:
        grey: (H, W) image.
        patch: The object with its ring; `edges` names the borders that it touches in its own image, and touches here.
        centre: Drawn centre of the object as shares of the image.
        boxes: (n, 4) labelled boxes.
        keep_out: (m, 4) boxes that nothing may touch.
        search: Whether to look around the drawn centre for the place that looks most like the object's own.
        like: Whether a place that is unlike the object's own is none.
    """
    height, width = grey.shape
    box = patch.box
    lows, highs = np.ceil(-box[:2]).astype(int), np.floor((width, height) - box[2:]).astype(int)
    for axis, (first, last) in enumerate(((0, 2), (1, 3))):
        if patch.edges[first]:
            highs[axis] = lows[axis]
        elif patch.edges[last]:
            lows[axis] = highs[axis]
    if (lows > highs).any():
        return None
    middle = np.array(centre) * (width, height) - (box[:2] + box[2:]) / 2
    middle = np.clip(np.rint(middle).astype(int), lows, highs)
    sides = patch.solid.shape[::-1]
    step = max(1, round(max(sides) / TEMPLATE)) if search else 1
    reach = max(1, round(REACH * max(sides) / step))
    near = [_around(middle[i], reach, step, lows[i], highs[i]) for i in (0, 1)]
    coarse = 2 * step if search else 1
    far = [np.arange(lows[i], highs[i] + 1, coarse) for i in (0, 1)]
    found = None
    for (xs, ys), apart in ((near, step), (far, coarse)):
        free = allowed(xs, ys, box, boxes, keep_out)
        if not free.any():
            continue
        if not search:
            rows, columns = np.nonzero(free)
            best = int(np.argmin((xs[columns] - middle[0]) ** 2 + (ys[rows] - middle[1]) ** 2))
            return int(xs[columns[best]]), int(ys[rows[best]])
        x, y, difference = _likest(grey, patch, xs, ys, apart, free)
        if found is None or difference < found[2]:
            found, step = (x, y, difference), apart
        if difference < UNLIKE:
            break
    if found is None:
        return None
    x, y, difference = found
    if step > 1:
        finer = max(1, round(max(sides) / FINE))
        xs, ys = (_around(at, max(1, step // finer), finer, lows[i], highs[i]) for i, at in enumerate((x, y)))
        free = allowed(xs, ys, box, boxes, keep_out)
        x, y, difference = _likest(grey, patch, xs, ys, finer, free)
    return None if like and difference > UNLIKE else (x, y)


def _likest(
    grey: Floats32, patch: JitteredObject, xs: Ints, ys: Ints, step: int, free: Bools
) -> tuple[int, int, float]:
    """Return the allowed place that looks most like the object's own, and its root mean square difference."""
    cost = np.where(free, _difference(grey, patch, xs, ys, step), np.inf)
    row, column = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return int(xs[column]), int(ys[row]), float(np.sqrt(max(cost[row, column], 0)))


def _around(middle: int, reach: int, step: int, low: int, high: int) -> Ints:
    places = middle + step * np.arange(-reach, reach + 1)
    return places[(places >= low) & (places <= high)]


def _difference(grey: Floats32, patch: JitteredObject, xs: Ints, ys: Ints, step: int) -> Floats:
    """Compute (len(ys), len(xs)) mean squared difference between an object's ring and the image, at each place.

    The places lie `step` px apart. On a plain surface the difference in tone does
    not count, because the tone is matched afterwards.
    """
    height, width = patch.solid.shape
    size = max(2, round(width / step)), max(2, round(height / step))
    template = cv2.resize(patch.grey, size, interpolation=cv2.INTER_AREA)
    ring = cv2.resize(patch.ring, size, interpolation=cv2.INTER_AREA)
    # the part of the image under all places, mirrored beyond its borders, at one px for `step`
    columns, rows = len(xs) + size[0] - 1, len(ys) + size[1] - 1
    part = mirrored(grey, int(xs[0]), int(ys[0]), columns * step, rows * step)
    small = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    total = max(float(ring.sum()), 1e-6)
    template = template - (0.0 if patch.pattern else (template * ring).sum() / total)
    # sum of r (i - t)^2 = sum of r i^2 - 2 sum of r t i + sum of r t^2, each sum a correlation
    square = cv2.filter2D(small * small, -1, ring, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    cross = cv2.filter2D(small, -1, ring * template, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    cost = square - 2 * cross + (ring * template * template).sum()
    if not patch.pattern:
        mean = cv2.filter2D(small, -1, ring, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
        cost -= mean * mean / total
    return np.asarray(cost[: len(ys), : len(xs)] / total, np.float64)


def mirrored(image: Floats32, x: int, y: int, width: int, height: int) -> Floats32:
    """Return the part of an image from a corner on, mirrored where it lies beyond the image's borders."""
    rows, columns = image.shape[:2]
    left, top, right, bottom = max(-x, 0), max(-y, 0), max(x + width - columns, 0), max(y + height - rows, 0)
    part = image[max(y, 0) : y + height, max(x, 0) : x + width]
    if not (left or top or right or bottom):
        return part
    return np.asarray(cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REFLECT), part.dtype)
