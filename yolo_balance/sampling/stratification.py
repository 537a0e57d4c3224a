"""Parts of a data set that hold each class in proportion: iterative stratification of units with several classes.

Source: Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data" (2011), Algorithm 1, here with boxes
for labels and units of images for examples. A unit goes to one part whole, so images of one part of production, and
identical files, never lie on two sides.
"""

from __future__ import annotations

import numpy as np

from yolo_balance.arrays import Bools, Floats, Ints


def stratify(boxes: Ints, images: Ints, shares: Floats, *, seed: int = 0) -> Ints:
    """Divide U units into K parts.

    1. Each part desires its share of the boxes of each class, and of the images.
    2. The class that the fewest units still to be placed hold comes first. Its units go, the one with the most boxes
       first, to the part that desires the most boxes of the class; of equal ones to the part that desires the most
       images, then at random. Where no more units of the class are left than parts without it, those parts alone are
       asked.
    3. Step 2 is repeated for the next class until every unit is placed.
    4. A class may then be missing in a part although as many units as parts hold the class, because other classes
       placed its units. A unit moves there if that takes no other class from the part that it leaves.

    Args:
        boxes: (U, C) boxes of each class. Every unit counts in some class: images without a box are one too.
        images: (U,) images of each unit.
        shares: (K,) share of each part, above 0, with the sum 1.
        seed: Seed of the random choices.

    Returns:
        (U,) part of each unit. Same arguments, same parts.

    Raises:
        ValueError: A unit counts in no class.
    """
    if not boxes.any(1).all():
        raise ValueError("expected each unit to count in a class")
    rng = np.random.default_rng(seed)
    holds, parts = boxes > 0, len(shares)
    desired, room = np.outer(shares, boxes.sum(0)), shares * images.sum()
    part = np.full(len(boxes), -1)
    covered = np.zeros((parts, boxes.shape[1]), np.int64)  # units of a class in a part
    while (left := part < 0).any():
        waiting = holds[left].sum(0)
        c = int(np.where(waiting > 0, waiting, len(boxes) + 1).argmin())
        units = rng.permutation(np.flatnonzero(left & holds[:, c]))
        for place, u in enumerate(units[np.argsort(-boxes[units, c], kind="stable")].tolist()):
            without = covered[:, c] == 0
            asked = without if len(units) - place <= without.sum() else np.ones(parts, bool)
            order = np.lexsort((rng.random(parts), -room, -desired[:, c], ~asked))
            _move(u, int(order[0]), part, covered, holds)
            desired[order[0]] -= boxes[u]
            room[order[0]] -= images[u]
    _repair(boxes, part, covered, holds)
    return part


def _repair(boxes: Ints, part: Ints, covered: Ints, holds: Bools) -> None:
    """Move units to parts that lack a class, rarest class first, where that leaves no other part without a class."""
    for c in np.argsort(holds.sum(0), kind="stable").tolist():
        for k in np.flatnonzero(covered[:, c] == 0).tolist():
            units = np.flatnonzero(holds[:, c])
            spare = [u for u in units.tolist() if (covered[part[u], holds[u]] > 1).all()]
            if spare:
                _move(min(spare, key=lambda u: (boxes[u].sum(), u)), k, part, covered, holds)


def _move(unit: int, to: int, part: Ints, covered: Ints, holds: Bools) -> None:
    if part[unit] >= 0:
        covered[part[unit], holds[unit]] -= 1
    part[unit] = to
    covered[to, holds[unit]] += 1
