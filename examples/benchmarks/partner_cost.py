"""Cost of following the plan in the train loader: time inside this package's hooks, as a share of the loader's.

    python examples/benchmarks/partner_cost.py [--imgsz 320] [--batch 16] [--epochs 5] [--rounds 15]

1,000 generated JPEG images of 640x480, no workers. Times with and without images in memory and MixUp 0 and 0.5. Hooks
are: the choice of tiles and partners; noting what is shown and picked, and counting its boxes; an epoch's plan. Hooks
are timed from outside, less the time of Ultralytics' own methods inside them; the timer's own cost counts as ours, and
nothing is deducted for the choice that stock makes in place of ours. Prints microseconds per batch and the share of the
loader's whole time, medians and quartiles over epochs; then ten batches of stock and balanced in pairs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from generated import build, write_data
from step_overhead import compare, ten_batches
from ultralytics.data import BaseDataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.hooks.dataset import DRAWN, CountingMixin, PartnerIndexes
from yolo_balance.integration.hooks.loader import EpochSampler, start_epoch
from yolo_balance.sampling import ClassStatistics

SAMPLING = {"power": 1.0, "threshold": 0.3}
PARTS = {  # methods of ours to add, and methods of Ultralytics inside them to subtract
    "choice of partners": [(PartnerIndexes, "__call__", 1)],
    "noting what is picked": [
        (CountingMixin, "__getitem__", 1),
        (BaseDataset, "__getitem__", -1),
        (CountingMixin, "get_image_and_label", 1),
        (BaseDataset, "get_image_and_label", -1),
    ],
    "counting its boxes": [(ClassStatistics, "picked", 1)],
    "plan of the epoch": [(EpochSampler, "images", 1)],
}


class Clock:
    """Adds up the time spent in methods while it is running.

    Attributes:
        times: Seconds of every call by class and method.
    """

    def __init__(self) -> None:
        self.times: dict[tuple[type, str], list[float]] = defaultdict(list)
        self.originals: list[tuple[type, str, Any]] = []

    def __enter__(self) -> Clock:
        for owner, name, _ in (method for part in PARTS.values() for method in part):
            self.originals.append((owner, name, getattr(owner, name)))
            setattr(owner, name, self._timed((owner, name), getattr(owner, name)))
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, method in self.originals:
            setattr(owner, name, method)

    def _timed(self, key: tuple[type, str], method: Any) -> Any:
        note, now = self.times[key].append, time.perf_counter

        def timed(*arguments: Any) -> Any:
            start = now()
            answer = method(*arguments)
            note(now() - start)
            return answer

        return timed


def hooks(trainer: Any, epochs: int) -> None:
    """Print the hooks' time per batch and its share."""
    loader, shares, parts = trainer.train_loader, [], []
    for epoch in range(epochs + 1):  # the first does not count
        loader.reset()
        start_epoch(loader, epoch, trainer.sampling.schedule.plan(epoch, epochs + 1))
        with Clock() as clock:
            start = time.perf_counter()
            for batch in loader:
                trainer.resolved.statistics.picked(batch[DRAWN])  # as the trainer does once a batch has come
            whole = time.perf_counter() - start
        ours = {part: sum(sum(clock.times[m[:2]]) * m[2] for m in methods) for part, methods in PARTS.items()}
        if epoch:
            shares.append(100 * sum(ours.values()) / whole)
            parts.append([1e6 * s / len(loader) for s in (*ours.values(), whole)])
    low, middle, high = np.percentile(shares, [25, 50, 75])
    *spent, whole = np.median(parts, axis=0)
    listed = ", ".join(f"{part} {us:.0f}" for part, us in zip(PARTS, spent, strict=True))
    print(f"  us per batch: {listed}, of {whole:.0f}: {middle:.2f} % [{low:.2f}, {high:.2f}], n = {epochs}", flush=True)


def main() -> None:
    """Time every combination."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    balanced = BalancedDetectionTrainer.configured({"sampling": SAMPLING})
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder, "data"), 640, 480, suffix="jpg")
        for cache, mixup in product((False, "ram"), (0.0, 0.5)):
            arguments = {"imgsz": options.imgsz, "batch": options.batch, "cache": cache, "mixup": mixup}
            off, on = (build(cls, data, Path(folder, "runs"), **arguments) for cls in (DetectionTrainer, balanced))
            print(f"cache={cache} mixup={mixup}", flush=True)
            hooks(on, options.epochs)
            compare("  ten batches", ten_batches(off), ten_batches(on), options.rounds)


if __name__ == "__main__":
    main()
