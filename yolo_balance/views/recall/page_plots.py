"""Plots of `recall.html`: one small panel per class, all on the same axes; the page writes class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

from yolo_balance.recall.costs import CheapestThreshold
from yolo_balance.recall.diagnosis.detection_probability import POD, DetectionProbability
from yolo_balance.recall.diagnosis.froc import Froc
from yolo_balance.recall.diagnosis.prime_samples import PrimeSamples
from yolo_balance.run_folder.history import EpochRecall
from yolo_balance.views.recall.prime_sample_plots import prime_samples_figure
from yolo_balance.views.svg import FAINT, GRID, INK, STYLE, svg

LINE, MARK = "#0072b2", "#b4621a"
SIZE = (2.9, 1.9)  # inches; two panels side by side on a phone
LARGE, WIDE = (4.6, 5.2), (4.6, 2.5)
SMALL = {"font.size": 11}


def over_epochs(rows: Sequence[EpochRecall], target: float | None) -> str:
    """Draw recall of a class over the epochs at one budget, with the band of its intervals."""
    read = [(row.epoch, row.recall, *row.bounds) for row in rows if row.recall is not None and row.bounds is not None]

    def draw(axes: Axes) -> None:
        epochs, recall, low, high = zip(*read, strict=True)
        axes.fill_between(epochs, low, high, color=LINE, alpha=0.2, lw=0)
        axes.plot(epochs, recall, color=LINE, lw=1.8, marker="o", ms=3)
        axes.set_xlim(min(epochs) - 0.3, max(epochs) + 0.3)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_xlabel("epoch")
        _target(axes, target)

    return _panel(draw)


def froc_of_class(curve: Froc, c: int, budgets: Sequence[float], per: str, target: float | None, level: float) -> str:
    """Draw recall of class c against false boxes per image, on a logarithmic axis; budgets as vertical lines.

    An axis of ratios has no zero: it begins at half the smallest number of false boxes there can be or is asked for,
    and what is read at none stands there.
    """
    left, right = froc_limits(curve, budgets)

    def draw(axes: Axes) -> None:
        x = np.maximum(curve.false_alarms, left)
        low, high = curve.band(c, level)
        x, low, high, y = (np.append(values, values[-1]) for values in (x, low, high, curve.recall[c]))
        x[-1] = right  # no more boxes than there are, whatever is allowed
        axes.fill_between(x, low, high, step="post", color=LINE, alpha=0.2, lw=0)
        axes.step(x, y, where="post", color=LINE, lw=1.8)
        for budget in budgets:
            axes.axvline(max(budget, left), color=MARK, lw=1, ls="--")
        axes.set_xscale("log")
        axes.set_xlim(left, right)
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"false boxes per {per}")
        _target(axes, target)

    return _panel(draw)


def froc_limits(curve: Froc, budgets: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis of false boxes per image."""
    counted = [*curve.false_alarms.tolist(), *budgets]
    above = [rate for rate in counted if rate > 0] or [1.0]
    return min(above) / 2, max(above) * 2


def costs(cheapest: CheapestThreshold, threshold: float) -> str:
    """Draw expected cost per image against the threshold: the cheapest as a dot, the first budget's dashed."""
    x, y = np.array(cheapest.curve).T

    def draw(axes: Axes) -> None:
        axes.step(x, y, where="pre", color=LINE, lw=1.8)  # between two of them an image is rejected by the higher one
        axes.axvline(threshold, color=MARK, lw=1, ls="--")
        axes.plot([cheapest.threshold], [cheapest.cost], color=LINE, marker="o", ms=6, clip_on=False)
        axes.set_xlim(0, 1.05 * max(*x, threshold))
        axes.set_ylim(0, 1.08 * max(*y, cheapest.cost) or 1)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.set_xlabel("threshold")
        axes.set_ylabel("cost per image")

    return _panel(draw, size=WIDE, box=(0.16, 0.22, 0.81, 0.74))


def detection(of_class: DetectionProbability) -> str:
    """Draw POD against size over the sizes tried, with its bounds; a90 dashed and a90/95 dotted where they are known.

    Raises:
        ValueError: There is no curve.
    """
    smallest, largest = of_class.smallest or 1.0, of_class.largest or 1.0
    size = np.geomspace(smallest, largest, 60)
    pod, low, high = of_class.curve(size)

    def draw(axes: Axes) -> None:
        axes.fill_between(size, low, high, color=LINE, alpha=0.2, lw=0)
        axes.plot(size, pod, color=LINE, lw=1.8)
        for reached, style in ((of_class.a90, "--"), (of_class.a9095, ":")):
            if reached is not None:
                axes.axvline(reached, color=MARK, lw=1.4, ls=style)
        axes.axhline(POD, color=INK, lw=0.8, ls=":")
        axes.set_xscale("log")
        axes.set_xlim(smallest, largest)
        axes.set_xticks(ticks := np.geomspace(smallest, largest, 3), labels=[f"{tick:.3g}" for tick in ticks.tolist()])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("size in pixels")

    return _panel(draw)


def prime_samples(samples: PrimeSamples, names: Sequence[str], title: str) -> str:
    """Draw score against IoU of each object's prime sample."""
    figure = prime_samples_figure({title: samples}, names)
    figure.set_size_inches(*LARGE)
    with mpl.rc_context(STYLE):
        return svg(figure)


def _target(axes: Axes, target: float | None) -> None:
    if target is not None:
        axes.axhline(target, color=INK, lw=1, ls=":")


def _panel(
    draw: Callable[[Axes], None],
    *,
    size: tuple[float, float] = SIZE,
    box: tuple[float, float, float, float] = (0.13, 0.27, 0.83, 0.69),
) -> str:
    with mpl.rc_context(STYLE | SMALL):
        figure = Figure(figsize=size)
        axes = figure.add_axes(box)
        axes.set_ylim(-0.02, 1.03)
        axes.set_yticks([0, 0.5, 1], labels=["0", ".5", "1"])
        axes.grid(color=GRID, lw=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=FAINT)
        draw(axes)
        return svg(figure)
