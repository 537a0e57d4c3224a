"""The section `balance.recall`: figures that people read."""

from __future__ import annotations

import logging
import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from yolo_balance.config.reading import MisfitError, key_text, shown
from yolo_balance.config.section import COMPARED, PAPER, Section, is_number

Cost = Annotated[float, Field(ge=0)]


LEVEL, OLD_LEVEL = "level", "confidence"
IOUS = [round(0.5 + 0.05 * i, 2) for i in range(10)]


def _iou(value: float) -> float:
    if not any(math.isclose(value, iou) for iou in IOUS):
        raise ValueError("expected one of the IoU thresholds Ultralytics matches at: 0.5, 0.55, ..., 0.95")
    return value


def _level(value: object) -> object:
    if is_number(value) and 0.5 <= value < 1:
        return value
    low = is_number(value) and 0 < value < 0.5  # a level nobody reads, but a usual confidence threshold
    raise ValueError(f"expected a level from 0.5 to below 1{' (did you mean the conf of Ultralytics?)' if low else ''}")


def _escape(value: object) -> object:
    problems = []
    for name, cost in value.items() if isinstance(value, dict) else ():
        if not isinstance(name, str):
            problems.append(
                f"{shown(name)}: expected a class name, in quotes where YAML reads it otherwise, got {shown(name)}"
            )
        elif not is_number(cost) or cost < 0:
            problems.append(f"{key_text(name)}: expected a cost of at least 0, got {shown(cost)}")
    if problems:
        raise MisfitError("\n".join(problems))
    if isinstance(value, dict) or (is_number(value) and value >= 0):
        return value
    raise ValueError("expected a cost of at least 0, or costs by class name")


class CostsConfig(Section):
    """Costs of a wrong decision on an image (`balance.recall.costs`), all in one unit."""

    escape: Annotated[
        float | dict[str, float], BeforeValidator(_escape, json_schema_input_type=Cost | dict[str, Cost])
    ] = Field(default={})
    """Cost of passing a defective image: one number, or costs by class name such as {crack: 1000}. A class that is left
    out costs as much as one overkill."""
    overkill: Annotated[float, Field(gt=0)] = 1.0
    """Cost of rejecting a clean image."""
    defect_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of defective images on the line; null takes the share of the split."""


class FloorsConfig(Section):
    """Figures that best.pt has to reach before its recall counts (`balance.recall.floors`)."""

    map50_95: Annotated[float, Field(ge=0, le=1)] | None = None
    """Lowest mAP50-95 of the task."""
    overkill: Annotated[float, Field(ge=0, le=1)] | None = None
    """Largest share of defect-free images that are rejected at the threshold of the first budget."""


class CalibrationConfig(Section):
    """Class scores shifted after training so that one threshold treats classes alike (`balance.recall.calibration`)."""

    rule: Literal["fitted", "logit_adjustment"] = "fitted"
    """Rule of the shifts: fitted makes equal confidences hits equally often on val (after Platt, 1999);
    logit_adjustment shifts by log class frequency in train (Menon et al., 2021, the post-hoc form)."""
    strength: Annotated[float, Field(gt=0)] = 1.0
    """Standard deviation of the classes' effects in fitted, in logits; towards 0 nothing is shifted."""
    tau: Annotated[float, Field(ge=0), PAPER] = 1.0
    """Multiple of a class's log frequency in logit_adjustment."""

    @model_validator(mode="after")
    def _fits(self) -> CalibrationConfig:
        ignored = {"fitted": "tau", "logit_adjustment": "strength"}[self.rule]
        self.refuse((ignored,), f"rule: {self.rule}")
        return self


class RecallConfig(Section):
    """Figures read after every validation (`balance.recall`); the report uses the defaults of what is left out."""

    iou: Annotated[float, AfterValidator(_iou), Field(json_schema_extra={"enum": [*IOUS]})] = 0.5
    """IoU from which a box finds an object, one of Ultralytics' ten thresholds."""
    level: Annotated[float, BeforeValidator(_level, json_schema_input_type=Annotated[float, Field(ge=0.5, lt=1)])] = (
        0.95
    )
    """Confidence level of the intervals."""
    false_alarms: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = Field(default=[0.1, 1.0])
    """Budgets at which recall is read, in false boxes per defect-free image."""
    targets: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    """Recall promised by class name, for example {crack: 0.95}; the report says whether the interval shows it."""
    unlabelled: Literal["clean", "refuse"] = "clean"
    """Images without a label file: clean counts them as defect-free and names their number; refuse stops before
    anything is read and names the first."""
    costs: CostsConfig | None = None
    """Costs of wrong decisions; the report then names the cheapest threshold."""
    baseline: Annotated[str, Field(min_length=1)] | None = None
    """Folder or recall.json of the run that recall.html compares this run with."""
    best: Annotated[Literal["fitness", "worst_class_recall", "rare_recall"], COMPARED] = "fitness"
    """Figure that keeps best.pt and that early stopping waits for: Ultralytics' fitness, or the lower bound of recall
    at the first budget, of the worst class or on average over the rare ones (fewer train boxes than the median class).
    Ultralytics' choice is then kept as best_fitness.pt."""
    floors: Annotated[FloorsConfig | None, COMPARED] = None
    """Figures that come before recall in worst_class_recall and rare_recall; null for none."""
    calibration: Annotated[CalibrationConfig | None, COMPARED] = None
    """Shifts of the class scores that are folded into best.pt after training; null leaves it as trained."""

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, section: object) -> object:
        """Take the old name of `level`, with a line that names the new one."""
        if not isinstance(section, dict) or OLD_LEVEL not in section:
            return section
        if LEVEL in section:
            raise MisfitError(f"{LEVEL}: expected one of {LEVEL} and its old name {OLD_LEVEL}, got both")
        logging.getLogger(__name__).warning(
            f"balance.recall.{OLD_LEVEL}: the key is now balance.recall.{LEVEL}, and the old name still works"
        )
        return {LEVEL if key == OLD_LEVEL else key: value for key, value in section.items()}

    @model_validator(mode="after")
    def _fits(self) -> RecallConfig:
        if self.best == "fitness" and self.floors not in (None, FloorsConfig()):
            raise MisfitError("floors: expected null beside best: fitness, which keeps the best.pt of Ultralytics")
        return self
