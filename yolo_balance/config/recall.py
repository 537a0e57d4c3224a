"""`balance.recall`: what people read."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field

from yolo_balance.config.section import Section


def _iou(value: float) -> float:
    if not 0.5 <= value <= 0.95 or not math.isclose(value * 20, round(value * 20)):
        raise ValueError("expected one of the IoU thresholds Ultralytics matches at: 0.5, 0.55, ..., 0.95")
    return value


class RecallConfig(Section):
    """What people read after every validation (`balance.recall`); reported with these defaults when left out.

    Attributes:
        iou: IoU at which a box finds an object, one of the host's ten thresholds.
        confidence: Confidence level of the intervals.
        false_alarms: Budgets, in false boxes per defect-free image, at which recall is read.
        targets: Recall promised per class name; the report says whether the interval shows it.
    """

    iou: Annotated[float, AfterValidator(_iou)] = 0.5
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    false_alarms: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = Field(default=[0.1, 1.0])
    targets: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
