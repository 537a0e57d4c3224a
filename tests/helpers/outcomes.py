"""Outcomes of a split from lists that a test can write down."""

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
