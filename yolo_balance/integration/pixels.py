"""Pixels of image files, as they are stored and as Ultralytics reads them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from ultralytics.utils.patches import imread

from yolo_balance.analysis.pixels import ImagePixels, Pixels

SAMPLE = 40
"""Images of a split that are looked at, spread evenly over its files."""


def sample_pixels(files: Sequence[str]) -> Pixels | None:
    """Read the pixels of a sample of a split's images; None where none can be read."""
    chosen = np.unique(np.linspace(0, len(files) - 1, min(len(files), SAMPLE)).astype(int))
    found = [_pixels(files[i]) for i in chosen.tolist()]
    return Pixels.of([image for image in found if image is not None])


def _pixels(file: str) -> ImagePixels | None:
    try:
        stored, read = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED), imread(file)
    except (OSError, cv2.error):  # gone since it was scanned, or no image after all
        return None
    if read is None or not read.size:
        return None
    stored = read if stored is None else stored  # a format that Ultralytics reads by other means
    kind = " float" if stored.dtype.kind == "f" else ""
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    return ImagePixels(f"{8 * stored.dtype.itemsize}-bit{kind}", channels, float(stored.max()), float(read.max()))
