"""Cost of the package, paired against stock in one process: the loss with its terms, and the loader with its plan.

    python examples/benchmarks/step_overhead.py [--model yolo26n.yaml] [--imgsz 320] [--batch 8] [--rounds 20]

Each round times stock and balanced one after the other, in alternating order, so that a drift of the machine's speed
hits both. Prints the median of each and the median of the paired ratios with its quartiles. On a GPU the loss is
timed with the device synchronised.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.data import resolve_data
from yolo_balance.integration.hooks.criterion import balance_criterion

BALANCE = {
    "sampling": {"power": 1.0, "max_repeat": 8.0},
    "losses": {"focal": {"beta": 1.0}, "isr": {"k": 1.0}, "carl": {"gain": 0.1}},
}


def trainer(cls: Any, folder: str, options: argparse.Namespace) -> Any:
    """Build a trainer on the demo set with loader and model built, nothing trained."""
    overrides = {
        "model": options.model,
        "data": resolve_data("demo", "detect"),
        "imgsz": options.imgsz,
        "batch": options.batch,
    }
    built = cls(overrides={**overrides, "cache": options.cache, "plots": False, "project": folder, "verbose": False})
    built._setup_train()
    return built


def loss_step(built: Any, terms: Any) -> Callable[[], None]:
    """Run forward, loss and backward of one batch."""
    batch = built.preprocess_batch(next(iter(built.train_loader)))
    criterion = balance_criterion(built.model.init_criterion(), terms)

    def step() -> None:
        built.model.zero_grad()
        criterion(built.model(batch["img"]), batch)[0].sum().backward()
        if built.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def ten_batches(built: Any) -> Callable[[], None]:
    """Load ten batches from the train loader."""

    def load() -> None:
        for _, _ in zip(range(10), built.train_loader, strict=False):
            pass

    return load


def compare(what: str, stock: Callable[[], None], balanced: Callable[[], None], rounds: int) -> None:
    """Time two functions in pairs and print their ratio."""
    stock()
    balanced()
    times = np.empty((rounds, 2))
    for i in range(rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            start = time.perf_counter()
            (stock, balanced)[which]()
            times[i, which] = time.perf_counter() - start
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    a, b = np.median(times, axis=0) * 1e3
    print(
        f"{what:28} stock {a:8.1f} ms  balanced {b:8.1f} ms  ratio {middle:.3f} [{low:.3f}, {high:.3f}], n = {rounds}"
    )


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo26n.yaml")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        for options.cache in (False, "ram"):
            classes = (DetectionTrainer, BalancedDetectionTrainer.configured(BALANCE))
            off, on = (trainer(cls, folder, options) for cls in classes)
            compare(f"ten batches, cache={options.cache}", ten_batches(off), ten_batches(on), options.rounds)
        stock, balanced = loss_step(off, lambda head: []), loss_step(off, on.losses.terms)
        compare("forward, loss and backward", stock, balanced, options.rounds)


if __name__ == "__main__":
    main()
