"""Outcomes of a split: from lists that a test can write down, or at random."""

import dataclasses

import numpy as np

from yolo_balance.recall import ImageOutcome, Outcomes


def pooled(hit, confidence, predicted, objects, num_classes):
    """Per image, which of its boxes hit: each such box lies exactly on the next object of its class."""
    images = []
    for found, score, guess, classes in zip(hit, confidence, predicted, objects, strict=True):
        iou, free = np.zeros((len(classes), len(guess))), list(range(len(classes)))
        for box in np.argsort(-np.asarray(score, float), kind="stable"):
            if found[box]:
                free.remove(taken := next(o for o in free if classes[o] == guess[box]))
                iou[taken, box] = 1
        images.append(ImageOutcome.of(iou, classes, guess, score, file=f"{len(images)}.jpg"))
    return Outcomes.pool(images, num_classes)


def random_image(rng, classes=3):
    """Return coarse overlap and confidence, so that there are ties; some images have no objects, some no boxes."""
    objects, boxes = int(rng.integers(0, 4)), int(rng.integers(0, 7))
    iou = (rng.integers(0, 9, (objects, boxes)) / 8).astype(np.float32)
    return iou, rng.integers(0, classes, objects), rng.integers(0, classes, boxes), rng.integers(1, 9, boxes) / 8


def random_outcomes(seed, n=30):
    rng = np.random.default_rng(seed)
    return [ImageOutcome.of(*random_image(rng), file=f"{i}.jpg") for i in range(n)]


def same(a, b):
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(Outcomes))
