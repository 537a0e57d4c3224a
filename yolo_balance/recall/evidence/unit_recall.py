"""Share of units found of each class, for objects that share units: all objects of a unit, any of them, or objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from yolo_balance.arrays import Bools, Ints
from yolo_balance.recall.evidence.betting import objects_high, objects_low
from yolo_balance.recall.evidence.intervals import exact_high, exact_low

Hit: TypeAlias = Literal["all", "any", "objects"]
"""Share that is meant: units on which every object of the class is found, or one at least; or objects."""


@dataclass(frozen=True)
class UnitHits:
    """Objects of one class on the units that hold the class.

    Attributes:
        found: (U,) objects found on each unit.
        objects: (U,) objects there, at least 1.
        hit: Share that is meant.
    """

    found: Ints
    objects: Ints
    hit: Hit

    @property
    def n(self) -> int:
        """Units with the class; objects where the share is that of objects."""
        return int(self.objects.sum()) if self.hit == "objects" else len(self.objects)

    @property
    def hits(self) -> int:
        """Units or objects among n that count as found."""
        if self.hit == "objects":
            return int(self.found.sum())
        return int((self.found == self.objects if self.hit == "all" else self.found > 0).sum())

    def low(self, alpha: float, cap: int) -> float:
        """Return the lower bound of the share, wrong at most alpha of the time; `cap` is that of `objects_low`.

        Where no unit has two objects, all three shares are one, and the bound is that of Clopper and Pearson.
        """
        if self.hit == "objects" and self._several:
            return objects_low(self.found, self.objects, cap, alpha)
        return exact_low(self.hits, self.n, alpha)

    def high(self, alpha: float, cap: int) -> float:
        """Return the upper bound, likewise."""
        if self.hit == "objects" and self._several:
            return objects_high(self.found, self.objects, cap, alpha)
        return exact_high(self.hits, self.n, alpha)

    @property
    def _several(self) -> bool:
        return bool((self.objects > 1).any())


def unit_hits(detected: Bools, object_class: Ints, object_unit: Ints, num_classes: int, hit: Hit) -> list[UnitHits]:
    """Count objects found by class and unit.

    Args:
        detected: (T,) whether an object is found.
        object_class: (T,) class ids.
        object_unit: (T,) units.
        num_classes: C.
        hit: Share that is meant.
    """
    answer = []
    for c in range(num_classes):
        own = object_class == c
        _, unit = np.unique(object_unit[own], return_inverse=True)
        units = int(unit.max(initial=-1)) + 1
        found = np.bincount(unit, weights=detected[own], minlength=units).astype(np.int64)
        answer.append(UnitHits(found, np.bincount(unit, minlength=units), hit))
    return answer
