"""What reached the network: boxes per class asked for, picked, and left after cropping."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yolo_balance.sampling.statistics import Floats, Ints, shares

COLUMNS = ("epoch", "class", "natural", "requested", "drawn", "reached", "boxes")


class Exposure:
    """Counts one epoch at a time; the shares asked for stay fixed.

    Attributes:
        names: C class names, by class id.
        natural: (C,) shares of boxes in the data.
        requested: (C,) shares of boxes the plan asks for.
        drawn: (C,) boxes of every image, tile and partner picked in this epoch.
        reached: (C,) boxes that cropping left of them in the batches.
    """

    def __init__(self, names: list[str], natural: Floats, requested: Floats):
        self.names, self.natural, self.requested = names, natural, requested
        self.drawn: Ints = np.zeros(len(names), np.int64)
        self.reached: Ints = np.zeros(len(names), np.int64)

    def start_epoch(self) -> None:
        """Forget what was counted."""
        self.drawn[:] = 0
        self.reached[:] = 0

    def add(self, drawn: Ints, classes: npt.ArrayLike) -> None:
        """Count one batch.

        Args:
            drawn: (C,) boxes of everything picked for it.
            classes: Class of every box in it.
        """
        self.drawn += drawn
        self.reached += np.bincount(np.asarray(classes, np.int64).ravel(), minlength=len(self.names))

    def rows(self, epoch: int) -> list[tuple[str, ...]]:
        """One row per class in the order of COLUMNS; `epoch` counts from 1 as in results.csv."""
        table = np.stack([self.natural, self.requested, shares(self.drawn), shares(self.reached)], axis=1)
        return [
            (str(epoch), name, *(f"{share:.5f}" for share in row), str(boxes))
            for name, row, boxes in zip(self.names, table, self.reached, strict=True)
        ]
