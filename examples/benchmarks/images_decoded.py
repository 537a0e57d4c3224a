"""Images decoded per epoch while none are cached, against stock Ultralytics.

    python examples/benchmarks/images_decoded.py [--epochs 4] [--batch 16]

1,000 generated images, labelled by outlines so that CopyPaste has something to copy, with each mix transform on and off
and with 0 and 4 workers. Ultralytics keeps the images it decoded last and notes each in its buffer; images that enter
this buffer are counted, in all workers together. Prints decoded images per image that the loader gave, for stock and
for a balanced loader, and their ratio. Workers read ahead of the epoch, stock and balanced alike, which is counted too.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from itertools import product
from pathlib import Path
from typing import Any

from generated import IMAGES, build, write_data
from ultralytics.data.augment import BaseMixTransform, Compose, Mosaic
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.hooks.loader import start_epoch

MIXES: dict[str, dict[str, Any]] = {
    "mosaic of 4": {},
    "mosaic of 9": {"n": 9},
    "mosaic, mixup 0.5": {"mixup": 0.5},
    "mosaic of 9, mixup 0.5": {"n": 9, "mixup": 0.5},
    "mosaic, cutmix 0.5": {"cutmix": 0.5},
    "mosaic, copy_paste 0.5": {"copy_paste": 0.5, "copy_paste_mode": "mixup"},
    "mosaic, all three": {"mixup": 0.5, "cutmix": 0.5, "copy_paste": 0.5, "copy_paste_mode": "mixup"},
    "mixup 0.5 alone": {"mosaic": 0.0, "mixup": 0.5},
    "none": {"mosaic": 0.0},
}


class Decoded(list[int]):
    """List of the images that Ultralytics keeps in memory; counts over all processes those that enter."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = multiprocessing.get_context("fork").Value("q", 0)

    def append(self, item: int) -> None:
        """Note an image just decoded."""
        with self.entered.get_lock():
            self.entered.value += 1
        super().append(item)


def set_tiles(transform: Any, n: int) -> None:
    """Make every Mosaic inside a transform one of n tiles; Ultralytics builds Mosaics of four."""
    if isinstance(transform, Compose):
        for inner in transform.transforms:
            set_tiles(inner, n)
    elif isinstance(transform, BaseMixTransform):
        if isinstance(transform, Mosaic):
            transform.n = n
        set_tiles(transform.pre_transform, n)


def decoded(cls: Any, data: str, root: Path, epochs: int, n: int = 4, **arguments: Any) -> float:
    """Return the number of images decoded per image given."""
    trainer = build(cls, data, root, imgsz=64, **arguments)
    loader, dataset = trainer.train_loader, trainer.train_loader.dataset
    loader.multiprocessing_context = "fork" if loader.num_workers else None
    set_tiles(dataset.transforms, n)
    partners = getattr(dataset, "partners", None)
    dataset.buffer = read = Decoded()
    for epoch in range(epochs):
        start_epoch(loader, epoch, trainer.sampling.schedule.plan(epoch, epochs) if partners is not None else None)
        for _ in loader:
            pass
    loader.close()
    return float(read.entered.value / (epochs * IMAGES))


def main() -> None:
    """Count every combination and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    balanced = BalancedDetectionTrainer.configured({"sampling": {"power": 1.0, "threshold": 0.3}})
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder, "data"), 64, 64, polygons=True)
        for (what, mix), workers in product(MIXES.items(), (0, 4)):
            stock, ours = (
                decoded(cls, data, Path(folder, "runs"), options.epochs, batch=options.batch, workers=workers, **mix)
                for cls in (DetectionTrainer, balanced)
            )
            ratios.append(ours / stock)
            print(
                f"{what:23} workers={workers}  stock {stock:.3f}  balanced {ours:.3f}  ratio {ratios[-1]:.3f}",
                flush=True,
            )
    print(f"largest ratio: {max(ratios):.3f}")


if __name__ == "__main__":
    main()
