"""The base of every section of the YAML, and the grades of its keys."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from yolo_balance.config.reading import MisfitError, shown

GRADE = "x-grade"
"""Name of a key's grade in the JSON Schema; a key without one has that of its section."""

RECOMMENDED: Any = Field(json_schema_extra={GRADE: "recommended"})
COMPARED: Any = Field(json_schema_extra={GRADE: "to compare with"})
PAPER: Any = Field(json_schema_extra={GRADE: "from the paper"})


class Section(BaseModel):
    """A section of the YAML: unknown keys are refused, values keep their type, nothing changes after construction.

    The docstring below a field is the one description of its key: `yolo_balance init`, `yolo_balance schema` and
    docs/keys.md are made from it.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def refuse(self, keys: tuple[str, ...], choice: str) -> None:
        """Raise ValueError if a key differs from its default although another choice of the section ignores it."""
        fields = type(self).model_fields
        changed = [(key, value) for key in keys if (value := getattr(self, key)) != fields[key].default]
        if changed:
            raise MisfitError(
                "\n".join(
                    f"{key}: expected to be left out beside {choice}, got {shown(value)}" for key, value in changed
                )
            )


def subsection(field: FieldInfo) -> type[Section] | None:
    """Return the section that a field opens, or None for a field that is a plain value."""
    for option in (field.annotation, *getattr(field.annotation, "__args__", ())):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a YAML value is a finite number; true and false are none, nor is an integer beyond a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value.bit_length() < 1024 if isinstance(value, int) else math.isfinite(value)
