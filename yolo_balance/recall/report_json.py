"""A report from JSON that anybody may have written: every key checked before a number of it is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from yolo_balance.errors import DataError
from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.evidence.needs import CONFIDENCE
from yolo_balance.recall.report import SCHEMA, RecallReport


def read(content: Any, source: str) -> RecallReport:
    """The report of parsed JSON, as `RecallReport.from_dict` describes it.

    Args:
        content: What the JSON held.
        source: Name of the file, for the error.

    Raises:
        DataError: One line that names the file and the key.
    """
    if not isinstance(content, Mapping):
        raise DataError(f"{source}: expected a recall report, a JSON object, got {_shown(content)}")
    if content.get("schema") != SCHEMA:
        raise DataError(f"{source}: schema: expected schema {SCHEMA}, got {_shown(content.get('schema'))}")
    try:
        report = _REPORT.validate_json(json.dumps(_completed(content)), strict=True)
    except ValidationError as e:
        raise DataError(f"{source}: {_line(e)}") from e
    if problem := _out_of_range(report):
        raise DataError(f"{source}: {problem}")
    return report


_REPORT = TypeAdapter(RecallReport)


def _completed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with what may be left out filled in; what is of another type stays as it is."""
    level = content.get("confidence", CONFIDENCE)

    def budget(given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        classes = given.get("classes")
        if isinstance(classes, Mapping):
            rows = {k: {"confidence": level, **row} if isinstance(row, Mapping) else row for k, row in classes.items()}
            given = {**given, "classes": rows}
        return {"measured": None, **given}

    budgets = content.get("budgets")
    filled = {"budgets": [budget(b) for b in budgets]} if isinstance(budgets, (list, tuple)) else {}
    return {"confidence": level, **content, **filled}


def _line(error: ValidationError) -> str:
    """The first problem: dotted key, what was expected, what arrived; and how many more there are."""
    first, *others = error.errors()
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        text = "missing"
    else:
        expected = "expected an object" if first["type"].startswith("dataclass") else first["msg"]
        text = f"{expected.replace('Input should be', 'expected')}, got {_shown(first['input'])}"
    return f"{key}: {text}" + (f" ({len(others)} more like it)" if others else "")


def _out_of_range(report: RecallReport) -> str | None:
    """The first key whose type is right and whose value cannot be."""
    if not 0 < report.confidence < 1:
        return f"confidence: expected a level in (0, 1), got {report.confidence}"
    if not report.budgets:
        return "budgets: expected at least one"
    for i, budget in enumerate(report.budgets):
        if budget.classes.keys() != report.budgets[0].classes.keys():
            return f"budgets.{i}.classes: expected the classes of the first budget"
        for name, row in budget.classes.items():
            if problem := _impossible(row):
                return f"budgets.{i}.classes.{name}.{problem}"
    return None


def _impossible(row: ClassRecall) -> str | None:
    if row.n < 0:
        return f"n: expected 0 or more objects, got {row.n}"
    if not 0 <= row.hits <= row.n:
        return f"hits: expected 0 to n = {row.n}, got {row.hits}"
    if row.n == 0 and row.recall is not None:
        return f"recall: expected null without objects, got {row.recall}"
    for key, value in (("recall", row.recall), ("low", row.low), ("high", row.high)):
        if (value is None and row.n) or (value is not None and not 0 <= value <= 1):
            return f"{key}: expected a number in [0, 1], got {_shown(value)}"
    if row.low is not None and row.high is not None and row.low > row.high:
        return f"low: expected no more than high = {row.high}, got {row.low}"
    for key, bounds in (("wilson", row.wilson), ("exact", row.exact)):
        if bounds is not None and not 0 <= bounds[0] <= bounds[1] <= 1:
            return f"{key}: expected two numbers in [0, 1], the lower one first, got {_shown(bounds)}"
    if row.n_effective is not None and row.n and not row.n_effective > 0:
        return f"n_effective: expected a number above 0, got {row.n_effective}"
    if row.target is not None and not 0 < row.target <= 1:
        return f"target: expected a recall in (0, 1], got {row.target}"
    if row.images is not None and not min(row.n, 1) <= row.images <= row.n:
        return f"images: expected 1 to n = {row.n}, got {row.images}"
    if not 0 < row.confidence < 1:
        return f"confidence: expected a level in (0, 1), got {row.confidence}"
    return None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
