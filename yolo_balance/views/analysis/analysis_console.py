"""The analysis in a terminal: tables of plain text and findings folded to its width."""

from __future__ import annotations

import textwrap

from rich.table import Table
from rich.text import Text

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.box_sizes import SMALL
from yolo_balance.analysis.split import ClassFigures
from yolo_balance.analysis.val_needs import HALF_WIDTH, RECALL, boxes_for_half_width, boxes_to_show
from yolo_balance.text import percent, plain
from yolo_balance.views.tables import plain_text

LONGEST = 24  # characters of a class name in a table


def render(analysis: DataAnalysis, width: int = 80) -> str:
    """Everything a terminal shows; tables keep their width, sentences are folded to `width`."""
    parts = [_splits(analysis), _classes(analysis)]
    if analysis.task != "classify":
        parts.append(_sizes(analysis))
    parts += [
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
    """The findings, numbered, or a line that there are none."""
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
    table = _table("split", *counted, "classes", "imbalance", "Gini", "effective\nclasses")
    for split, figures in analysis.splits.items():
        _row(
            table,
            split,
            str(figures.images),
            *([percent(figures.background_share), str(figures.boxes)] if boxes else []),
            f"{len(figures.classes) - len(figures.absent)} of {len(figures.classes)}",
            _ratio(figures.imbalance_of_boxes),
            _number(figures.gini),
            _number(figures.effective_classes),
        )
    return f"Data: {plain(analysis.data)} ({kind})\n\n{plain_text(table)}"


def _classes(analysis: DataAnalysis) -> str:
    boxes = analysis.task != "classify"
    headings = [
        f"{split}\n{what}" for split in analysis.splits for what in (("boxes", "images") if boxes else ("images",))
    ]
    table = _table("class", *headings, "share of\ntrain")
    for name, c in analysis.splits["train"].classes.items():
        counts = []
        for figures in analysis.splits.values():
            here = figures.classes[name]
            counts += [str(here.boxes), str(here.images)] if boxes else [str(here.images)]
        _row(table, _label(name), *counts, percent(c.share))
    return f"{'Boxes and images' if boxes else 'Images'} per class\n{plain_text(table)}"


def _sizes(analysis: DataAnalysis) -> str:
    table = _table("class", "in the image", f"at {analysis.imgsz} px", f"below {SMALL} px", "of the image's side")
    rows = 0
    for name, c in analysis.splits["train"].classes.items():
        if c.sizes is not None:
            _row(table, _label(name), *_size_cells(c))
            rows += 1
    if not rows:
        return ""
    return f"Box sizes in train: square root of the area in px, median [10 %, 90 %]\n{plain_text(table)}"


def _size_cells(c: ClassFigures) -> tuple[str, str, str, str]:
    assert c.sizes is not None
    stored, network, relative = c.sizes.pixels, c.sizes.network, c.sizes.relative
    return (
        f"{stored.median:.0f} [{stored.low:.0f}, {stored.high:.0f}]",
        f"{network.median:.0f} [{network.low:.0f}, {network.high:.0f}]",
        percent(c.sizes.small),
        f"{relative.median:.1%}",
    )


def _plan(analysis: DataAnalysis) -> str:
    if analysis.plan is None:
        return ""
    table = _table("class", "factor", "share of train", "asked for", "most from one image")
    for name, c in analysis.plan.items():
        _row(table, _label(name), f"{c.factor:.2f}", *map(percent, (c.natural, c.requested, c.largest_image_share)))
    kind = "boxes" if analysis.task != "classify" else "images"
    return f"What balance.sampling asks for, shares of {kind}\n{plain_text(table)}"


def _explained(analysis: DataAnalysis, width: int) -> str:
    if not analysis.explained:
        return ""
    lines = [_folded(plain(line), width, "  ", "    ") for line in analysis.explained]
    return "\n".join(["balance: auto, on this data:", *lines])


def _needs(analysis: DataAnalysis) -> str:
    if "val" not in analysis.splits:
        return ""
    table = _table("class", "n", f"if {RECALL:g} is read", f"more for ±{HALF_WIDTH:g}", f"more to show {RECALL:g}")
    for name, need in analysis.needs.items():
        interval = f"[{need.low:.2f}, {need.high:.2f}]" if need.n else "no data"
        _row(table, _label(name), str(need.n), interval, _more(need.more_for_interval), _more(need.more_to_show))
    title = (
        f"What val can show (95% Wilson interval; ±{HALF_WIDTH:g} takes {boxes_for_half_width()}, showing {RECALL:g} "
        f"takes {boxes_to_show()})"
    )
    return f"{title}\n{plain_text(table)}"


def _blind(analysis: DataAnalysis) -> str:
    if not analysis.blind:
        return ""
    boxes = analysis.task != "classify"
    title = "Why accuracy hides it: a perfect model that never reports ..."
    if boxes:
        table = _table("class", "scored on", "boxes found", "mAP", "images right")
    else:
        table = _table("class", "scored on", "accuracy", "mean over classes")
    for name, blind in analysis.blind.items():
        scores = [percent(blind.boxes_found), percent(blind.mean_precision)]
        _row(table, _label(name), blind.split, *scores, *([percent(blind.images_right)] if boxes else []))
    return f"{title}\n{plain_text(table)}"


def _together(analysis: DataAnalysis) -> str:
    """The rare classes' companions: with whom their images are shared."""
    train = analysis.splits["train"]
    rare = set(analysis.rare)
    rows = []
    for a, b, images in train.together:
        for name, other in ((a, b), (b, a)):
            if name in rare:
                rows.append((images / train.classes[name].images, name, other, images))
    if not rows:
        return ""
    table = _table("rare class", "of its train images", "also hold", left=(0, 2))
    for share, name, other, images in sorted(rows, key=lambda row: -row[0])[:10]:
        _row(table, _label(name), f"{images} of {train.classes[name].images} ({share:.0%})", _label(other))
    return f"Seen together\n{plain_text(table)}"


def _identical(analysis: DataAnalysis, width: int) -> str:
    across = [
        f"{n} of {pair.split('/')[1]} also in {pair.split('/')[0]}" for pair, n in analysis.duplicates.across.items()
    ]
    within = [f"{n} inside {split}" for split, n in analysis.duplicates.within.items()]
    return textwrap.fill(f"Identical images (files compared byte for byte): {', '.join([*across, *within])}", width)


def _table(*headings: str, left: tuple[int, ...] = (0,)) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="left" if i in left else "right")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(cell) for cell in cells))  # data, never markup


def _label(name: str) -> str:
    """A name that leaves room for figures: of a long one the beginning and the end, where names of a family differ."""
    name = plain(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2]}…{name[1 - LONGEST // 2 :]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}:1" if value < 100 else f"{value:.0f}:1"


def _more(count: int) -> str:
    return str(count) if count else "enough"
