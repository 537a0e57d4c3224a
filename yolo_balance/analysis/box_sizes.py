"""Sizes of boxes: in the image, relative to it, and where the network sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from yolo_balance.arrays import Floats

SMALL, TINY = 32, 8  # pixels at the run's image size: COCO's small object; one cell of the finest stride, 8
LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Quantiles:
    """10 %, 50 % and 90 % quantile."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Floats, digits: int) -> Quantiles:
        """Compute the quantiles of at least one value."""
        return cls(*(round(float(q), digits) for q in np.quantile(values, LEVELS)))


@dataclass(frozen=True)
class BoxSizes:
    """Sizes of one class's boxes; the size of a box is the square root of its area.

    Attributes:
        pixels: In pixels of the image as it is stored.
        relative: Relative to the size of the whole image: 0.1 is a hundredth of its area.
        network: In pixels after scaling the image's longer side to the run's image size.
        small: Share of boxes below 32 pixels in the scaled image.
        tiny: Share of boxes below 8 pixels in the scaled image.
    """

    pixels: Quantiles
    relative: Quantiles
    network: Quantiles
    small: float
    tiny: float

    @classmethod
    def of(cls, pixels: Floats, relative: Floats, network: Floats) -> BoxSizes:
        """Summarise (M,) sizes in the three measures, M > 0."""
        return cls(
            Quantiles.of(pixels, 1),
            Quantiles.of(relative, 4),
            Quantiles.of(network, 1),
            round(float((network < SMALL).mean()), 4),
            round(float((network < TINY).mean()), 4),
        )
