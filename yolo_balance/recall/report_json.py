"""Read a recall report from JSON that anybody may have written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from yolo_balance.errors import DataError
from yolo_balance.recall.evidence.needs import CONFIDENCE

SCHEMA = 1
Report = TypeVar("Report")


def read(kind: type[Report], content: Any, source: str) -> Report:
    """Build a report, as `RecallReport.from_dict` documents; `__post_init__` of each part refuses impossible values."""
    if not isinstance(content, Mapping):
        raise DataError(f"{source}: expected a recall report, a JSON object, got {shown(content)}")
    if content.get("schema") != SCHEMA:
        raise DataError(f"{source}: schema: expected schema {SCHEMA}, got {shown(content.get('schema'))}")
    try:
        return TypeAdapter(kind).validate_json(json.dumps(_completed(content)), strict=True)
    except ValidationError as e:
        raise DataError(f"{source}: {_line(e)}") from e


def shown(value: object) -> str:
    """Return a value as JSON, short."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _completed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the keys that a report may leave out. A value of another type stays as it is."""
    level = content.get("confidence", CONFIDENCE)
    usable = isinstance(level, (int, float)) and 0 < level < 1  # else the report itself is refused
    inherited = level if usable else CONFIDENCE

    def budget(given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        classes = given.get("classes")
        if isinstance(classes, Mapping):
            rows = {
                name: {"confidence": inherited, **row} if isinstance(row, Mapping) else row
                for name, row in classes.items()
            }
            given = {**given, "classes": rows}
        return {"measured": None, **given}

    budgets = content.get("budgets")
    filled = {"budgets": [budget(b) for b in budgets]} if isinstance(budgets, (list, tuple)) else {}
    return {"confidence": level, **content, **filled}


def _line(error: ValidationError) -> str:
    """Describe the first problem: dotted key, what was expected, what arrived; and how many more there are."""
    first, *others = error.errors()
    if first["type"] == "value_error":
        text = str(first["ctx"]["error"])
    elif first["type"] == "missing":
        text = "missing"
    else:
        expected = "expected an object" if first["type"].startswith("dataclass") else first["msg"]
        text = f"{expected.replace('Input should be', 'expected')}, got {shown(first['input'])}"
    key = ".".join(map(str, first["loc"]))
    if key:
        text = f"{key}{'.' if first['type'] == 'value_error' else ': '}{text}"
    return text + (f" ({len(others)} more like it)" if others else "")
