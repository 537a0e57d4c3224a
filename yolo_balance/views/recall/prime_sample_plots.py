"""Picture of a model's prime samples."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from yolo_balance.files import write_bytes_whole
from yolo_balance.recall.diagnosis.prime_samples import IOU, SCORE, PrimeSamples

# colours that colour-blind people can distinguish
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b3294")
OTHERS, FAINT = "#a9b0b8", "#6b7280"
STYLE: dict[Any, Any] = {"text.parse_math": False, "text.usetex": False, "font.family": "sans-serif", "font.size": 10}
"""Whatever the user's settings are, names are no formulas: a class may be called $x$ or a_b."""


def prime_samples(path: Path, panels: Mapping[str, PrimeSamples], names: Sequence[str]) -> Path:
    """Write the picture of `prime_samples_figure` as a PNG to `path`, whole or not at all, and return the path."""
    figure, content = prime_samples_figure(panels, names), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of a script the font does not have
        figure.savefig(content, format="png", dpi=150)
    write_bytes_whole(path, content.getvalue())
    return path


def prime_samples_figure(panels: Mapping[str, PrimeSamples], names: Sequence[str]) -> Figure:
    """Draw score against IoU of each object's prime sample, one panel per run.

    Classes with the fewest objects have a colour of their own; where there are more than seven, the rest share a grey.
    Crosses are the misplaced boxes that the title counts, at their IoU with an object of their own class.

    Args:
        panels: By the run's name, in order from left to right.
        names: Class names by class id.

    Raises:
        ValueError: Without a panel.
    """
    if not panels:
        raise ValueError("expected at least one panel, got none")
    objects = np.bincount(np.concatenate([samples.label for samples in panels.values()]), minlength=len(names))
    rarest = sorted(np.flatnonzero(objects).tolist(), key=lambda c: (objects[c], -c))
    coloured = sorted(rarest[: len(COLOURS)])
    others = len(rarest) - len(coloured)
    with mpl.rc_context(STYLE):
        width = 0.5 + 4.9 * len(panels)
        figure = Figure(figsize=(width, 5.6), layout="constrained")
        row = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (title, samples) in zip(row, panels.items(), strict=True):
            _panel(axes, samples, coloured)
            axes.set_title(f"{_short(title, 40)}\n{_summary(samples)}", loc="left", fontsize="medium")
        row[0].set_ylabel("its score for the object's class")
        marks = [(_short(names[c], 18), colour, "o") for c, colour in zip(coloured, COLOURS, strict=False)]
        marks += [(f"{others} other classes", OTHERS, "o")] if others else []
        marks += [("misplaced box", FAINT, "x")]
        handles = [row[0].scatter([], [], s=30, color=colour, marker=marker) for _, colour, marker in marks]
        columns = max(int(width / (0.4 + 0.08 * max(len(name) for name, *_ in marks))), 1)  # inches
        legend = figure.legend(
            handles, ["?"] * len(handles), loc="outside lower center", ncols=columns, frameon=False, handletextpad=0.2
        )
        for text, (name, *_) in zip(legend.get_texts(), marks, strict=True):
            text.set_text(name)  # a legend leaves out labels that start with an underscore
    return figure


def _panel(axes: Axes, samples: PrimeSamples, coloured: Sequence[int]) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="IoU of the object's prime sample")
    axes.grid(color="#e3e6ea", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.fill_between([-0.03, IOU], SCORE, 1.03, color="#f1f2f4", zorder=0)
    # Points are pixels even in a vector graphic: a split may have a hundred thousand.
    lost = (samples.box_score >= np.float32(SCORE)) & (samples.box_iou < np.float32(IOU))
    axes.scatter(
        samples.box_iou[lost], samples.box_score[lost], s=18, color=FAINT, marker="x", linewidths=0.8, rasterized=True
    )
    groups = [(~np.isin(samples.label, coloured), OTHERS)]
    groups += [(samples.label == c, colour) for c, colour in zip(coloured, COLOURS, strict=False)]
    for members, colour in groups:
        x, y = samples.iou[members], samples.score[members]
        axes.scatter(
            x, y, s=32, color=colour, alpha=0.8, edgecolors="white", linewidths=0.6, clip_on=False, rasterized=True
        )
    if missed := int((samples.iou == 0).sum()):
        words = f"{missed} objects that no box\nof their class overlaps"
        axes.text(0.0, 1.01, words, va="top", fontsize="small", color=FAINT)


def _summary(samples: PrimeSamples) -> str:
    """Return the part of a panel's title below the run's name."""
    share, n = samples.misplaced()
    boxes = f"{round((share or 0) * n)} of {n} boxes with score >= {SCORE:g} lie below IoU {IOU:g}"
    correlation = samples.correlation()
    strength = "none" if correlation is None else f"{correlation:.2f}"
    return f"{boxes}\n{len(samples.iou)} objects, rank correlation of score and IoU: {strength}"


def _short(name: str, most: int) -> str:
    """Shorten a name to one line of printable characters."""
    name = "".join(c if c.isprintable() else " " for c in name)
    return name if len(name) <= most else f"{name[: most - 1]}…"
