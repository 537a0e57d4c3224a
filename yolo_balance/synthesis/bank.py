"""The bank: objects cut out when they are first wanted, and kept within a memory budget."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from yolo_balance.arrays import Bools, Ints
from yolo_balance.synthesis.cutting import CutObject, cut
from yolo_balance.synthesis.objects import ImageObjects, Pixels
from yolo_balance.synthesis.pasteable import Sources
from yolo_balance.synthesis.placement import free_places

BUDGET = 128 << 20
"""Memory of a bank, bytes; each worker has one."""
SURFACES = 3
"""Patches of clean surface cut for each object."""


@dataclass(frozen=True)
class Scene:
    """A train image as loaded, with its labels.

    Attributes:
        pixels: (H, W, channels) image.
        objects: The objects in px of the image, in the order of its labels.
        mask: (H, W) pixels of defects; None where the data has no mask images.
        zoom: Size in px of the loaded image for one px of its file.
    """

    pixels: Pixels
    objects: ImageObjects
    mask: Bools | None = None
    zoom: float = 1.0


@dataclass(frozen=True)
class BankEntry:
    """An object, and patches of clean surface in its shape."""

    object: CutObject
    surfaces: tuple[CutObject, ...]

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take, in bytes."""
        return self.object.nbytes + sum(surface.pixels.nbytes for surface in self.surfaces)


class Bank:
    """Cuts objects out of train images; those cut last stay in memory.

    Attributes:
        sources: Objects that can be cut out.
        read: Reads a train image by index.
        surfaces: (S,) image from which the patches of clean surface beside each object are cut.
        rotated: Whether outlines are rotated boxes.
        seed: Seed of the run.
        budget: Memory in bytes.
    """

    def __init__(
        self,
        sources: Sources,
        read: Callable[[int], Scene],
        surfaces: Ints,
        *,
        rotated: bool = False,
        seed: int = 0,
        budget: int = BUDGET,
    ):
        self.sources, self.read, self.surfaces = sources, read, surfaces
        self.rotated, self.seed, self.budget = rotated, seed, budget
        self._entries: OrderedDict[int, BankEntry] = OrderedDict()
        self._bytes = 0

    def __getitem__(self, source: int) -> BankEntry:
        """Return an object; cut it out unless it is in memory."""
        entry = self._entries.pop(source, None)
        if entry is None:
            entry = self._cut(source)
            self._bytes += entry.nbytes
        self._entries[source] = entry
        while self._bytes > self.budget and len(self._entries) > 1:
            _, oldest = self._entries.popitem(last=False)
            self._bytes -= oldest.nbytes
        return entry

    def _cut(self, source: int) -> BankEntry:
        s = self.sources
        scene = self.read(int(s.image[source]))
        place, objects = int(s.place[source]), scene.objects
        found = cut(
            scene.pixels,
            objects.boxes[place],
            np.delete(objects.boxes, place, 0),
            outline=None if objects.outlines is None else objects.outlines[place],
            mask=scene.mask,
            rotated=self.rotated,
            keypoints=None if objects.keypoints is None else objects.keypoints[place],
            zoom=scene.zoom,
        )
        return BankEntry(found, self._surfaces(source, found))

    def _surfaces(self, source: int, found: CutObject) -> tuple[CutObject, ...]:
        """Cut patches of clean surface, in size and shape like an object, at places without any label."""
        scene = self.read(int(self.surfaces[source]))
        height, width = found.solid.shape
        free = free_places(scene.pixels.shape[:2], (width, height), scene.objects.boxes)
        if not len(free) or scene.pixels.shape[2] != found.pixels.shape[2]:
            return ()
        rng = np.random.default_rng([self.seed, source])
        chosen = free[rng.integers(0, len(free), SURFACES)]
        return tuple(
            replace(
                found,
                pixels=scene.pixels[y : y + height, x : x + width].copy(),
                ring=np.ones_like(found.ring),  # the place is to look like all of the patch
                keypoints=None,
                zoom=scene.zoom,
            )
            for x, y in chosen
        )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_entries": OrderedDict(), "_bytes": 0}
