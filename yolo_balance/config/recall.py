"""`balance.recall`: what people read."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from yolo_balance.config.reading import shown
from yolo_balance.config.section import Section, is_number


def _iou(value: float) -> float:
    if not 0.5 <= value <= 0.95 or not math.isclose(value * 20, round(value * 20)):
        raise ValueError("expected one of the IoU thresholds Ultralytics matches at: 0.5, 0.55, ..., 0.95")
    return value


def _escape(value: Any) -> Any:
    for name, cost in value.items() if isinstance(value, dict) else ():
        if not isinstance(name, str):
            raise ValueError(f"{name}: expected a class name, in quotes where YAML reads it otherwise, got {name}")
        if not is_number(cost) or cost < 0:
            raise ValueError(f"{name}: expected a cost of at least 0, got {shown(cost)}")
    if isinstance(value, dict) or (is_number(value) and value >= 0):
        return value
    raise ValueError("expected a cost of at least 0, or costs by class name")


class CostsConfig(Section):
    """What a wrong decision on an image costs (`balance.recall.costs`), in any one unit.

    Attributes:
        escape: Cost of passing a defective image, one for all classes or by class name; a class left out costs as much
            as one overkill.
        overkill: Cost of rejecting a clean image.
        defect_rate: Share of defective images on the line, in (0, 1); null as in the split.
    """

    escape: Annotated[float | dict[str, float], BeforeValidator(_escape)]
    overkill: Annotated[float, Field(gt=0)] = 1.0
    defect_rate: Annotated[float, Field(gt=0, lt=1)] | None = None


class FloorsConfig(Section):
    """What best.pt has to meet before its recall counts (`balance.recall.floors`).

    Attributes:
        map50_95: mAP50-95 of the task, at least.
        overkill: Share of the defect-free images that are rejected at the first budget's threshold, at most.
    """

    map50_95: Annotated[float, Field(ge=0, le=1)] | None = None
    overkill: Annotated[float, Field(ge=0, le=1)] | None = None


class CalibrationConfig(Section):
    """Class scores adjusted after training (`balance.recall.calibration`), so that one confidence treats classes alike.

    Attributes:
        rule: `fitted` shifts each class's logit so that equal confidences are hits equally often on the validation
            images; `logit_adjustment` by its log frequency in train, Menon et al. (2021), the post-hoc form.
        strength: `fitted`'s standard deviation of the classes' effects, in logits; towards 0 nothing is shifted.
        tau: `logit_adjustment`'s multiple of a class's log frequency.
    """

    rule: Literal["fitted", "logit_adjustment"]
    strength: Annotated[float, Field(gt=0)] = 1.0
    tau: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _fits(self) -> CalibrationConfig:
        self.refuse({"fitted": "tau", "logit_adjustment": "strength"}[self.rule], f"rule {self.rule}")
        return self


class RecallConfig(Section):
    """What people read after every validation (`balance.recall`); reported with these defaults when left out.

    Attributes:
        iou: IoU at which a box finds an object, one of the host's ten thresholds.
        confidence: Confidence level of the intervals.
        false_alarms: Budgets, in false boxes per defect-free image, at which recall is read.
        targets: Recall promised per class name; the report says whether the interval shows it.
        costs: Costs that the cheapest threshold is found by; null for none.
        baseline: Folder or recall.json of the run that `recall.html` compares with; null for none.
        best: What the epoch kept as best.pt has most of, and what early stopping waits for: `fitness`, the host's own;
            or the lower bound of recall at the first budget, of the worst class or on average over the rare ones,
            those with fewer boxes in train than the median class. The host's choice is then kept as best_fitness.pt.
        floors: What comes before that recall; with `worst_class_recall` and `rare_recall` only.
        calibration: Shifts of the class scores that are folded into best.pt after training; null leaves it as trained.
    """

    iou: Annotated[float, AfterValidator(_iou)] = 0.5
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    false_alarms: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = Field(default=[0.1, 1.0])
    targets: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None
    costs: CostsConfig | None = None
    baseline: Annotated[str, Field(min_length=1)] | None = None
    best: Literal["fitness", "worst_class_recall", "rare_recall"] = "fitness"
    floors: FloorsConfig | None = None
    calibration: CalibrationConfig | None = None

    @model_validator(mode="after")
    def _leaves_the_hosts_choice_alone(self) -> RecallConfig:
        if self.best == "fitness" and self.floors is not None:
            raise ValueError("floors: expected null with best: fitness, which with floors would not be stock's best.pt")
        return self
