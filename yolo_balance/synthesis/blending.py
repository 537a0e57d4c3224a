"""Blends: ways in which a pasted object meets the image, so that no edge of one kind tells a paste."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from yolo_balance.arrays import Floats32
from yolo_balance.synthesis.cutting import surface
from yolo_balance.synthesis.objects import Pixels

FEATHER: Final = "feather"
POISSON: Final = "poisson"
POISSON_MIXED: Final = "poisson_mixed"
RESIDUAL: Final = "residual"
BLENDS = {
    "mixed": (FEATHER, POISSON, POISSON_MIXED, RESIDUAL),
    "feather": (FEATHER,),
    "poisson": (POISSON, POISSON_MIXED),
    "residual": (RESIDUAL,),
}
"""Blends that each value of `blend` draws from."""
SOLVED = 48
"""Longer side at which Poisson's equation is solved, px; its solution is smooth."""
GROWN = 6
"""Distance of the object to the rim on which the equation is holding, px of that picture; OpenCV takes 3 px off it."""


def blend(
    there: Floats32,
    pixels: Floats32,
    solid: Floats32,
    ring: Floats32,
    *,
    way: str,
    feather: float,
    pattern: bool = False,
) -> Floats32:
    """Return (h, w, channels) the place with an object in it.

    Args:
        there: (h, w, channels) the place.
        pixels: (h, w, channels) the object with its ring, in the tone of the place.
        solid: (h, w) the object's shape, 0 to 1.
        ring: (h, w) surface around the object, 0 to 1.
        way: Name of the blend; a pattern is always feathered, and sharply, as its own edges are.
        feather: Standard deviation of the soft edge, px.
        pattern: Whether the surface is a pattern.
    """
    if pattern:
        way, feather = FEATHER, 0.0
    if way == RESIDUAL:
        residual = pixels - surface(pixels, ring)
        return there + _edge(solid, feather + 1, grown=2)[..., None] * residual
    if way == FEATHER or there.shape[2] not in (1, 3):
        alpha = _edge(solid, feather, grown=1)[..., None]
        return there * (1 - alpha) + pixels * alpha
    flag = cv2.NORMAL_CLONE if way == POISSON else cv2.MIXED_CLONE
    alpha = _edge(solid, feather + 1, grown=2)[..., None]
    return there * (1 - alpha) + (pixels + _poisson(there, pixels, solid, flag)) * alpha


def _edge(solid: Floats32, feather: float, *, grown: int) -> Floats32:
    """Return a shape, grown by so many px, with a soft edge that ends within the patch."""
    if grown:
        solid = np.asarray(cv2.dilate(solid, np.ones((2 * grown + 1, 2 * grown + 1), np.uint8)), np.float32)
    soft = cv2.GaussianBlur(solid, (0, 0), max(feather, 0.4))
    height, width = solid.shape
    rows = np.minimum(np.arange(height), np.arange(height)[::-1])
    columns = np.minimum(np.arange(width), np.arange(width)[::-1])
    fade = np.minimum(rows[:, None], columns[None, :])
    return np.asarray(soft * np.clip(fade / 2, 0, 1), np.float32)


def _poisson(there: Floats32, pixels: Floats32, solid: Floats32, flag: int) -> Floats32:
    """Return (h, w, channels) the change that makes an object's gradients fit the place (Perez et al., 2003)."""
    height, width = solid.shape
    ratio = min(1.0, SOLVED / max(height, width))
    size = max(4, round(width * ratio)), max(4, round(height * ratio))

    rim = GROWN + 1

    def small(array: Floats32) -> Pixels:
        reduced = cv2.resize(array.clip(0, 255), size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
        three = np.repeat(reduced, 3, 2) if reduced.shape[2] == 1 else reduced
        return np.pad(np.rint(three).astype(np.uint8), ((rim, rim), (rim, rim), (0, 0)), mode="edge")

    place, object_ = small(there), small(pixels)
    shape = np.pad(cv2.resize(solid, size, interpolation=cv2.INTER_AREA) > 0.05, rim).astype(np.uint8) * 255
    grown = np.asarray(cv2.dilate(shape, np.ones((2 * GROWN + 1, 2 * GROWN + 1), np.uint8)), np.uint8)
    grown[[0, -1]] = grown[:, [0, -1]] = 0
    x, y, wide, high = cv2.boundingRect(grown)
    solved = cv2.seamlessClone(object_, place, grown, (x + wide // 2, y + high // 2), flag)
    change = (solved.astype(np.float32) - object_)[rim:-rim, rim:-rim, : there.shape[2]]
    whole = cv2.resize(np.ascontiguousarray(change), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32).reshape(there.shape)
