"""Counts of a labelled data set: boxes and images per class, and the shares they imply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Ints

LabelTable: TypeAlias = tuple[Ints, Ints, int]
"""One row per box: classes (M,), image_index (M,), and the number of images, background included."""

Labels: TypeAlias = Sequence[npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, int]
"""Per image an int array of its boxes' classes, repeats kept, empty for background; or the flat LabelTable itself."""


def label_table(image_classes: Labels) -> LabelTable:
    """Resolve both accepted forms of labels into the flat table.

    Raises:
        ValueError: If the table's arrays differ in length or an image index is out of range.
    """
    if isinstance(image_classes, tuple) and len(image_classes) == 3 and np.ndim(image_classes[2]) == 0:
        table: Any = image_classes
        classes, image_index, num_images = _ints(table[0]), _ints(table[1]), int(table[2])
    else:
        rows = [np.asarray(row).ravel() for row in image_classes]
        num_images = len(rows)
        classes = _ints(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
        image_index = np.repeat(np.arange(num_images), [len(row) for row in rows])
    if len(classes) != len(image_index):
        raise ValueError(f"expected as many classes as image indices, got {len(classes)} and {len(image_index)}")
    if len(image_index) and not 0 <= image_index.min() <= image_index.max() < num_images:
        raise ValueError(f"expected image indices in [0, {num_images}), got {image_index.min()}..{image_index.max()}")
    return classes, image_index, num_images


def _ints(values: npt.ArrayLike) -> Ints:
    return np.asarray(values).astype(np.int64, copy=False).ravel()


@dataclass(frozen=True)
class ClassStatistics:
    """Classes and images of all boxes of a labelled data set.

    Attributes:
        classes: (M,) class of every box.
        image_index: (M,) image of every box.
        num_images: Images, background included.
        num_classes: C; classes without a box are counted as zero, never dropped.
    """

    classes: Ints
    image_index: Ints
    num_images: int
    num_classes: int

    @classmethod
    def of(cls, image_classes: Labels, num_classes: int) -> ClassStatistics:
        """Count labels in either form that `label_table` accepts.

        Raises:
            ValueError: If a class is outside [0, num_classes), or as `label_table` does.
        """
        classes, image_index, num_images = label_table(image_classes)
        if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(f"expected classes in [0, {num_classes}), got {classes.min()}..{classes.max()}")
        return cls(classes, image_index, num_images, num_classes)

    @cached_property
    def pairs(self) -> tuple[Ints, Ints, Ints]:
        """(P,) image, (P,) class and (P,) boxes of every pair of an image and a class that it holds."""
        boxes = self.image_index * self.num_classes
        boxes += self.classes
        boxes.sort(kind="stable")  # fast where boxes already lie image by image
        first = np.flatnonzero(np.diff(boxes, prepend=-1))
        image, label = np.divmod(boxes[first], max(self.num_classes, 1))
        return image, label, np.diff(first, append=len(boxes))

    @cached_property
    def boxes(self) -> Ints:
        """(C,) boxes per class."""
        return np.bincount(self.classes, minlength=self.num_classes)

    @cached_property
    def images(self) -> Ints:
        """(C,) images with at least one box of each class."""
        return np.bincount(self.pairs[1], minlength=self.num_classes)

    @cached_property
    def background(self) -> Bools:
        """(num_images,) whether an image has no box."""
        background = np.ones(self.num_images, bool)
        background[self.image_index] = False
        return background

    @cached_property
    def rarest(self) -> npt.NDArray[np.unsignedinteger[Any]]:
        """(num_images,) the class of each image that the fewest images hold; C for a background image.

        The dtype is the smallest that holds C, which numpy sorts by counting.
        """
        order = np.argsort(self.images, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        image, label, _ = self.pairs
        rarest = np.full(self.num_images, self.num_classes)
        np.minimum.at(rarest, image, rank[label])
        smallest = np.min_scalar_type(self.num_classes)
        classes: npt.NDArray[np.unsignedinteger[Any]] = np.append(order, self.num_classes).astype(smallest)[rarest]
        return classes

    def picked(self, samples: Sequence[Sequence[int]]) -> Ints:
        """Count the boxes of the images that a batch's samples were made of.

        Args:
            samples: Per sample the indices of its images: first its own, then those of its tiles and partners.

        Returns:
            (2, C) boxes of the samples' own images, and of tiles and partners.
        """
        places = [(image, place > 0) for sample in samples for place, image in enumerate(sample)]
        images, other = np.array(places, np.int64).reshape(-1, 2).T
        end = self._spans[images + 1]
        counts = end - self._spans[images]
        rows = np.arange(counts.sum()) + np.repeat(end - np.cumsum(counts), counts)
        _, label, boxes = self.pairs
        slots = label[rows] + self.num_classes * np.repeat(other, counts)
        picked = np.bincount(slots, weights=boxes[rows], minlength=2 * self.num_classes)
        return picked.astype(np.int64).reshape(2, self.num_classes)

    @cached_property
    def _spans(self) -> Ints:
        """(num_images + 1,) where each image's pairs begin in `pairs`."""
        spans: Ints = np.searchsorted(self.pairs[0], np.arange(self.num_images + 1))
        return spans

    def box_shares(self, expectation: Floats | None = None) -> Floats:
        """Return (C,) share of each class among the boxes shown when image I appears `expectation[I]` times.

        Args:
            expectation: (num_images,) expected appearances; None for each image once, the natural shares.
        """
        return shares(self.boxes if expectation is None else self.boxes_shown(expectation))

    def boxes_shown(self, expectation: Floats) -> Floats:
        """Return (C,) expected boxes of each class when image I appears `expectation[I]` times."""
        image, label, boxes = self.pairs
        shown: Floats = np.bincount(label, weights=boxes * expectation[image], minlength=self.num_classes).astype(float)
        return shown

    def largest_image_shares(self, expectation: Floats) -> tuple[Floats, Ints]:
        """Compute the largest share of each class that one image supplies.

        Args:
            expectation: (num_images,) expected appearances per epoch.

        Returns:
            (C,) largest share of the class's boxes of an epoch that a single image supplies, 0 for a class without
            boxes, and (C,) that image, -1 for none.
        """
        image, label, boxes = self.pairs
        weight = boxes * expectation[image]
        largest = np.zeros(self.num_classes)
        np.maximum.at(largest, label, weight)
        supplier = np.full(self.num_classes, -1)
        largest_first = np.flatnonzero(weight == largest[label])[::-1]  # of several the first in the data is named
        supplier[label[largest_first]] = image[largest_first]
        total = np.bincount(label, weights=weight, minlength=self.num_classes)
        return np.divide(largest, total, out=np.zeros_like(largest), where=total > 0), supplier


def shares(counts: npt.ArrayLike) -> Floats:
    """Divide counts by their sum; zeros where the sum is zero."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum()
    return counts / total if total > 0 else np.zeros_like(counts)
