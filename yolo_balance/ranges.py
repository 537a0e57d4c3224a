"""Ranges of the numbers in files, and forms of their texts, as types that pydantic checks where a file is read."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

NEVER = 1 + 2.0**-23
"""The float32 above 1: where a false box has confidence 1 and the budget allows none, no box counts."""


def _confidence(value: float) -> float:
    if not 0 <= value <= NEVER:
        raise ValueError("expected a confidence in [0, 1]")
    return value


def _digest(value: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("expected the 64 hexadecimal digits of a SHA-256")
    return value


Count: TypeAlias = Annotated[int, Field(ge=0)]
Amount: TypeAlias = Annotated[float, Field(ge=0, le=1e15)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Confidence: TypeAlias = Annotated[float, AfterValidator(_confidence)]
Digest: TypeAlias = Annotated[str, AfterValidator(_digest)]
