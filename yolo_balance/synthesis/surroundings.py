"""Figures of what a surface looks like, of the ring around an object and of a whole image.

The figures are the mean, the standard deviation, the mean difference between neighbours along rows and along columns
(a brushed surface differs from itself turned by 90 degrees), and the tint, red less blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import cv2
import numpy as np

from yolo_balance.arrays import Floats, Floats32, Ints
from yolo_balance.synthesis.objects import Pixels

SIDE = 160
"""Longer side of the pictures that are compared, px."""
TILES = 6
"""Tiles along each side of an image, whose median stands for the image."""
NEAREST = 5
"""One in this many images counts as similar."""


def thumbnail(image: Pixels) -> Floats32:
    """Return the picture (h, w, 2) of an image that is compared, its longer side 160 px: grey and tint."""
    height, width = image.shape[:2]
    ratio = SIDE / max(height, width)
    size = max(2, round(width * ratio)), max(2, round(height * ratio))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    colours = small[..., :3].astype(np.float32)
    return np.stack([colours.mean(2), colours[..., -1] - colours[..., 0]], 2)


def slopes(grey: Floats32) -> tuple[Floats32, Floats32]:
    """Return two (h, w) differences between neighbouring pixels, without sign: along rows and along columns."""
    along_rows = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    along_columns = np.abs(np.diff(grey, axis=0, append=grey[-1:]))
    return along_rows, along_columns


def image_figures(picture: Floats32) -> Floats:
    """Return (5,) figures of an image's picture: the median over its tiles."""
    grey, tint = picture[..., 0], picture[..., 1]
    layers = [grey, grey * grey, *slopes(grey), tint]
    size = min(TILES, grey.shape[1]), min(TILES, grey.shape[0])
    mean, square, *rest = (
        cv2.resize(np.ascontiguousarray(layer), size, interpolation=cv2.INTER_AREA) for layer in layers
    )
    tiles = np.stack([mean, np.sqrt(np.maximum(square - mean * mean, 0)), *rest])
    median: Floats = np.median(tiles.reshape(len(layers), -1), axis=1).astype(np.float64)
    return median


def ring_figures(picture: Floats32, box: Floats, others: Floats) -> Floats:
    """Return (5,) figures of the ring around a box, boxes in shares of the image (4,) and (n, 4).

    The ring is as wide as half the box's longer side, at least 4 px. Pixels of other boxes are left out. An image
    without such pixels stands for the ring as a whole.
    """
    grey, tint = picture[..., 0], picture[..., 1]
    height, width = grey.shape
    size = np.array([width, height, width, height])
    x1, y1, x2, y2 = box * size
    wide = max(4.0, max(x2 - x1, y2 - y1) / 2)
    keep = np.zeros(grey.shape, bool)
    keep[_span(y1 - wide, y2 + wide), _span(x1 - wide, x2 + wide)] = True
    for left, top, right, bottom in [box * size, *(others * size)]:
        keep[_span(top, bottom), _span(left, right)] = False
    if keep.sum() < 12:
        return image_figures(picture)
    rows, columns = slopes(grey)
    means = (layer[keep].mean() for layer in (rows, columns, tint))
    return np.array([grey[keep].mean(), grey[keep].std(), *means], np.float64)


def _span(start: float, end: float) -> slice:
    return slice(max(int(np.floor(start)), 0), max(int(np.ceil(end)), 0))


def nearest(ring: Floats, images: Floats) -> Ints:
    """Return the indices of the fifth of the images (N, 5) whose figures are nearest to a ring's (5,), nearest first.

    Each figure counts in units of its spread over the images.
    """
    spread = np.maximum(images.std(0), 1e-6)
    distance = (((images - ring) / spread) ** 2).sum(1)
    most = max(1, round(len(images) / NEAREST))
    order: Ints = np.argsort(distance, kind="stable")[:most]
    return order


def similar_images(rings: Floats, images: Floats) -> list[Ints]:
    """Return, for each ring (S, 5), the indices of the fifth of the images (N, 5) that are nearest to it.

    Images whose figures are NaN were not looked at and are never among them.
    """
    seen = np.flatnonzero(np.isfinite(images).all(1))
    return [seen[nearest(ring, images[seen])] for ring in rings] if len(seen) else [seen for _ in rings]


def images_of_group(image: Ints, group: Ints) -> list[Ints]:
    """Return, for each source (S,) its image's group (N,): the indices of the images of that group."""
    members = {g: np.flatnonzero(group == g) for g in np.unique(group[image])}
    return [members[group[i]] for i in image]


def groups(files: Sequence[str]) -> Ints:
    """Return (N,) group of each image file: its folder, or where all lie in one, the name up to the first of _ - . .

    Images of one camera, part or shift usually lie in one folder, or begin with the same word.
    """
    paths = [PurePath(file) for file in files]
    keys = [str(path.parent) for path in paths]
    if len(set(keys)) < 2:
        keys = [path.stem.replace("-", "_").replace(".", "_").partition("_")[0] for path in paths]
    _, group = np.unique(keys, return_inverse=True)
    return group.astype(np.int64)
