"""Plain surfaces with objects drawn on them, whose shape is known to the pixel."""

from __future__ import annotations

import cv2
import numpy as np

from yolo_balance.sampling import SamplingPlan
from yolo_balance.synthesis import Bank, ImageObjects, PasteDraw, Sources
from yolo_balance.synthesis.bank import Scene

SIDE = 120


def surface(seed=0, *, level=120, noise=1.0, side=SIDE):
    """Draw a grey surface in three equal channels with a little noise."""
    grey = level + np.random.default_rng(seed).normal(0, noise, (side, side))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, 2)


def ellipse(image, centre, axes, value=30):
    """Draw a filled ellipse; return its box and its polygon."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    image[mask > 0] = value
    rows, columns = np.nonzero(mask)
    outline = np.array(cv2.ellipse2Poly(centre, axes, 0, 0, 360, 5), float) + 0.5
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float), outline


def scene(boxes=1, *, outlines=False, keypoints=False, seed=0):
    """A surface with `boxes` dark ellipses of class 0 side by side in its upper half."""
    image = surface(seed)
    found = [ellipse(image, (20 + 40 * i, 30), (12, 7)) for i in range(boxes)]
    corners = np.array([box for box, _ in found]).reshape(-1, 4)
    points = np.array([[[*box[:2], 2], [*box[2:], 2]] for box in corners]).reshape(-1, 2, 3)
    objects = ImageObjects(
        np.zeros(boxes, np.int64), corners, [o for _, o in found] if outlines else None, points if keypoints else None
    )
    return Scene(image, objects)


def sources_of(scenes, num_classes=1):
    """Sort the objects of scenes."""
    side = float(SIDE)

    def centred(boxes):
        return np.concatenate([boxes[:, :2] + boxes[:, 2:], 2 * (boxes[:, 2:] - boxes[:, :2])], 1) / 2 / side

    return Sources.of([(s.objects.classes, centred(s.objects.boxes)) for s in scenes], num_classes)


def bank_of(scenes, **options):
    """A bank of the objects of scenes, whose clean patches come from the last of them."""
    sources = sources_of(scenes)
    return Bank(sources, scenes.__getitem__, np.full(len(sources.image), len(scenes) - 1), **options)


def draw(**changes):
    """Parameters of a plain paste."""
    plain = {"source": 0, "centre": (0.5, 0.7), "scale": 1.0, "angle": 0.0, "flip_x": False, "flip_y": False}
    plain |= {"edges": (False,) * 4, "blend": "feather", "feather": 0.03, "contrast": 1.0, "noise": 0}
    return PasteDraw(**{**plain, **changes})


def plan(images, pasted, expectation=1.0):
    """A plan that shows each image equally often and asks for so many pasted boxes by class."""
    size = round(images * expectation)
    return SamplingPlan(np.ones(images), size, 0, pasted=np.asarray(pasted, float))
