"""What a sampling plan asks for, what is drawn and what is left after cropping, over ten epochs of 1,000 images.

    python examples/benchmarks/exposure.py

Makes 1,000 images of three classes 800/150/15 with one box each, all of one size, and 35 of background; asks for
57/21/21 % of the boxes and counts, with images on disk and in memory, with and without MixUp, and with partners on the
plan and left to Ultralytics. Prints the shares in percent and the largest deviation from what was asked for.
"""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.dataset import DRAWN
from yolo_balance.integration.loader import start_epoch

SIZE, EPOCHS = 32, 10


def write_data(root: Path) -> str:
    """The data set; returns the path of its data.yaml."""
    rng = np.random.default_rng(0)
    for split, classes in (("train", [0] * 800 + [1] * 150 + [2] * 15 + [None] * 35), ("val", [0])):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i, c in enumerate(rng.permutation(np.array(classes, object))):
            x, y = rng.uniform(0.25, 0.75, 2)
            pixels = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
            cv2.imwrite(str(root / "images" / split / f"{i:04d}.png"), pixels)
            text = "" if c is None else f"{c} {x} {y} 0.5 0.5\n"
            (root / "labels" / split / f"{i:04d}.txt").write_text(text)
    file = root / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": ["a", "b", "c"]}))
    return str(file)


def count(data: str, root: Path, partners: bool, **arguments: Any) -> Any:
    """The exposure of all epochs together."""
    cls = BalancedDetectionTrainer.configured({"sampling": {"power": 1.0, "threshold": 0.3, "partners": partners}})
    overrides = {"model": "yolo26n.yaml", "data": data, "imgsz": SIZE, "batch": 50, "plots": False, "device": "cpu"}
    trainer = cls(overrides={**overrides, "project": str(root), "verbose": False, **arguments})
    trainer._setup_train()
    assert trainer.sampling is not None
    for epoch in range(EPOCHS):
        start_epoch(trainer.train_loader, epoch, trainer.sampling.schedule.plan(epoch, EPOCHS))
        for batch in trainer.train_loader:
            trainer.exposure.add(sum(batch[DRAWN]), batch["cls"].numpy(), len(batch["img"]))
    return trainer.exposure


def shown(counts: npt.NDArray[np.int64], requested: npt.NDArray[np.float64]) -> str:
    """Shares in percent and the largest deviation in percentage points."""
    share = counts / counts.sum()
    return f"{' '.join(f'{100 * s:5.2f}' for s in share)} ({100 * np.abs(share - requested).max():5.2f})"


def main() -> None:
    """Count every combination and print a line each."""
    LOGGER.setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder, "data"))
        for partners, cache, mixup in product((True, False), (False, "ram"), (0.0, 0.5)):
            e = count(data, Path(folder, "runs"), partners, cache=cache, mixup=mixup)
            asked = " ".join(f"{100 * share:5.2f}" for share in e.requested)
            print(
                f"partners={partners!s:5} cache={cache!s:5} mixup={mixup}  requested {asked}  "
                f"drawn {shown(e.drawn, e.requested)}  reached {shown(e.reached, e.requested)}"
            )


if __name__ == "__main__":
    main()
