"""Recall by box size as console tables."""

from __future__ import annotations

from yolo_balance.recall.diagnosis.recall_by_size import COCO_SIZES, RecallBySize, SizeBin, in_pixels
from yolo_balance.views.tables import table


def render_sizes(sizes: RecallBySize) -> str:
    """Return two tables: recall per class and size, and recall in bins of as many objects each."""
    headings = ["class", *(f"{name}: {in_pixels(start, end)}\nhits of n  recall" for name, start, end in COCO_SIZES)]
    rows = [*sizes.classes.items(), ("all", sizes.overall)]
    by_class = table(headings, [[name, *(_recall(bins[size]) for size, *_ in COCO_SIZES)] for name, bins in rows], "l")
    basis = f"square root of the box's area in pixels of the image file; {sizes.confidence:.0%} Wilson interval"
    text = f"Recall by size ({basis})\n{by_class}"
    if not sizes.quantiles:
        return text
    bins = [(in_pixels(row.start, row.end), _recall(row)) for row in sizes.quantiles]
    return f"{text}\n\n{table(('size, all classes', 'hits of n  recall'), bins, 'rl')}"


def _recall(row: SizeBin) -> str:
    if row.recall is None:
        return "   -       no data"
    return f"{row.hits:>4} of {row.n:<4} {row.recall:.2f} [{row.low:.2f}, {row.high:.2f}]"
