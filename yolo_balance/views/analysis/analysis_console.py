"""The analysis in a terminal: tables of plain text and findings folded to its width."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.box_sizes import SMALL, BoxSizes
from yolo_balance.recall.evidence.needs import HALF_WIDTH, RECALL, boxes_for_half_width, boxes_to_show
from yolo_balance.text import percent, plain
from yolo_balance.views.tables import class_table, rare_first, table

LONGEST = 24  # characters of a class name in a table
_table = partial(table, gap=2)


def render(analysis: DataAnalysis, width: int = 80) -> str:
    """Return the text for a terminal; tables keep their width, sentences are folded to `width`."""
    parts = [
        _splits(analysis),
        _classes(analysis),
        _sizes(analysis),
        _explained(analysis, width),
        _plan(analysis),
        _needs(analysis),
        _blind(analysis),
        _together(analysis),
        _identical(analysis, width),
        findings(analysis, width),
    ]
    return "\n\n".join(part for part in parts if part)


def findings(analysis: DataAnalysis, width: int) -> str:
    """Return the findings, numbered, or a line that there are none."""
    if not analysis.findings:
        return "Findings: none."
    lines = [_folded(found.text, width, f"{i:>2}. ", "    ") for i, found in enumerate(analysis.findings, 1)]
    return "\n".join(["Findings, most important first", *lines])


def _folded(text: str, width: int, first: str, rest: str) -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def _splits(analysis: DataAnalysis) -> str:
    boxes = analysis.task != "classify"
    kind = f"task {analysis.task}, imgsz {analysis.imgsz}" if boxes else "one class per image"
    counted = ("images", "background", "boxes") if boxes else ("images",)
    rows = [
        (
            split,
            str(figures.images),
            *([percent(figures.background_share), str(figures.boxes)] if boxes else []),
            f"{len(figures.classes) - len(figures.absent)} of {len(figures.classes)}",
            _ratio(figures.imbalance_of_boxes),
            _number(figures.gini),
            _number(figures.effective_classes),
        )
        for split, figures in analysis.splits.items()
    ]
    headings = ("split", *counted, "classes", "imbalance", "Gini", "effective\nclasses")
    return f"Data: {plain(analysis.data)} ({kind})\n\n{_table(headings, rows)}"


def _classes(analysis: DataAnalysis) -> str:
    boxes = analysis.task != "classify"
    counts = ("boxes", "images") if boxes else ("images",)
    headings = [f"{split}\n{count}" for split in analysis.splits for count in counts]
    rows = {}
    for name, c in analysis.splits["train"].classes.items():
        classes = [figures.classes[name] for figures in analysis.splits.values()]
        cells = [str(getattr(figures, count)) for figures in classes for count in counts]
        rows[name] = (*cells, percent(c.share))
    title = f"{'Boxes and images' if boxes else 'Images'} per class"
    return f"{title}\n" + _class_table(analysis, (*headings, "share of\ntrain"), rows)


def _sizes(analysis: DataAnalysis) -> str:
    train = analysis.splits["train"].classes
    rows = {name: _size_cells(c.sizes) for name, c in train.items() if c.sizes is not None}
    if not rows:
        return ""
    headings = ("in the image", f"at {analysis.imgsz} px", f"below {SMALL} px", "of the image's side")
    return "Box sizes in train: square root of the area in px, median [10 %, 90 %]\n" + _class_table(
        analysis, headings, rows
    )


def _size_cells(sizes: BoxSizes) -> tuple[str, ...]:
    pixels = (f"{size.median:.0f} [{size.low:.0f}, {size.high:.0f}]" for size in (sizes.pixels, sizes.network))
    return *pixels, percent(sizes.small), f"{sizes.relative.median:.1%}"


def _plan(analysis: DataAnalysis) -> str:
    if analysis.plan is None:
        return ""
    rows = {
        name: (f"{c.factor:.2f}", *map(percent, (c.natural, c.requested, c.largest_image_share)))
        for name, c in analysis.plan.items()
    }
    kind = "boxes" if analysis.task != "classify" else "images"
    headings = ("factor", "share of train", "asked for", "most from one image")
    return f"What balance.sampling asks for, shares of {kind}\n{_class_table(analysis, headings, rows)}"


def _explained(analysis: DataAnalysis, width: int) -> str:
    if not analysis.explained:
        return ""
    lines = [_folded(plain(line), width, "  ", "    ") for line in analysis.explained]
    return "\n".join(["balance: auto, on this data:", *lines])


def _needs(analysis: DataAnalysis) -> str:
    if "val" not in analysis.splits:
        return ""
    rows = {}
    for name, need in analysis.needs.items():
        interval = f"[{need.low:.2f}, {need.high:.2f}]" if need.n else "no data"
        rows[name] = (str(need.n), interval, _more(need.more_for_interval), _more(need.more_to_show))
    takes = f"±{HALF_WIDTH:g} takes {boxes_for_half_width()}, showing {RECALL:g} takes {boxes_to_show()}"
    title = f"What val can show (95% Wilson interval; {takes})"
    headings = ("n", f"if {RECALL:g} is read", f"more for ±{HALF_WIDTH:g}", f"more to show {RECALL:g}")
    return f"{title}\n{_class_table(analysis, headings, rows)}"


def _blind(analysis: DataAnalysis) -> str:
    if not analysis.blind:
        return ""
    boxes = analysis.task != "classify"
    scores = ("boxes found", "mAP", "images right") if boxes else ("accuracy", "mean over classes")
    rows = {}
    for name, blind in analysis.blind.items():
        shares = (blind.boxes_found, blind.mean_precision, blind.images_right)[: len(scores)]
        rows[name] = (blind.split, *map(percent, shares))
    title = "Why accuracy hides it: a perfect model that never reports ..."
    return f"{title}\n{_class_table(analysis, ('scored on', *scores), rows)}"


def _together(analysis: DataAnalysis) -> str:
    """Return the table of classes that share images with the rare classes."""
    train = analysis.splits["train"]
    rare = set(analysis.rare)
    pairs = [(name, other, images) for a, b, images in train.together for name, other in ((a, b), (b, a))]
    rows = [(images / train.classes[name].images, name, other, images) for name, other, images in pairs if name in rare]
    if not rows:
        return ""
    cells = [
        (_label(name), f"{images} of {train.classes[name].images} ({share:.0%})", _label(other))
        for share, name, other, images in sorted(rows, key=lambda row: -row[0])[:10]
    ]
    return f"Seen together\n{_table(('rare class', 'of its train images', 'also hold'), cells, 'lrl')}"


def _class_table(analysis: DataAnalysis, headings: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    train = analysis.splits["train"].classes
    ranks = rare_first(train[name].boxes for name in rows)
    labelled = [(_label(name), *cells) for name, cells in rows.items()]
    which = "those with the fewest boxes in train"
    return class_table(("class", *headings), labelled, ranks, which=which, file="analysis.json", gap=2)


def _identical(analysis: DataAnalysis, width: int) -> str:
    across = [
        f"{n} of {pair.split('/')[1]} also in {pair.split('/')[0]}" for pair, n in analysis.duplicates.across.items()
    ]
    within = [f"{n} inside {split}" for split, n in analysis.duplicates.within.items()]
    return textwrap.fill(f"Identical images (files compared byte for byte): {', '.join([*across, *within])}", width)


def _label(name: str) -> str:
    """Shorten a name to its beginning and end, where names of a family differ."""
    name = plain(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[1 - LONGEST // 2 :]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}:1" if value < 100 else f"{value:.0f}:1"


def _more(count: int) -> str:
    return str(count) if count else "enough"
