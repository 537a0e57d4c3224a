"""Recall by box size: the three size bins of COCO, and four bins of as many objects each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats
from yolo_balance.recall.evidence.intervals import interval
from yolo_balance.recall.outcomes import Outcomes

COCO_SIZES: tuple[tuple[str, float, float | None], ...] = (
    ("small", 0.0, 32.0),
    ("medium", 32.0, 96.0),
    ("large", 96.0, None),
)
"""Lin et al., Microsoft COCO (2014): areas of 32^2 and 96^2 part the bins, here of the box instead of the mask."""

QUANTILES = 4


def object_sizes(outcomes: Outcomes) -> Floats:
    """Return the (T,) sizes of the objects: the square root of a box's area, in pixels of the image file.

    An oriented box or a mask has the size of the upright box around it. Sizes are rounded to a thousandth of a pixel,
    below which scaling to the network and back leaves its own traces.
    """
    x1, y1, x2, y2 = outcomes.object_box.astype(np.float64).T
    sizes: Floats = np.round(np.sqrt((x2 - x1) * (y2 - y1)), 3)
    return sizes


@dataclass(frozen=True)
class SizeBin:
    """Recall of the objects of one range of sizes.

    Attributes:
        start: Smallest size of the bin, in pixels.
        end: Sizes of the bin are below it; None for no bound.
        n: Objects.
        hits: Objects found at the threshold.
        recall: hits / n; None without objects.
        low, high: Wilson interval, None without objects.
    """

    start: float
    end: float | None
    n: int
    hits: int
    recall: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, start: float, end: float | None, sizes: Floats, detected: Bools, confidence: float) -> SizeBin:
        """Count the objects of a bin among (T,) objects."""
        inside = (sizes >= start) & (sizes < (np.inf if end is None else end))
        n, hits = int(inside.sum()), int((inside & detected).sum())
        if n == 0:
            return cls(start, end, 0, 0, None, None, None)
        return cls(start, end, n, hits, hits / n, *interval(hits, n, confidence=confidence))


@dataclass(frozen=True)
class RecallBySize:
    """Recall by box size at a threshold; a size is the square root of the box's area in pixels of the image file.

    Attributes:
        confidence: Level of the Wilson intervals.
        classes: By class name, in class-id order; each `small`, `medium` and `large`.
        overall: The same of all objects.
        quantiles: Bins of all objects' sizes with as many objects each, as far as there are objects and equal sizes
            stay together: at most four, rising; none without objects.
    """

    confidence: float
    classes: Mapping[str, Mapping[str, SizeBin]]
    overall: Mapping[str, SizeBin]
    quantiles: tuple[SizeBin, ...]

    @classmethod
    def of(
        cls, outcomes: Outcomes, names: Sequence[str], threshold: float | npt.ArrayLike, *, confidence: float = 0.95
    ) -> RecallBySize:
        """Read a validation pass by size, at a confidence for all classes or (C,) one for each.

        Example:
            >>> from yolo_balance.recall import ImageOutcome
            >>> image = ImageOutcome.of([[0.9], [0]], [0, 0], [0], [0.8], object_box=[[0, 0, 40, 90], [0, 0, 9, 4]])
            >>> sizes = RecallBySize.of(Outcomes.pool([image], 1), ["scratch"], 0.5)
            >>> {name: row.recall for name, row in sizes.classes["scratch"].items()}
            {'small': 0.0, 'medium': 1.0, 'large': None}
        """
        sizes, detected = object_sizes(outcomes), outcomes.detected(threshold)

        def coco(members: Bools) -> dict[str, SizeBin]:
            return {
                name: SizeBin.of(start, end, sizes[members], detected[members], confidence)
                for name, start, end in COCO_SIZES
            }

        classes = {name: coco(outcomes.object_class == c) for c, name in enumerate(names)}
        firsts = np.arange(QUANTILES if len(sizes) else 0) * len(sizes) // QUANTILES
        starts = np.unique(np.sort(sizes)[firsts]).tolist()  # each is some object's size, so no bin is empty
        ends = [*starts[1:], None]
        quantiles = (SizeBin.of(*edges, sizes, detected, confidence) for edges in zip(starts, ends, strict=False))
        return cls(confidence, classes, coco(np.ones(len(sizes), bool)), tuple(quantiles))


def in_pixels(start: float, end: float | None) -> str:
    """Write a range of sizes in words."""
    if end is None:
        return f"from {start:.4g} px"
    return f"{start:.4g} to {end:.4g} px" if start else f"below {end:.4g} px"
