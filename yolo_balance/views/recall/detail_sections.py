"""Template variables for image rates, errors and sizes; empty where a report does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES, ErrorTypes
from yolo_balance.recall.diagnosis.recall_by_size import COCO_SIZES, in_pixels
from yolo_balance.recall.images import FALSE_ALARM_LINE, MISS_LINE, images_needed
from yolo_balance.recall.matching import BACKGROUND_IOU
from yolo_balance.recall.report import RecallReport
from yolo_balance.views.recall import page_plots

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
KNOBS: Mapping[str, str] = {
    "confused": "Review the labels of the two classes; `balance.losses.class_weights` moves scores between them.",
    "badly_located": "`imgsz` and `balance.losses.carl` sharpen boxes; `balance.recall.iou` says how tight they "
    "have to be.",
    "below_threshold": "`balance.losses.class_weights`, `balance.losses.focal` and `balance.sampling.power` move "
    "scores; a larger budget in `balance.recall.false_alarms` lowers the threshold.",
    "missed": "`balance.sampling.power`, `balance.sampling.max_repeat` and `balance.sampling.classes` show the "
    "class more often.",
    "duplicate": "A lower `iou` of non-maximum suppression, or a model with an end-to-end head, reports one box.",
    "both": "As for confused and badly located boxes: label review, `balance.losses.class_weights`, `imgsz`.",
    "background": "`balance.sampling.background.share` and `balance.sampling.background.hard` show more images "
    "without objects; `balance.losses.negatives` and `balance.losses.isr.negatives` weigh likely false alarms.",
}
"""Per cause and type the keys of a run's YAML that act on it, in backticks: ours start with `balance`, the others are
Ultralytics' own."""


def context(report: RecallReport, shown: Sequence[str]) -> dict[str, object]:
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
        "limits": {
            "escape": MISS_LINE,
            "defective": images_needed(MISS_LINE, confidence=report.confidence),
            "overkill": FALSE_ALARM_LINE,
            "clean": images_needed(FALSE_ALARM_LINE, confidence=report.confidence),
            "touching": BACKGROUND_IOU,
        },
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


def occurring(errors: ErrorTypes) -> list[str]:
    """Return the causes and types that occur, in the order of KNOBS."""
    rows = errors.classes.values()
    present = {cause for row in rows for cause in CAUSES if getattr(row.objects, cause)}
    present |= {kind for row in rows for kind in TYPES if getattr(row.boxes, kind)}
    return [kind for kind in KNOBS if kind in present]


def words(kind: str) -> str:
    """Return the name of a cause or type as people read it."""
    return kind.replace("_", " ")


def meanings(kinds: Mapping[str, str]) -> str:
    """Return causes or types with their meanings, in one line."""
    text = "; ".join(f"{words(kind)}: {meaning}" for kind, meaning in kinds.items())
    return text[0].upper() + text[1:]


def code(text: str) -> Markup:
    """Escape a text, and set the parts between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))
