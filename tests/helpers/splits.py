"""Random splits that are written out image by image, for tests that count again slowly."""

import numpy as np

from yolo_balance.recall import ImageOutcome, Outcomes

NAMES = ["a", "b", "c"]


def split(seed, n=25):
    """Per image (iou, object classes, box classes, confidences), coarse so that there are ties; class c is rare."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(n):
        objects, boxes = int(rng.choice([0, 0, 1, 2, 3])), int(rng.integers(0, 4))
        iou = rng.choice([0, 0, 0.05, 0.125, 0.25, 0.75, 1], (objects, boxes))
        classes, guesses = rng.choice(3, objects, p=[0.5, 0.45, 0.05]), rng.integers(0, 3, boxes)
        images.append((iou, classes, guesses, rng.integers(1, 9, boxes) / 8))
    return images


def pool(images):
    return Outcomes.pool((ImageOutcome.of(*image, file=str(i)) for i, image in enumerate(images)), 3)
