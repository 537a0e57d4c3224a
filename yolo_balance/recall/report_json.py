"""Read a recall report from JSON that anybody may have written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from yolo_balance.bounded_files import checked, shown
from yolo_balance.errors import DataError
from yolo_balance.recall.evidence.needs import CONFIDENCE

SCHEMA = 1
Report = TypeVar("Report")


def read(kind: type[Report], content: Any, source: str) -> Report:
    """Build a report, as `RecallReport.from_dict` documents; `__post_init__` of each part refuses impossible values."""
    if not isinstance(content, Mapping):
        raise DataError(f"{source}: expected a recall report, a JSON object, got {shown(content)}")
    if (schema := content.get("schema")) != SCHEMA or isinstance(schema, bool):
        raise DataError(f"{source}: schema: expected schema {SCHEMA}, got {shown(schema)}")
    return checked(kind, _completed(content), source)


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
