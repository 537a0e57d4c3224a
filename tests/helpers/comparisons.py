"""Runs of an experiment from arrays that a test can write down."""

import numpy as np

from yolo_balance.comparison import RunFigures
from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.measured import Measured


def random_outcomes(rng, images=12, classes=3, *, ties=False, clean=True):
    """Images with up to four objects, each found or not, and false boxes; confidences are float32 as a model's."""
    parts = []
    for i in range(images):
        label = rng.integers(0, classes, rng.integers(0 if clean else 1, 5))
        if clean and i % 3 == 0:
            label = label[:0]
        found, false = rng.random(len(label)) < 0.6, rng.integers(0, 4)
        predicted = np.concatenate([label[found], rng.integers(0, classes, false)])
        iou = np.zeros((len(label), len(predicted)))
        iou[np.flatnonzero(found), np.arange(found.sum())] = 0.9
        score = rng.integers(1, 6, len(predicted)) / 5 if ties else rng.random(len(predicted))
        parts.append(ImageOutcome.of(iou, label, predicted, score.astype(np.float32), file=f"{i:03d}.png"))
    return parts, Outcomes.pool(parts, classes)


def simulated_run(
    seed, found, *, objects, names=("common", "rare"), budgets=(0.1, 1.0), split="val", unit=None, **measured
):
    """A run whose images hold one object each, of class `objects`, found or not; as many clean ones without any box.

    Args:
        seed: Its seed.
        found: (T,) whether each object is found.
        objects: (T,) classes.
        names: Class names.
        budgets: False boxes per clean image.
        split: What it was read on.
        unit: (2 T,) unit of each image, those with objects first; None where each is one.
        **measured: Of `Measured`.
    """
    found, objects = np.asarray(found, bool), np.asarray(objects, np.int64)
    detections = Detections(
        names=np.array(names, np.str_),
        budgets=np.array(budgets, np.float64),
        split=split,
        counted=np.arange(2 * len(objects)) >= len(objects),
        object_image=np.arange(len(objects)),
        object_class=objects,
        object_confidence=np.where(found, 0.9, -1).astype(np.float32),
        false_image=np.zeros(0, np.int64),
        false_confidence=np.zeros(0, np.float32),
        unit=np.arange(2 * len(objects)) if unit is None else np.asarray(unit, np.int64),
    )
    defaults = {"map50_95": 0.3, "map50": 0.5, "ap50": dict.fromkeys(names, 0.5), "steps": 100, "train_seconds": 10.0}
    return RunFigures(seed, Measured(**{**defaults, **measured}), detections, dict.fromkeys(names, 1 / len(names)))
