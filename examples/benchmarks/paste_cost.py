"""Cost of pasting in the train loader: throughput with `balance.synthesis` as a share of stock Ultralytics'.

    python examples/benchmarks/paste_cost.py [DATA.yaml] [--imgsz 640] [--batch 8] [--rounds 12]

Five batches of stock, of `balance: auto`, and of auto with pastes at the defaults, in turn, no workers; the order of
the three turns from round to round. Times are CPU seconds of the process, so that other work does not count.
All objects are cut before, which a run does once. Prints the median share and its quartiles.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from generated import build
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.data import resolve_data

ARMS = {
    "stock": DetectionTrainer,
    "auto": BalancedDetectionTrainer.configured("auto"),
    "auto and pastes": BalancedDetectionTrainer.configured({"auto": True, "synthesis": {}}),
}
BATCHES = 5


def seconds(batches: Any) -> float:
    """Return the CPU seconds of the next batches."""
    start = time.process_time()
    for _ in range(BATCHES):
        next(batches)
    return time.process_time() - start


def endless(trainer: Any) -> Any:
    """Yield the batches of a train loader, epoch after epoch."""
    while True:
        yield from trainer.train_loader


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="demo", metavar="DATA.yaml")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = resolve_data(options.data, "detect")
        sizes = {"imgsz": options.imgsz, "batch": options.batch}
        trainers = {name: build(trainer, data, Path(folder) / name, **sizes) for name, trainer in ARMS.items()}
        pasting = trainers["auto and pastes"].train_loader.dataset.pasting
        for source in {source for chosen in pasting.policy.table(0).values() for source in chosen}:
            pasting.paster.bank[source]
        loaders = {name: endless(trainer) for name, trainer in trainers.items()}
        times = np.zeros((options.rounds + 1, len(ARMS)))
        for i in range(len(times)):
            for k in np.roll(range(len(ARMS)), i):
                times[i, k] = seconds(loaders[list(ARMS)[k]])
    times = times[1:]
    images = BATCHES * options.batch
    for k, name in enumerate(ARMS):
        low, middle, high = np.percentile(times[:, 0] / times[:, k], [25, 50, 75])
        each = np.median(times[:, k]) / images * 1e3
        print(f"{name:16} {each:6.1f} ms an image, throughput {middle:.3f} [{low:.3f}, {high:.3f}] of stock")


if __name__ == "__main__":
    main()
