"""Small generated images with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_split(root: Path, split: str, images: Sequence[Sequence[int]], *, size: int = 64, box: float = 0.3) -> None:
    """One image per entry, holding one square box per class listed; bright squares whose shade tells the class."""
    rng = np.random.default_rng(len(images))
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    for i, classes in enumerate(images):
        pixels = rng.integers(90, 110, (size, size, 3), dtype=np.uint8)
        lines = []
        for c in classes:
            x, y = rng.uniform(box / 2, 1 - box / 2, 2)
            corner, side = (int((x - box / 2) * size), int((y - box / 2) * size)), int(box * size)
            cv2.rectangle(pixels, corner, (corner[0] + side, corner[1] + side), (c * 60, 255 - c * 60, 200), -1)
            lines.append(f"{c} {x:.5f} {y:.5f} {box} {box}")
        cv2.imwrite(str(root / "images" / split / f"{i:05d}.png"), pixels)
        (root / "labels" / split / f"{i:05d}.txt").write_text("\n".join(lines))
