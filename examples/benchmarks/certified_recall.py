"""Recall that a certificate costs: today's choice of a threshold beside the certified one, in simulated worlds.

    python examples/benchmarks/certified_recall.py --worlds 200

Logits of false boxes are N(0, 1), those of found objects N(2, 1), 60 images with an object. A clean image has .6 false
boxes at any confidence; where alarms are clustered, one image in three has 1.8 and the others none.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.special import expit, logit, ndtr

from yolo_balance.recall import Outcomes
from yolo_balance.recall.decisions.certificate import Terms
from yolo_balance.recall.decisions.certification import certify_outcomes
from yolo_balance.recall.matching import NONE
from yolo_balance.recall.operating_point import threshold_at

BUDGET, CAP, RATE, SHIFT, DEFECTIVE = 0.1, 3, 0.6, 2.0, 60


def world(rng: np.random.Generator, clean: int, clustered: bool) -> Outcomes:
    """Return one split: its clean images, then those with an object, which a box finds."""
    rate = RATE * (3 * (rng.random(clean) < 1 / 3) if clustered else np.ones(clean))
    false = np.repeat(np.arange(clean), rng.poisson(rate))
    image = np.r_[false, clean + np.arange(DEFECTIVE)]
    found = np.r_[np.full(len(false), NONE), np.arange(DEFECTIVE)]
    boxes, nothing = len(image), np.full(len(image), NONE)
    return Outcomes(
        confidence=expit(rng.normal(np.where(found > NONE, SHIFT, 0.0), 1)),
        predicted=np.zeros(boxes, np.int64),
        image=image,
        found=found,
        own=nothing,
        own_iou=np.zeros(boxes, np.float32),
        other=nothing,
        other_iou=np.zeros(boxes, np.float32),
        box=np.zeros((boxes, 4), np.float32),
        object_class=np.zeros(DEFECTIVE, np.int64),
        object_image=clean + np.arange(DEFECTIVE),
        object_box=np.zeros((DEFECTIVE, 4), np.float32),
        prime_iou=np.zeros(DEFECTIVE, np.float32),
        prime_score=np.zeros(DEFECTIVE, np.float32),
        files=tuple(f"{i}.png" for i in range(clean + DEFECTIVE)),
        unit=np.arange(clean + DEFECTIVE),
        num_classes=1,
    )


def truth(threshold: float, clustered: bool) -> tuple[float, float]:
    """Return capped false boxes per clean image and recall of all parts there may be."""
    above, found = 1 - ndtr(logit(threshold)), 1 - ndtr(logit(threshold) - SHIFT)
    rate = RATE * above * (3 if clustered else 1)
    below = [np.exp(-rate) * rate**k / np.prod(np.arange(1, k + 1)) for k in range(CAP)]
    boxes = CAP - sum((CAP - k) * p for k, p in enumerate(below))
    return float(boxes / (3 if clustered else 1)), float(found)


def main() -> None:
    """Print a row for each number of clean images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=200)
    worlds = parser.parse_args().worlds
    print("alarms       clean  budget exceeded: val  certified   recall: val  certified")
    for clustered in (False, True):
        for clean in (120, 300, 1000, 3000):
            rng, rows = np.random.default_rng(clean), []
            for _ in range(worlds):
                val = world(rng, clean, clustered)
                chosen = threshold_at(val.confidence[val.alarming], val.alarm_images, BUDGET)
                answer = certify_outcomes(world(rng, clean, clustered), ["a"], np.array([chosen]), Terms(budget=BUDGET))
                rows.append(truth(chosen, clustered) + truth(answer.classes["a"].threshold, clustered))
            table = np.array(rows)
            exceeded, recall = (table[:, ::2] > BUDGET).mean(axis=0), table[:, 1::2].mean(axis=0)
            print(
                f"{('independent', 'clustered')[clustered]:<12} {clean:>5}  {exceeded[0]:>20.1%}  {exceeded[1]:>9.1%}"
                f"   {recall[0]:>11.3f}  {recall[1]:>9.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
