"""Plots of `analysis.html`: matplotlib figures as inline SVG, in the browser's fonts.

A figure is drawn narrow, so that it is read on a phone without enlarging; class names are never taken for mathematics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.box_sizes import SMALL, TINY
from yolo_balance.recall.evidence.needs import RECALL, boxes_for_half_width
from yolo_balance.text import plain
from yolo_balance.views.svg import FAINT, GRID, INK, STYLE, svg

COLOURS = {"train": "#31597f", "val": "#d9812e", "test": "#7d8791"}
WIDTH = 4.6  # inches, at 72 points each about the width of a phone
MOST = 40  # classes a plot shows


def boxes_per_class(analysis: DataAnalysis) -> str:
    """Draw bars of boxes per class and split, on a logarithmic axis, largest in train first."""
    names = shown(analysis)
    splits = list(analysis.splits.items())
    height = 0.8 / len(splits)

    def draw(axes: Axes) -> None:
        _logarithmic(axes)
        for k, (split, figures) in enumerate(splits):
            counts = [figures.classes[name].boxes for name in names]
            y = np.arange(len(names)) + (k - (len(splits) - 1) / 2) * height
            axes.barh(y, [max(n - 0.5, 0) for n in counts], height * 0.9, left=0.5, color=COLOURS[split], label=split)
            for position, n in zip(y, counts, strict=True):
                axes.text(max(n, 0.5) * 1.15 + 0.5, float(position), str(n), va="center", fontsize=9, color=FAINT)
        highest = max(figures.classes[name].boxes for _, figures in splits for name in names)
        axes.set_xlim(0.5, max(highest, 2) * 4)
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, handlelength=1)
        axes.set_xlabel("images" if analysis.task == "classify" else "boxes")

    return _by_class(draw, names, rows=max(0.26 * len(splits), 0.36), top=0.4)


def needs(analysis: DataAnalysis) -> str:
    """Draw, per class, the interval that a recall of .9 on val would have."""
    names = shown(analysis)

    def draw(axes: Axes) -> None:
        for y, name in enumerate(names):
            need = analysis.needs[name]
            colour = COLOURS["train"] if need.n >= boxes_for_half_width() else COLOURS["val"]
            axes.plot([need.low, need.high], [y, y], color=colour if need.n else GRID, lw=5, solid_capstyle="butt")
            axes.text(1.02, y, f"n = {need.n}", va="center", fontsize=9, color=FAINT)
        axes.axvline(RECALL, color=FAINT, lw=1, ls=":")
        axes.set_xlim(0, 1)
        axes.set_xlabel(f"recall: what the truth may be if {RECALL:g} is read")

    return _by_class(draw, names, rows=0.34, right=0.86)


def sizes(analysis: DataAnalysis) -> str:
    """Draw, per class, the box sizes of train as the network sees them: median, 10 % to 90 %."""
    train = analysis.splits["train"].classes
    measured = {name: of.network for name in shown(analysis) if (of := train[name].sizes) is not None}
    if not measured:
        return ""

    def draw(axes: Axes) -> None:
        _logarithmic(axes, (1.0, 2.0, 5.0))
        for y, size in enumerate(measured.values()):
            axes.plot([max(size.low, 0.5), max(size.high, 0.5)], [y, y], color=COLOURS["train"], lw=3, alpha=0.55)
            axes.plot([max(size.median, 0.5)], [y], "o", color=COLOURS["train"], ms=6)
        for limit in (TINY, SMALL):
            axes.axvline(limit, color=COLOURS["val"], lw=1, ls="--")
            above = axes.get_xaxis_transform()
            axes.text(limit, 1.0, f"{limit} px", transform=above, va="bottom", ha="center", fontsize=9)
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, TINY / 1.5), max(high, SMALL * 1.5))
        axes.set_xlabel(f"px at imgsz {analysis.imgsz}")

    return _by_class(draw, [*measured], rows=0.34, top=0.3)


def together(analysis: DataAnalysis) -> str:
    """Draw a heat map: of the train images with the row's class, the share that also hold the column's class."""
    train = analysis.splits["train"]
    if not train.together:
        return ""
    names = [name for name in shown(analysis) if train.classes[name].images]
    place = {name: i for i, name in enumerate(names)}
    share = np.eye(len(names))
    for a, b, images in train.together:
        if a in place and b in place:
            share[place[a], place[b]] = images / train.classes[a].images
            share[place[b], place[a]] = images / train.classes[b].images

    def draw(axes: Axes) -> None:
        axes.pcolormesh(share, cmap="Blues", vmin=0, vmax=1.3, edgecolors="white", lw=1)
        axes.set_xticks(np.arange(len(names)) + 0.5, labels=[_label(n) for n in names], rotation=90)
        axes.set_yticks(np.arange(len(names)) + 0.5)
        if len(names) <= 10:
            for (i, j), value in np.ndenumerate(share):
                ink = "white" if value > 0.75 else INK
                axes.text(j + 0.5, i + 0.5, f"{value:.0%}", ha="center", va="center", fontsize=8.5, color=ink)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylim(len(names), 0)

    return _by_class(draw, names, rows=0.34, bottom=0.3 + 0.085 * max(len(_label(n)) for n in names), grid=False)


def shown(analysis: DataAnalysis) -> list[str]:
    """Return the classes that a plot shows, largest in train first; of very many the ten largest and the smallest."""
    train = analysis.splits["train"].classes
    names = sorted(train, key=lambda name: -train[name].boxes)
    return names if len(names) <= MOST else [*names[:10], *names[10 - MOST :]]


def _by_class(
    draw: Callable[[Axes], None],
    names: Sequence[str],
    *,
    rows: float,
    right: float = 0.97,
    top: float = 0.08,
    bottom: float = 0.5,
    grid: bool = True,
) -> str:
    """Draw a figure with one row of `rows` inches per class."""
    height = max(rows * len(names), 0.8) + top + bottom
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, height))
        left = min(0.05 + 0.0175 * max(len(_label(name)) for name in names), 0.45)
        axes = figure.add_axes((left, bottom / height, right - left, 1 - (top + bottom) / height))
        axes.set_yticks(range(len(names)))
        axes.set_ylim(len(names) - 0.5, -0.5)
        draw(axes)
        axes.set_yticks(axes.get_yticks(), labels=[_label(name) for name in names])
        axes.tick_params(axis="y", length=0)
        if grid:
            axes.grid(axis="x", color=GRID, lw=0.8)
            axes.set_axisbelow(True)
        return svg(figure)


def _logarithmic(axes: Axes, ticks: tuple[float, ...] = (1.0,)) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label(name: str) -> str:
    name = plain(name)
    return name if len(name) <= 20 else f"{name[:19]}…"
