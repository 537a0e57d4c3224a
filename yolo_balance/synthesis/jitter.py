"""The change of an object between its image and the place it is pasted to: size, rotation, flips, tone and noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.synthesis.cutting import CutObject
from yolo_balance.synthesis.objects import bounds, grey_of

LEAST_SIDE = 3.0
"""Side of a pasted box below which nothing can be seen of the object, px."""
GAINS = (0.8, 1.25)
"""Bounds of the contrast that is matched to the place."""
NOISIEST = 8.0
"""Standard deviation of noise that is added at most, grey levels."""


@dataclass(frozen=True)
class JitteredObject:
    """An object turned, scaled and flipped; coordinates in px of its pixels.

    Attributes:
        pixels: (h, w, channels) float32.
        grey: (h, w) mean of the channels.
        solid: (h, w) the object's shape, 0 to 1.
        ring: (h, w) surface around the object, 0 to 1.
        box: (4,) label box.
        outline: (k, 2) polygon, None where labels are boxes.
        keypoints: (K, 2 or 3) key points, None without.
        edges: Left, upper, right and lower border of the image, those that the object touches.
        pattern: Whether the surface is a pattern.
    """

    pixels: Floats32
    grey: Floats32
    solid: Floats32
    ring: Floats32
    box: Floats
    outline: Floats | None
    keypoints: Floats | None
    edges: tuple[bool, bool, bool, bool]
    pattern: bool


def jittered(
    found: CutObject,
    *,
    scale: float,
    angle: float,
    zoom: float = 1.0,
    flip_x: bool = False,
    flip_y: bool = False,
    edges: tuple[bool, bool, bool, bool] = (False, False, False, False),
    flip_index: Ints | None = None,
) -> JitteredObject | None:
    """Scale, rotate and flip an object with its labels; None where nothing of it would be left.

    The label box keeps the distance to the object's shape that the label had, so that it fits the pixels as tightly as
    the labels of the data do.

    Args:
        found: The object.
        scale: Factor of its size.
        angle: Rotation in degrees.
        zoom: Size in px of the image that is pasted on for one px of its file.
        flip_x: Whether left and right are exchanged, before the rotation.
        flip_y: Whether top and bottom are exchanged, before the rotation.
        edges: Borders of its image that the object touches.
        flip_index: (K,) key point that each key point becomes in a mirror; one flip exchanges them, two do not.
    """
    size, turn_by = (1.0, 0.0) if found.pattern else (scale, angle)
    scale = size * zoom / found.zoom
    height, width = found.solid.shape
    radians = np.radians(turn_by)
    turn = scale * np.array([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    turn = turn @ np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64) @ turn.T
    low = corners.min(0)
    size = np.maximum(np.rint(np.ptp(corners, axis=0)).astype(int), 1)
    moved = np.concatenate([turn, -low[:, None]], 1)
    # corners of pixels to centres of pixels, which is what OpenCV counts from
    centred = moved.copy()
    centred[:, 2] += turn @ (0.5, 0.5) - 0.5
    shape = int(size[0]), int(size[1])

    def warped(array: Floats32, border: int) -> Floats32:
        if scale < 0.7:  # linear interpolation alone would skip pixels
            array = np.asarray(cv2.GaussianBlur(array, (0, 0), 0.4 / scale), np.float32)
        turned = cv2.warpAffine(array, centred, shape, flags=cv2.INTER_LINEAR, borderMode=border)
        return np.asarray(turned, np.float32)

    pixels = warped(found.pixels.astype(np.float32), cv2.BORDER_REFLECT).reshape(size[1], size[0], -1)
    solid, ring = (warped(mask, cv2.BORDER_CONSTANT) for mask in (found.solid, found.ring))
    if (solid > 0.5).sum() < LEAST_SIDE:
        return None

    outline = None if found.outline is None else found.outline @ turn.T - low
    if outline is not None:
        box = bounds(outline)
    else:
        before, after = tight_box(found.solid), tight_box(solid)
        margins = (before - found.box) * (1, 1, -1, -1) * scale  # positive where the label is wider
        margins = margins[[2 if flip_x else 0, 3 if flip_y else 1, 0 if flip_x else 2, 1 if flip_y else 3]]
        box = after - margins * (1, 1, -1, -1)
    if (box[2:] - box[:2]).min() < LEAST_SIDE:
        return None
    keypoints = found.keypoints
    if keypoints is not None:
        keypoints = np.concatenate([keypoints[:, :2] @ turn.T - low, keypoints[:, 2:]], 1)
        if flip_x != flip_y and flip_index is not None:
            keypoints = keypoints[flip_index]
    left, upper, right, lower = edges
    if flip_x:
        left, right = right, left
    if flip_y:
        upper, lower = lower, upper
    return JitteredObject(
        pixels,
        grey_of(pixels),
        solid,
        ring,
        box,
        outline,
        keypoints,
        (left, upper, right, lower),
        found.pattern,
    )


def tight_box(solid: Floats32) -> Floats:
    """Return (4,) the corners of the upright box around the pixels of a shape."""
    columns, rows = (np.flatnonzero((solid > 0.5).any(axis)) for axis in (0, 1))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


def matched(patch: JitteredObject, there: Floats32, *, contrast: float, seed: int) -> Floats32:
    """Return an object's pixels in the tone and noise of the place that it is pasted to.

    Args:
        patch: The object with its ring.
        there: (h, w, channels) pixels of the place.
        contrast: Further factor of the contrast.
        seed: Seed of the noise.
    """
    ring = patch.ring > 0.5
    if ring.sum() < 12 or patch.pattern:
        return patch.pixels
    own, other = patch.pixels[ring], there[ring]
    gain = float(np.clip(np.sqrt((other.var(0).mean() + 1) / (own.var(0).mean() + 1)), *GAINS)) * contrast
    middle = np.median(own, axis=0)
    pixels = (patch.pixels - middle) * gain + middle + np.median(other - own, axis=0)
    here, wanted = noise(patch.grey, ring) * gain, noise(grey_of(there), ring)
    if wanted > here:
        sigma = min(float(np.sqrt(wanted**2 - here**2)), NOISIEST)
        grain = np.random.default_rng(seed).normal(0, sigma, patch.grey.shape)
        pixels = pixels + grain[..., None].astype(np.float32)  # one for all channels: grey images stay grey
    elif here > 1.5 * wanted + 1:
        pixels = cv2.GaussianBlur(pixels, (3, 3), 0.6).reshape(pixels.shape)
    return np.asarray(pixels, np.float32)


def noise(grey: Floats32, ring: Bools) -> float:
    """Return the standard deviation of a picture's finest grain within a mask, after the median absolute deviation."""
    fine = grey - cv2.GaussianBlur(grey, (3, 3), 0)
    return float(1.4826 * np.median(np.abs(fine[ring]))) * 1.3
