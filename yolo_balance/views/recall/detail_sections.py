"""Template variables for image rates, errors and sizes; empty where a report does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from yolo_balance.recall.diagnosis.recall_by_size import COCO_SIZES, in_pixels
from yolo_balance.recall.images import FALSE_ALARM_LINE, MISS_LINE, images_needed
from yolo_balance.recall.matching import BACKGROUND_IOU
from yolo_balance.recall.report import RecallReport
from yolo_balance.views.recall import page_plots
from yolo_balance.views.recall.errors_console import KNOBS, occurring, words

CAUSE_MEANINGS: Mapping[str, str] = {
    "confused": "a box of another class lies on the object",
    "badly_located": "a box of its class touches it, but too loosely",
    "below_threshold": "a box finds it, with a confidence below the threshold",
    "missed": "nothing of the above",
}
TYPE_MEANINGS: Mapping[str, str] = {
    "duplicate": "one box too many on an object that was found",
    "confused": "lies on an object of another class",
    "badly_located": "touches an object of its class",
    "both": "touches an object of another class",
    "background": "lies on nothing",
}


def context(report: RecallReport, shown: Sequence[str]) -> dict[str, Any]:
    """Return the variables of the sections `line`, `errors` and `sizes`.

    Args:
        report: The report of a finished model.
        shown: Names of the classes that have plots.
    """
    details = report.details
    cheapest = details.cheapest if details else None
    curves = {name: pod for name in shown if details and (pod := details.detection[name]).b0 is not None}
    return {
        "decided_at": [budget for budget in report.budgets if budget.images],
        "limits": limits(report.confidence),
        "zones": details and details.zones,
        "cheapest": cheapest,
        "cost_curve": Markup(page_plots.costs(cheapest, report.budgets[0].threshold)) if cheapest else "",
        "errors": details and details.errors,
        "cause_meanings": CAUSE_MEANINGS,
        "type_meanings": TYPE_MEANINGS,
        "meanings": meanings,
        "words": words,
        "knobs": [(words(kind), code(KNOBS[kind])) for kind in occurring(details.errors)] if details else [],
        "sizes": details and details.sizes,
        "coco_sizes": COCO_SIZES,
        "in_pixels": in_pixels,
        "detection": details and details.detection,
        "detection_curves": {name: Markup(page_plots.detection(pod)) for name, pod in curves.items()},
    }


def limits(confidence: float) -> dict[str, float]:
    """Return the limits of escape and overkill, the fewest images that can show each, and the IoU of a box on nothing.

    Args:
        confidence: Level of the intervals.
    """
    defective, clean = (images_needed(line, confidence=confidence) for line in (MISS_LINE, FALSE_ALARM_LINE))
    return {
        "escape": MISS_LINE,
        "defective": defective,
        "overkill": FALSE_ALARM_LINE,
        "clean": clean,
        "touching": BACKGROUND_IOU,
    }


def meanings(kinds: Mapping[str, str]) -> str:
    """Return causes or types with their meanings, in one line."""
    text = "; ".join(f"{words(kind)}: {meaning}" for kind, meaning in kinds.items())
    return text[0].upper() + text[1:]


def code(text: str) -> Markup:
    """Escape a text, and set the parts between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))
