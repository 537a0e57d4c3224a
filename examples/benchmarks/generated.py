"""Shared by the benchmarks: a generated data set in a long tail, and trainers on it that only load."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

IMAGES = 1000


def write_data(root: Path, width: int, height: int, *, suffix: str = "png", polygons: bool = False) -> str:
    """Write 1,000 images of three classes 800/150/15 with one box each, all of one size, and 35 of background.

    Args:
        root: Folder to write to.
        width: Width of every image, in pixels.
        height: Height of every image, in pixels.
        suffix: Image format.
        polygons: Whether labels are outlines, which CopyPaste needs, in place of boxes.

    Returns:
        The path of its data.yaml.
    """
    rng = np.random.default_rng(0)
    for split, classes in (("train", [0] * 800 + [1] * 150 + [2] * 15 + [None] * 35), ("val", [0])):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i, c in enumerate(rng.permutation(np.array(classes, object))):
            x, y = rng.uniform(0.25, 0.75, 2)
            coarse = rng.integers(0, 255, (max(height // 8, 1), max(width // 8, 1), 3), dtype=np.uint8)
            pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(root / "images" / split / f"{i:04d}.{suffix}"), pixels)
            text = "" if c is None else f"{c} {x} {y} 0.5 0.5\n"
            if c is not None and polygons:
                corners = [(x - 0.25, y - 0.25), (x + 0.25, y - 0.25), (x + 0.25, y + 0.25), (x - 0.25, y + 0.25)]
                text = f"{c} {' '.join(f'{u} {v}' for u, v in corners)}\n"
            (root / "labels" / split / f"{i:04d}.txt").write_text(text)
    file = root / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": ["a", "b", "c"]}))
    return str(file)


def build(cls: Any, data: str, root: Path, workers: int = 0, **arguments: Any) -> Any:
    """Build a trainer with its loader, nothing trained.

    Ultralytics allows no workers on a CPU, and no more than there are cores, so their number is set after it has built
    its loader.
    """
    overrides = {"model": "yolo26n.yaml", "data": data, "plots": False, "device": "cpu", "project": str(root)}
    trainer = cls(overrides={**overrides, "verbose": False, **arguments})
    trainer.args.workers = workers
    with contextlib.redirect_stdout(io.StringIO()):  # Ultralytics' progress in caching images
        trainer._setup_train()
    trainer.train_loader.num_workers = workers
    if workers:
        trainer.train_loader.prefetch_factor = 4
        warnings.filterwarnings("ignore", message="This DataLoader will create")
    return trainer
