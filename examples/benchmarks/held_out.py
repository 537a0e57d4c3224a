"""Do confidences of their own keep on other images what they gain where they were chosen?

    python examples/benchmarks/held_out.py DATA.yaml WEIGHTS [--imgsz 640] [--split val] [--halves 200]

Validates once, then splits the images into halves at random, again and again: thresholds are chosen on one half, one
for all classes and one for each, and read on the other. Prints means over the halves with their standard deviation, for
each budget: recall of the worst class, mean recall of the classes, and false boxes per image they were not to raise.
"""

from __future__ import annotations

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table
from ultralytics import YOLO

from yolo_balance.config import RecallConfig
from yolo_balance.integration.data import resolve_data
from yolo_balance.integration.finished.validate_once import reading_of, validated
from yolo_balance.recall import Outcomes, share_budget, threshold_at


def chosen(outcomes: Outcomes, budget: float, floor: float) -> dict[str, np.ndarray]:
    """Return (C,) thresholds by the rule that chose them."""
    alarms, images = outcomes.confidence[outcomes.alarming], max(outcomes.alarm_images, 1)
    common = threshold_at(alarms, images, budget, floor=floor)
    return {
        "one for all": np.full(outcomes.num_classes, common),
        "one for each": share_budget(outcomes, budget, floor=floor),
    }


def read(outcomes: Outcomes, thresholds: np.ndarray) -> tuple[float, float, float]:
    """Return recall of the worst class, mean recall of classes with objects, and false boxes per image."""
    there = outcomes.objects > 0
    recall = outcomes.hits_at(thresholds)[there] / outcomes.objects[there]
    alarms = (outcomes.counts(thresholds) & outcomes.alarming).sum() / max(outcomes.alarm_images, 1)
    return float(recall.min()), float(recall.mean()), float(alarms)


def main() -> None:
    """Validate, split and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--split", default="val")
    parser.add_argument("--halves", type=int, default=200)
    options = parser.parse_args()
    model, recall = YOLO(options.weights), RecallConfig()
    data = resolve_data(options.data, model.task)
    validator = validated(model, recall, data=data, imgsz=options.imgsz, split=options.split, plots=False)
    outcomes, floor = reading_of(validator).outcomes, validator.args.conf

    table = Table(title=f"{options.halves} random halves of {outcomes.images} images, seed 0")
    for column in ("budget", "confidence", "worst recall", "mean recall", "false boxes"):
        table.add_column(column)
    for budget in recall.false_alarms:
        rng, rows = np.random.default_rng(0), []
        for _ in range(options.halves):
            order = rng.permutation(outcomes.images)
            here, there = np.array_split(order, 2)
            thresholds = chosen(outcomes.subset(here), budget, floor)
            other = outcomes.subset(there)
            rows.append([read(other, of) for of in thresholds.values()])
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        for name, m, s in zip(thresholds, mean, spread, strict=True):
            table.add_row(f"{budget:g}", name, *(f"{a:.2f} ± {b:.2f}" for a, b in zip(m, s, strict=True)))
    Console().print(table)


if __name__ == "__main__":
    main()
