"""What every section of the YAML is made of."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the YAML: unknown keys are refused, values keep their type, nothing changes after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def refuse(self, key: str, choice: str) -> None:
        """Raise if an option was changed that the choice made elsewhere in the section has no use for."""
        if (value := getattr(self, key)) != type(self).model_fields[key].default:
            raise ValueError(f"{key}: not an option of {choice}, got {value}")


def is_number(value: Any) -> bool:
    """Whether a YAML value is a finite number, true and false not among them."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
