"""Outcomes of a validation pass: every box, and every object of the split."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.recall.evidence.units import unit_ids
from yolo_balance.recall.matching import NONE, ImageOutcome

PER_BOX = ("confidence", "predicted", "own_iou", "other_iou", "box")
POINTING = ("found", "own", "other")
PER_OBJECT = ("object_class", "object_box", "prime_iou", "prime_score")
"""Arrays by box, by box but holding numbers of objects, and by object."""


@dataclass(frozen=True)
class Outcomes:
    """All images of a split pooled: P boxes, T objects, both counted over the whole split; C classes.

    Attributes:
        confidence: (P,) of every box, float64.
        predicted: (P,) class of every box.
        image: (P,) its image.
        found: (P,) object it found, NONE for a false box.
        own, own_iou: (P,) object of the box's own class that it overlaps most, NONE if none, and their IoU.
        other, other_iou: (P,) the same among objects of other classes.
        box: (P, 4) x1, y1, x2, y2 in pixels of the image file.
        object_class, object_image: (T,) class and image of every object.
        object_box: (T, 4).
        prime_iou, prime_score: (T,) IoU and confidence of the object's prime sample.
        files: Image files, in the order of the images.
        unit: (images,) unit of every image, as `unit_ids` counts; by default each image is one.
        num_classes: C.
    """

    confidence: Floats
    predicted: Ints
    image: Ints
    found: Ints
    own: Ints
    own_iou: Floats32
    other: Ints
    other_iou: Floats32
    box: Floats32
    object_class: Ints
    object_image: Ints
    object_box: Floats32
    prime_iou: Floats32
    prime_score: Floats32
    files: tuple[str, ...]
    unit: Ints
    num_classes: int

    @classmethod
    def pool(cls, images: Iterable[ImageOutcome], num_classes: int) -> Outcomes:
        """Pool images; their order is that of `files`."""
        parts = list(images)
        objects = np.array([len(part.object_class) for part in parts], np.int64)
        boxes = np.array([len(part.confidence) for part in parts], np.int64)
        shift = np.repeat(np.cumsum(objects) - objects, boxes)

        typed = [ImageOutcome.of([], [], [], []), *parts]  # an empty image, whose arrays have the types
        joined = {
            name: np.concatenate([getattr(part, name) for part in typed]) for name in PER_BOX + PER_OBJECT + POINTING
        }
        pointing = {name: np.where(joined[name] == NONE, NONE, joined[name] + shift) for name in POINTING}
        return cls(
            **{**joined, **pointing},
            image=np.repeat(np.arange(len(parts)), boxes),
            object_image=np.repeat(np.arange(len(parts)), objects),
            files=tuple(part.file for part in parts),
            unit=np.arange(len(parts)),
            num_classes=num_classes,
        )

    def subset(self, images: npt.ArrayLike) -> Outcomes:
        """Select images, each once, in the order given."""
        keep = np.asarray(images, np.int64)
        place = np.full(self.images, NONE)
        place[keep] = np.arange(len(keep))
        boxes, objects = (_taken(place[of]) for of in (self.image, self.object_image))
        number = np.full(len(self.object_class) + 1, NONE)  # the last is that of no object
        number[objects] = np.arange(len(objects))
        return Outcomes(
            **{name: getattr(self, name)[boxes] for name in PER_BOX},
            **{name: getattr(self, name)[objects] for name in PER_OBJECT},
            **{name: number[getattr(self, name)[boxes]] for name in POINTING},
            image=place[self.image[boxes]],
            object_image=place[self.object_image[objects]],
            files=tuple(self.files[i] for i in keep.tolist()),
            unit=unit_ids(self.unit[keep].tolist()),
            num_classes=self.num_classes,
        )

    def with_units(self, keys: Sequence[Hashable]) -> Outcomes:
        """Return the same boxes and objects with a unit for each image: those of equal keys are one."""
        return replace(self, unit=unit_ids(keys))

    @property
    def images(self) -> int:
        """Images of the split."""
        return len(self.files)

    @property
    def units(self) -> int:
        """Units of the split."""
        return int(self.unit.max(initial=-1)) + 1

    @property
    def object_unit(self) -> Ints:
        """(T,) unit of every object."""
        return self.unit[self.object_image]

    @property
    def clean(self) -> Bools:
        """(images,) whether the image is without objects."""
        clean = np.ones(self.images, bool)
        clean[self.object_image] = False
        return clean

    @property
    def clean_images(self) -> int:
        """Number of images without objects."""
        return int(self.clean.sum())

    @property
    def objects(self) -> Ints:
        """(C,) objects per class."""
        return np.bincount(self.object_class, minlength=self.num_classes)

    @property
    def hit(self) -> Bools:
        """(P,) whether the box found an object."""
        return self.found > NONE

    @property
    def on_clean(self) -> Bools:
        """(P,) whether the box is on an image without objects."""
        return self.clean[self.image]

    def counts(self, threshold: float | npt.ArrayLike) -> Bools:
        """Return (P,) whether a box is at or above the threshold, one for all classes or (C,) one for each."""
        thresholds: Floats = np.broadcast_to(np.asarray(threshold, np.float64), (self.num_classes,))
        return self.confidence >= thresholds[self.predicted]

    def detected(self, threshold: float | npt.ArrayLike) -> Bools:
        """Return (T,) whether an object is found by a box at or above the threshold."""
        detected = np.zeros(len(self.object_class), bool)
        detected[self.found[self.hit & self.counts(threshold)]] = True
        return detected

    def hits_at(self, threshold: float | npt.ArrayLike) -> Ints:
        """Count the (C,) objects found by boxes at or above the threshold."""
        return np.bincount(self.object_class[self.detected(threshold)], minlength=self.num_classes)

    @property
    def alarming(self) -> Bools:
        """(P,) false boxes that count against a budget: on clean images, or all of a split without clean images."""
        return self.on_clean if self.clean_images else ~self.hit

    @property
    def alarm_images(self) -> int:
        """Number of images that false boxes are counted on: the clean ones; without any, all."""
        return self.clean_images or self.images


def _taken(place: Ints) -> Ints:
    """Return indices of the boxes or objects on the selected images, in the new image order."""
    return np.argsort(place, kind="stable")[(place == NONE).sum() :]
