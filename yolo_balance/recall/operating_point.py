"""Operating point: the lowest confidence whose false alarms a budget allows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def threshold_at(false_confidence: npt.ArrayLike, images: int, budget: float, *, floor: float = 0.0) -> float:
    """Return the lowest confidence at which (false boxes with at least that confidence) / images <= budget.

    With m = floor(budget * images) false boxes allowed and more than m there, that is the next number above the
    (m+1)-th highest of them: boxes of equal confidence stand or fall together. Next in float32, the precision of a
    detector's confidences, so that the threshold still separates the two where it is applied.

    Args:
        false_confidence: (F,) confidences of the false boxes, any order.
        images: Images they were counted on, at least 1.
        budget: False boxes per image, >= 0.
        floor: Lowest confidence the boxes were collected at; nothing is known below it.

    Raises:
        ValueError: For images < 1 or a negative budget.
    """
    if images < 1:
        raise ValueError(f"expected images >= 1, got {images!r}")
    if budget < 0:
        raise ValueError(f"expected budget >= 0, got {budget!r}")
    falling = np.sort(np.asarray(false_confidence, np.float64))[::-1]
    allowed = math.floor(budget * images + 1e-9)  # 0.1 * 30 is 3, not 2.9999999999999996
    if len(falling) <= allowed:
        return floor
    return max(floor, float(np.nextafter(np.float32(falling[allowed]), np.float32(np.inf))))


def alarm_unit(clean_images: int) -> str:
    """Name one of the images that false boxes are counted on: the clean images, or all images where none is clean."""
    return "clean image" if clean_images else "image"
