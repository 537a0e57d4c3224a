"""Recall by size, as rows, and which classes have a curve of detection against size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo_balance.recall.detection_probability import DetectionProbability
from yolo_balance.recall.sizes import COCO_SIZES, RecallBySize, SizeBin, in_pixels


@dataclass(frozen=True)
class BySize:
    """One class, or all of them for None, and its bins in the order of COCO_SIZES."""

    name: str | None
    bins: tuple[SizeBin, ...]


def headings() -> list[tuple[str, str]]:
    """Names of the bins of COCO and their ranges."""
    return [(name, in_pixels(start, end)) for name, start, end in COCO_SIZES]


def by_size(sizes: RecallBySize, order: Sequence[str]) -> list[BySize]:
    """All objects first, then the classes in order."""
    found: list[tuple[str | None, Mapping[str, SizeBin]]] = [(None, sizes.overall)]
    found += [(name, sizes.classes[name]) for name in order]
    return [BySize(name, tuple(bins[size] for size, *_ in COCO_SIZES)) for name, bins in found]


def quantiles(sizes: RecallBySize) -> list[tuple[str, SizeBin]]:
    """Ranges with as many objects each, and their recall."""
    return [(in_pixels(row.start, row.end), row) for row in sizes.quantiles]


def fitted(detection: Mapping[str, DetectionProbability], order: Sequence[str]) -> list[str]:
    """The classes that have a curve, in order."""
    return [name for name in order if detection[name].b0 is not None]


def reasons(detection: Mapping[str, DetectionProbability], order: Sequence[str]) -> dict[str, list[str]]:
    """Why the other classes have none, and the classes of each reason."""
    found = defaultdict(list)
    for name in order:
        if detection[name].b0 is None:
            found[detection[name].reason or ""].append(name)
    return dict(found)
