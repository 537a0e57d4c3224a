"""Division of a data set into parts, with the counts that show whether each part holds each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo_balance.arrays import Ints
from yolo_balance.errors import DataError
from yolo_balance.sampling.stratification import stratify
from yolo_balance.text import counted, listed


@dataclass(frozen=True)
class Division:
    """Division of I images in units into K parts.

    Attributes:
        names: C class names by class id.
        parts: Names of the parts: train, val and test; or folds and test.
        part: (I,) part of each image.
        images, units, clean: (K,) images of each part, their units, and images without a box.
        boxes: (K, C) boxes of each class.
        class_units: (C,) units that hold each class.
        copies: Images beyond the first of each group of identical files; they lie in the part of the first.
        in_test: Images that are identical to one of the data's own test split.
        left_out: A line for each image that no part has, with the reason.
        files: Files written.
    """

    names: tuple[str, ...]
    parts: tuple[str, ...]
    part: Ints
    images: Ints
    units: Ints
    clean: Ints
    boxes: Ints
    class_units: Ints
    copies: int = 0
    in_test: int = 0
    left_out: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls, boxes: Ints, unit: Ints, names: Sequence[str], shares: Mapping[str, float], *, seed: int = 0
    ) -> Division:
        """Divide images by `stratify`, images without a box as one more class.

        Args:
            boxes: (I, C) boxes of each class.
            unit: (I,) unit of each image, counted from 0.
            names: C class names by class id.
            shares: Share of each part by its name, with the sum 1.
            seed: Seed of the random choices.

        Raises:
            DataError: There are fewer units than parts, or so few that a part is left without one.
        """
        clean = boxes.sum(1) == 0
        counts = np.zeros((int(unit.max(initial=-1)) + 1, len(names) + 2), np.int64)
        np.add.at(counts, unit, np.column_stack([boxes, clean, np.ones(len(boxes), np.int64)]))
        if len(counts) < len(shares):
            raise DataError(
                f"data: expected a unit for each of {len(shares)} parts, got {counted(len(counts), 'unit')}"
            )
        place = stratify(counts[:, :-1], counts[:, -1], np.array([*shares.values()]), seed=seed)
        each = np.array([counts[place == k].sum(0) for k in range(len(shares))])
        if empty := [name for name, images in zip(shares, each[:, -1], strict=True) if not images]:
            raise DataError(f"data: no image of {counted(len(counts), 'unit')} is left for {listed(empty)}")
        units = np.bincount(place, minlength=len(shares))
        class_units = (counts[:, :-2] > 0).sum(0)
        return cls(tuple(names), tuple(shares), place[unit], each[:, -1], units, each[:, -2], each[:, :-2], class_units)

    def members(self, part: str) -> list[int]:
        """Return the images of a part."""
        members: list[int] = np.flatnonzero(self.part == self.parts.index(part)).tolist()
        return members

    @property
    def missing(self) -> dict[str, list[str]]:
        """Parts without a class, by the name of a class that the data has."""
        lacking = {name: np.flatnonzero(self.boxes[:, c] == 0).tolist() for c, name in enumerate(self.names)}
        return {
            name: [self.parts[k] for k in parts]
            for (name, parts), there in zip(lacking.items(), self.class_units, strict=True)
            if parts and there
        }
