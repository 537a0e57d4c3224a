"""Shares of classes that a plan asks for, that are drawn and that cropping leaves, over ten epochs of 1,000 images.

    python examples/benchmarks/exposure.py [--quick] [--partners-off]

Makes 1,000 images of three classes 800/150/15 with one box each, all of one size, and 35 of background, and counts what
the loader gives for every strategy x cache (off, in memory, on disk) x MixUp 0 and 0.5 x Mosaic 0 and 1 x 0 and 4
workers. Prints for each the largest deviation of a class's share from the requested one, among the boxes drawn and
among those that cropping left, in percentage points, and the largest of all at the end. `--quick` keeps to repeat
factors. `--partners-off` compares, for repeat factors, partners on the plan with partners that Ultralytics draws, and
prints the shares.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generated import build, write_data
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.hooks.dataset import DRAWN
from yolo_balance.integration.hooks.loader import start_epoch

SIZE, EPOCHS = 32, 10
STRATEGIES: dict[str, dict[str, Any]] = {
    "repeat_factor": {"power": 1.0, "threshold": 0.3},
    "inverse_frequency": {"power": 0.75},
    "effective_number": {"beta": 0.999},
    "class_uniform": {},
}


def count(data: str, root: Path, sampling: dict[str, Any], **arguments: Any) -> Any:
    """Return the exposure of all epochs together."""
    cls = BalancedDetectionTrainer.configured({"sampling": sampling})
    trainer = build(cls, data, root, imgsz=SIZE, batch=50, **arguments)
    assert trainer.sampling is not None
    for epoch in range(EPOCHS):
        start_epoch(trainer.train_loader, epoch, trainer.sampling.schedule.plan(epoch, EPOCHS))
        for batch in trainer.train_loader:
            trainer.exposure.add(
                trainer.resolved.statistics.picked(batch[DRAWN]), batch["cls"].numpy(), len(batch["img"])
            )
    trainer.train_loader.close()
    return trainer.exposure


def furthest(counts: npt.NDArray[np.int64], requested: npt.NDArray[np.float64]) -> float:
    """Return the largest deviation of a share in percentage points."""
    return float(100 * np.abs(counts / counts.sum() - requested).max())


def shown(shares: npt.NDArray[np.float64]) -> str:
    """Return shares in percent."""
    return " ".join(f"{100 * share:5.2f}" for share in shares)


def matrix(data: str, root: Path, strategies: list[str]) -> None:
    """Print a line for each combination, and the worst of them."""
    worst: dict[str, tuple[float, str]] = {}
    combinations = product(strategies, (False, "ram", "disk"), (0.0, 0.5), (1.0, 0.0), (0, 4))
    for strategy, cache, mixup, mosaic, workers in combinations:
        sampling = {"strategy": strategy, **STRATEGIES[strategy]}
        e = count(data, root, sampling, cache=cache, mixup=mixup, mosaic=mosaic, workers=workers)
        what = f"{strategy:17} cache={cache!s:5} mixup={mixup} mosaic={mosaic} workers={workers}"
        deviations = {"drawn": furthest(e.drawn, e.requested), "reached": furthest(e.reached, e.requested)}
        for kind, deviation in deviations.items():
            worst[kind] = max(worst.get(kind, (0.0, "")), (deviation, what))
        line = "  ".join(f"{kind} {deviation:5.2f}" for kind, deviation in deviations.items())
        print(f"{what}  requested {shown(e.requested)}  {line}", flush=True)
    for kind, (deviation, what) in worst.items():
        print(f"largest deviation {kind}: {deviation:.2f} points, {what}")


def partners_off(data: str, root: Path) -> None:
    """Print partners on the plan beside partners that Ultralytics draws."""
    for partners, cache, mixup in product((True, False), (False, "ram"), (0.0, 0.5)):
        e = count(data, root, {**STRATEGIES["repeat_factor"], "partners": partners}, cache=cache, mixup=mixup)
        drawn, reached = (
            f"{shown(counts / counts.sum())} ({furthest(counts, e.requested):5.2f})" for counts in (e.drawn, e.reached)
        )
        print(
            f"partners={partners!s:5} cache={cache!s:5} mixup={mixup}  requested {shown(e.requested)}  "
            f"drawn {drawn}  reached {reached}",
            flush=True,
        )


def main() -> None:
    """Count every combination and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--partners-off", action="store_true")
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder, "data"), SIZE, SIZE)
        if options.partners_off:
            partners_off(data, Path(folder, "runs"))
        else:
            matrix(data, Path(folder, "runs"), list(STRATEGIES)[: 1 if options.quick else None])


if __name__ == "__main__":
    main()
