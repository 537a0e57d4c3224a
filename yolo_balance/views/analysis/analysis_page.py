"""`analysis.html`: one file that opens anywhere, without a network."""

from __future__ import annotations

from markupsafe import Markup

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.box_sizes import SMALL
from yolo_balance.recall.evidence.needs import (
    HALF_WIDTH,
    RECALL,
    boxes_for_half_width,
    boxes_for_verdict,
    boxes_to_show,
)
from yolo_balance.views.analysis import analysis_plots
from yolo_balance.views.pages import environment

MOST_GROUPS = 100  # groups of identical images the page lists; the JSON has all
MOST_SENTENCES = 12


def render(analysis: DataAnalysis) -> str:
    """Return the text of `analysis.html`; names and paths are data and escaped."""
    pictures = {
        "boxes": analysis_plots.boxes_per_class(analysis),
        "needs": analysis_plots.needs(analysis) if "val" in analysis.splits else "",
        "sizes": analysis_plots.sizes(analysis),
        "together": analysis_plots.together(analysis),
    }
    return (
        environment()
        .get_template("analysis.html")
        .render(
            a=analysis,
            detects=analysis.task != "classify",
            pictures={name: Markup(svg) for name, svg in pictures.items()},  # matplotlib escapes what it is given
            shown=len(analysis_plots.shown(analysis)),
            rare=[name for name in analysis.rare if name in analysis.blind][:MOST_SENTENCES],
            groups=analysis.duplicates.groups[:MOST_GROUPS],
            recall=RECALL,
            half_width=HALF_WIDTH,
            small=SMALL,
            to_show=boxes_to_show(),
            for_interval=boxes_for_half_width(),
            for_verdict=boxes_for_verdict(),
        )
    )
