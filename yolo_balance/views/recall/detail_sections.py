"""What the templates need for image rates and the details of a report; empty where a report does not say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from yolo_balance.recall.details import Details
from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES, ErrorTypes
from yolo_balance.recall.report import RecallReport
from yolo_balance.views.recall import error_rows, image_rows, page_plots, size_rows


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
        "decided_at": [(b, image_rows.decided(b.images, order)) for b in report.budgets if b.images],
        "lines": image_rows.lines(report.confidence),
        "zoned": image_rows.zoned(details.zones, order) if details else [],
        "cheapest": cheapest,
        "cost_curve": Markup(page_plots.costs(cheapest, first.threshold)) if cheapest else "",
        "errors": _errors(details.errors, order) if details else {},
        "sizes": _sizes(details, order, shown) if details else {},
    }


def _errors(found: ErrorTypes, order: Sequence[str]) -> dict[str, Any]:
    return {
        "objects": error_rows.of_objects(found, order),
        "boxes": error_rows.of_boxes(found, order),
        "causes": [error_rows.words(cause) for cause in CAUSES],
        "types": [error_rows.words(kind) for kind in TYPES],
        "cause_meanings": error_rows.meanings(error_rows.OF_OBJECTS),
        "type_meanings": error_rows.meanings(error_rows.OF_BOXES),
        "iou": found.iou,
        "background_iou": found.background_iou,
        "knobs": error_rows.knobs(found),
    }


def _sizes(details: Details, order: Sequence[str], shown: Sequence[str]) -> dict[str, Any]:
    detection = [(name, details.detection[name]) for name in order]
    curves = [(name, of_class) for name, of_class in detection if name in shown and of_class.b0 is not None]
    return {
        "headings": size_rows.headings(),
        "classes": size_rows.by_size(details.sizes, order),
        "quantiles": size_rows.quantiles(details.sizes),
        "detection": detection,
        "panels": {name: Markup(page_plots.detection(of_class)) for name, of_class in curves},
    }
