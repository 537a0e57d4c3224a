"""What the templates need for image rates and the details of a report; empty where a report does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from yolo_balance.recall.details import Details
from yolo_balance.recall.diagnosis.errors import CAUSES, TYPES, ErrorTypes
from yolo_balance.recall.page import errors, line, plots, sizes
from yolo_balance.recall.report import RecallReport


def context(report: RecallReport, order: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    """Variables of the sections `line`, `errors` and `sizes`.

    Args:
        report: What was read.
        order: Class names as tables list them.
        shown: Those of them that have plots.
    """
    details, first = report.details, report.budgets[0]
    cheapest = details.cheapest if details else None
    return {
        "decided_at": [(b, line.decided(b.images, order)) for b in report.budgets if b.images],
        "lines": line.lines(report.confidence),
        "zoned": line.zoned(details.zones, order) if details else [],
        "cheapest": cheapest,
        "cost_curve": Markup(plots.costs(cheapest, first.threshold)) if cheapest else "",
        "errors": _errors(details.errors, order) if details else {},
        "sizes": _sizes(details, order, shown) if details else {},
    }


def _errors(found: ErrorTypes, order: Sequence[str]) -> dict[str, Any]:
    return {
        "objects": errors.of_objects(found, order),
        "boxes": errors.of_boxes(found, order),
        "causes": [errors.words(cause) for cause in CAUSES],
        "types": [errors.words(kind) for kind in TYPES],
        "cause_meanings": errors.meanings(errors.OF_OBJECTS),
        "type_meanings": errors.meanings(errors.OF_BOXES),
        "iou": found.iou,
        "background_iou": found.background_iou,
        "knobs": errors.knobs(found),
    }


def _sizes(details: Details, order: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    detection = [(name, details.detection[name]) for name in order]
    curves = [(name, of_class) for name, of_class in detection if name in shown and of_class.b0 is not None]
    return {
        "headings": sizes.headings(),
        "classes": sizes.by_size(details.sizes, order),
        "quantiles": sizes.quantiles(details.sizes),
        "detection": detection,
        "panels": {name: Markup(plots.detection(of_class)) for name, of_class in curves},
    }
