"""Recall by size, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yolo_balance.recall.diagnosis.recall_by_size import COCO_SIZES, RecallBySize, SizeBin, in_pixels


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
