"""Matplotlib figures as inline SVG, in the browser's fonts."""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

from matplotlib.figure import Figure

INK, FAINT, GRID = "#22272e", "#6b7280", "#e3e6ea"
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a class may be called $x$
    "font.family": "sans-serif",
    "font.size": 10.5,
    "svg.fonttype": "none",  # text stays text: searchable, sharp, in whatever script the browser knows
    "svg.hashsalt": "yolo_balance",  # the same data give the same page
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "axes.edgecolor": "#b8bec6",
    "axes.grid": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def svg(figure: Figure) -> str:
    """Return a figure as an element for a page: no prologue, no metadata, nothing that names another document."""
    text = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # of matplotlib's own font; the browser's draws the text
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], count=1, flags=re.DOTALL)
    opening, rest = svg.split(">", 1)
    opening = re.sub(r' (?:xmlns(?::\w+)?|width|height|version)="[^"]*"', "", opening)
    return f"{opening}>{rest}"
