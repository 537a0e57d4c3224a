"""`balance.recall`: what people read."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from yolo_balance.config.section import Section


def _iou(value: float) -> float:
    if not 0.5 <= value <= 0.95 or not math.isclose(value * 20, round(value * 20)):
        raise ValueError("expected one of the IoU thresholds Ultralytics matches at: 0.5, 0.55, ..., 0.95")
    return value


class FloorsConfig(Section):
    """What best.pt has to meet before its recall counts (`balance.recall.floors`).

    Attributes:
        map50_95: mAP50-95 of the task, at least.
        overkill: Share of the defect-free images that are rejected at the first budget's threshold, at most.
    """

    map50_95: Annotated[float, Field(ge=0, le=1)] | None = None
    overkill: Annotated[float, Field(ge=0, le=1)] | None = None


class RecallConfig(Section):
    """What people read after every validation (`balance.recall`); reported with these defaults when left out.

    Attributes:
        iou: IoU at which a box finds an object, one of the host's ten thresholds.
        confidence: Confidence level of the intervals.
        false_alarms: Budgets, in false boxes per defect-free image, at which recall is read.
        targets: Recall promised per class name; the report says whether the interval shows it.
        best: What the epoch kept as best.pt has most of, and what early stopping waits for: `fitness`, the host's own;
            or the lower bound of recall at the first budget, of the worst class or on average over the rare ones,
            those with fewer boxes in train than the median class. The host's choice is then kept as best_fitness.pt.
        floors: What comes before that recall; with `worst_class_recall` and `rare_recall` only.
    """

    iou: Annotated[float, AfterValidator(_iou)] = 0.5
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    false_alarms: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = Field(default=[0.1, 1.0])
    targets: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    best: Literal["fitness", "worst_class_recall", "rare_recall"] = "fitness"
    floors: FloorsConfig | None = None

    @model_validator(mode="after")
    def _leaves_the_hosts_choice_alone(self) -> RecallConfig:
        if self.best == "fitness" and self.floors is not None:
            raise ValueError("floors: expected null with best: fitness, which with floors would not be stock's best.pt")
        return self
