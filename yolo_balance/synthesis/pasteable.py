"""Objects of the train split that can be cut out, and those that cannot: textures, and objects under another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.synthesis.objects import overlaps

LARGEST = 0.25
"""Share of the image above which a box counts as texture."""
BORDER = 0.005
"""Distance to a border, as a share of the image, from which on a box touches the border."""
HIDDEN = 0.3
"""Share of a box that boxes of other objects may cover."""


@dataclass(frozen=True)
class Sources:
    """Objects that can be cut out, one row each, in the order of the images.

    Attributes:
        image: (S,) image index.
        place: (S,) position of the object among its image's labels.
        classes: (S,) class.
        boxes: (S, 4) corners x1, y1, x2, y2 as shares of the image.
        textures: (C,) boxes of each class that count as texture: over a quarter of the image, or at two borders.
        covered: (C,) boxes of each class that another object covers.
    """

    image: Ints
    place: Ints
    classes: Ints
    boxes: Floats
    textures: Ints
    covered: Ints

    @classmethod
    def of(cls, labels: Sequence[tuple[Ints, Floats | Floats32]], num_classes: int) -> Sources:
        """Sort the labels of all images.

        Args:
            labels: Per image the (n,) classes and (n, 4) boxes, centre and size as shares of the image.
            num_classes: C.
        """
        counts = [len(classes) for classes, _ in labels]
        image = np.repeat(np.arange(len(labels)), counts)
        place = np.concatenate([np.arange(n) for n in counts]) if labels else np.zeros(0, np.int64)
        classes = np.concatenate([c for c, _ in labels]) if labels else np.zeros(0, np.int64)
        centred = (
            np.concatenate([b for _, b in labels]).reshape(-1, 4).astype(np.float64) if labels else np.zeros((0, 4))
        )
        boxes = np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], 1).clip(0, 1)
        texture = is_texture(boxes)
        covered = _covered(image, boxes) & ~texture
        keep = ~texture & ~covered & (boxes[:, 2:] > boxes[:, :2]).all(1)
        return cls(
            image[keep],
            place[keep],
            classes[keep].astype(np.int64),
            boxes[keep],
            np.bincount(classes[texture].astype(np.int64), minlength=num_classes),
            np.bincount(classes[covered].astype(np.int64), minlength=num_classes),
        )

    @property
    def counts(self) -> Ints:
        """(C,) objects of each class that can be cut out."""
        return np.bincount(self.classes, minlength=len(self.textures))

    @property
    def centres(self) -> Floats:
        """(S, 2) centres as shares of the image."""
        centres: Floats = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        return centres


def touching(boxes: Floats) -> Bools:
    """Return (n, 4) whether a box, in shares of the image, touches the left, upper, right and lower border."""
    near: Bools = np.concatenate([boxes[:, :2] <= BORDER, boxes[:, 2:] >= 1 - BORDER], 1)
    return near


def is_texture(boxes: Floats) -> Bools:
    """Return (n,) whether a box is over a quarter of the image or touches two of its borders."""
    large = (boxes[:, 2:] - boxes[:, :2]).prod(1) > LARGEST
    texture: Bools = large | (touching(boxes).sum(1) >= 2)
    return texture


def _covered(image: Ints, boxes: Floats) -> Bools:
    """Return (n,) whether any other box of the image covers more of a box than may be hidden."""
    covered = np.zeros(len(boxes), bool)
    starts = np.flatnonzero(np.diff(image, prepend=-1))
    for rows in np.split(np.arange(len(boxes)), starts[1:]):
        if len(rows) > 1:
            for row in rows:
                others = rows[rows != row]
                covered[others] |= overlaps(boxes[row], boxes[others]) > HIDDEN
    return covered
