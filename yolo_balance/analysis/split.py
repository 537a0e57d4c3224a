"""Labels of one split as arrays, and the figures read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from yolo_balance.analysis.box_sizes import BoxSizes
from yolo_balance.analysis.imbalance import co_occurrence, effective_classes, gini, imbalance_ratio, most_in_one_image
from yolo_balance.analysis.pixels import Pixels
from yolo_balance.arrays import Floats
from yolo_balance.sampling.statistics import ClassStatistics


@dataclass(frozen=True)
class Labels:
    """Labels of one split.

    Attributes:
        split: Name of the split.
        statistics: One row per box, or per image where images are classified.
        files: (num_images,) paths of the images.
        boxes: (M, 2) widths and heights relative to their image; None where images are classified.
        shapes: (num_images, 2) heights and widths in pixels; None where images are classified.
        ignored: Images that could not be used, corrupt ones mostly; None where the reader does not count them.
        unlabelled: Images without a label file, counted as background.
        pixels: Pixels of a sample of the images; None where none was read.
    """

    split: str
    statistics: ClassStatistics
    files: Sequence[str]
    boxes: Floats | None = None
    shapes: Floats | None = None
    ignored: int | None = 0
    unlabelled: int = 0
    pixels: Pixels | None = None

    def sizes(self, imgsz: int) -> tuple[Floats, Floats, Floats] | None:
        """Return (M,) box sizes in pixels, relative, and in pixels at `imgsz`; None without boxes to measure."""
        if self.boxes is None or self.shapes is None:
            return None
        relative = np.sqrt(self.boxes.prod(axis=1))
        shapes = self.shapes[self.statistics.image_index]
        pixels = relative * np.sqrt(shapes.prod(axis=1))
        return pixels, relative, pixels * imgsz / shapes.max(axis=1)


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class in one split.

    Attributes:
        boxes: Boxes of the class.
        images: Images with at least one box of the class.
        share: Share of the class in all boxes.
        most_in_one_image: Largest number of the class's boxes in a single image.
        that_image: File of this image; None without boxes.
        sizes: Sizes of the boxes; None without boxes.
    """

    boxes: int
    images: int
    share: float
    most_in_one_image: int
    that_image: str | None
    sizes: BoxSizes | None


@dataclass(frozen=True)
class SplitFigures:
    """Figures of one split.

    Attributes:
        images: Images of the split, background included.
        background: Images without a box.
        boxes: Boxes of the split.
        imbalance_of_boxes: Boxes of the largest class / of the smallest class present; None where no class is.
        imbalance_of_images: Images of the largest class / of the smallest class present.
        gini: Gini coefficient of boxes over the classes present.
        effective_classes: exp of the entropy of the shares of boxes.
        absent: Classes without a box.
        ignored: Images that could not be used; None where it is not known.
        unlabelled: Images without a label file, counted as background.
        classes: Figures of each class by name, in class-id order.
        together: Images holding both of two classes, for every two that meet.
        pixels: Pixels of a sample of the images; None where none was read.
    """

    images: int
    background: int
    boxes: int
    imbalance_of_boxes: float | None
    imbalance_of_images: float | None
    gini: float | None
    effective_classes: float | None
    absent: tuple[str, ...]
    ignored: int | None
    unlabelled: int
    classes: Mapping[str, ClassFigures]
    together: tuple[tuple[str, str, int], ...]
    pixels: Pixels | None = None

    @property
    def background_share(self) -> float:
        """Share of images without a box."""
        return self.background / self.images if self.images else 0.0

    @classmethod
    def of(cls, labels: Labels, names: Sequence[str], imgsz: int) -> SplitFigures:
        """Read the figures of a split whose class ids index `names`, sizes at `imgsz`."""
        statistics = labels.statistics
        boxes, images = statistics.boxes, statistics.images
        shares = statistics.box_shares()
        most, where = most_in_one_image(statistics)
        sizes = _sizes_by_class(labels, imgsz)
        both = np.triu(co_occurrence(statistics), 1)
        classes = {
            name: ClassFigures(
                int(boxes[c]),
                int(images[c]),
                round(float(shares[c]), 6),
                int(most[c]),
                None if where[c] < 0 else str(labels.files[where[c]]),
                sizes[c],
            )
            for c, name in enumerate(names)
        }
        return cls(
            statistics.num_images,
            int(statistics.background.sum()),
            int(boxes.sum()),
            _rounded(imbalance_ratio(boxes)),
            _rounded(imbalance_ratio(images)),
            _rounded(gini(boxes)),
            _rounded(effective_classes(boxes)),
            tuple(name for name, count in zip(names, boxes, strict=True) if not count),
            labels.ignored,
            labels.unlabelled,
            classes,
            tuple((names[a], names[b], int(both[a, b])) for a, b in np.argwhere(both)),
            labels.pixels,
        )


def _sizes_by_class(labels: Labels, imgsz: int) -> list[BoxSizes | None]:
    by_class: list[BoxSizes | None] = [None] * labels.statistics.num_classes
    sizes = labels.sizes(imgsz)
    if sizes is None:
        return by_class
    order = np.argsort(labels.statistics.classes, kind="stable")
    for part in np.split(order, np.cumsum(labels.statistics.boxes)[:-1]):
        if len(part):
            by_class[int(labels.statistics.classes[part[0]])] = BoxSizes.of(*(measure[part] for measure in sizes))
    return by_class


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
