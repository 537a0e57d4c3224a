"""The section `balance.losses`: weights of the gradient."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from yolo_balance.config.reading import MisfitError
from yolo_balance.config.section import COMPARED, PAPER, RECOMMENDED, Section, is_number

Factor = Annotated[float, Field(gt=0)]
S = TypeVar("S", bound=Section)
WeightRule = Literal["inverse_frequency", "effective_number"]


def _class_weights(value: object) -> object:
    """Open the short forms: the name of a rule, and weights by class name."""
    if isinstance(value, str):
        return {"rule": value}
    if not isinstance(value, dict):
        return value
    value = {"on" if key is True else key: option for key, option in value.items()}  # YAML 1.1 reads `on` as true
    if value and all(map(is_number, value.values())) and not set(value) <= {"power", "beta"}:
        return {"values": value}
    return value if value.get("rule") or value.get("values") else {**value, "rule": "inverse_frequency"}


class ClassWeightsConfig(Section):
    """Weights on the classification loss by class (`balance.losses.class_weights`)."""

    rule: WeightRule | None = None
    """Rule that turns counts into weights: (largest count / count)^power, or the inverse effective number of samples
    (Cui et al., 2019). Null is inverse_frequency, or 1 for classes that values does not name."""
    values: dict[str, Factor] | None = None
    """Weight by class name in place of the rule's, for example {crack: 3.0}."""
    power: Annotated[float, Field(ge=0)] = 1.0
    """Exponent of inverse_frequency."""
    beta: Annotated[float, Field(ge=0, lt=1), PAPER] = 0.999
    """Parameter of effective_number. 0 weighs all alike, towards 1 the weight is the inverse count."""
    on: Literal["positives", "column"] = "positives"
    """Entries that are weighted: positives are a class's own objects; column adds everything that is not the class, as
    Ultralytics' cls_pw does."""


class FocalConfig(Section):
    """Focal weights on the classification loss (`balance.losses.focal`)."""

    form: Literal["quality", "classic"] = "quality"
    """Form: quality for soft targets (Li et al., GFL, 2020), classic for hard ones (Lin et al., 2017)."""
    beta: Annotated[float, Field(ge=0)] = 2.0
    """Exponent of |target - score| in quality; 0 is plain cross-entropy."""
    gamma: Annotated[float, Field(ge=0)] = 2.0
    """Exponent of 1 - p_t in classic; 0 leaves alpha alone."""
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = 0.25
    """Weight of positives in classic, 1 - alpha that of negatives; null weighs both alike."""

    @model_validator(mode="after")
    def _fits(self) -> FocalConfig:
        self.refuse({"quality": ("gamma", "alpha"), "classic": ("beta",)}[self.form], f"form: {self.form}")
        return self


class ISRNegativesConfig(Section):
    """Importance-based sample reweighting of the negatives, Cao et al. (2019) (`balance.losses.isr.negatives`)."""

    k: Annotated[float, Field(ge=0)] = 0.5
    """Exponent of the linear importance; 0 weighs all alike."""
    bias: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Importance of the last-ranked sample."""
    min_score: Annotated[float, Field(ge=0, lt=1), PAPER] = 0.05
    """Score above which a negative is ranked; all others have the importance of their image's last rank."""
    clusters: Annotated[Literal["any_class", "by_class"], PAPER] = "any_class"
    """Candidates that suppress each other: of any class as published, or only of the same class."""


class ISRConfig(Section):
    """Importance-based sample reweighting of the positives, Cao et al. (2019) (`balance.losses.isr`)."""

    k: Annotated[float, Field(ge=0)] = 0.5
    """Exponent of the linear importance; 0 weighs all alike, the paper has 2."""
    bias: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Importance of the last-ranked sample."""
    negatives: Annotated[ISRNegativesConfig | None, COMPARED] = None
    """ISR-N: negatives that are likely false alarms count more; null leaves negatives alone."""


class CARLConfig(Section):
    """Classification-aware regression loss, Cao et al. (2019) (`balance.losses.carl`)."""

    k: Annotated[float, Field(ge=0)] = 1.0
    """Exponent of the score."""
    bias: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Importance at score zero."""
    gain: Annotated[float, Field(ge=0)] | None = 0.5
    """Size of the added box loss relative to Ultralytics' own: the box weight of a positive is 1 + gain * v, and v has
    mean 1. Null adds nothing: the box weight is v."""
    gradient: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the gradient that reaches the score; null is Ultralytics' gains cls / box."""
    published: bool = False
    """Normalise v to mean 1 over positives, as published; false takes the mean over Ultralytics' box weights."""


class NegativesConfig(Section):
    """Negatives that the classification loss reads (`balance.losses.negatives`)."""

    rule: Literal["iou_balanced", "ohem"] = "ohem"
    """Rule of the choice: ohem takes the negatives of the highest loss (Shrivastava et al., 2016); iou_balanced takes
    as many from each bin of overlap with an object (Pang et al., Libra R-CNN, 2019)."""
    ratio: Annotated[float, Field(gt=0)] = 3.0
    """Negatives per positive, image by image; an image without positives takes the batch's mean."""
    bins: Annotated[int, Field(ge=1)] = 3
    """Number of overlap bins in iou_balanced."""
    draw: bool = True
    """Draw the negatives of iou_balanced at random; false weighs each by its chance of being drawn."""

    @model_validator(mode="after")
    def _fits(self) -> NegativesConfig:
        self.refuse(("bins", "draw") if self.rule == "ohem" else (), "rule: ohem")
        return self


class EFLConfig(Section):
    """Equalised focal loss, Li et al. (2022) (`balance.losses.efl`)."""

    gamma: Annotated[float, Field(gt=0)] = 2.0
    """Focusing exponent of every class."""
    scale: Annotated[float, Field(ge=0)] = 8.0
    """Largest addition to that exponent, for a class whose positives have no gradient beside its negatives'."""


class EQLv2Config(Section):
    """Equalisation loss v2, Tan et al. (2021) (`balance.losses.eqlv2`)."""

    alpha: Annotated[float, Field(ge=0)] = 4.0
    """Largest gain of a class's positives: their weight is 1 + alpha at gradient ratio zero."""
    gamma: Annotated[float, Field(gt=0)] = 12.0
    """Steepness of the map from gradient ratio to weight."""
    mu: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Gradient ratio at which that map is one half."""


class LogitAdjustmentConfig(Section):
    """Logit adjustment, Menon et al. (2021) (`balance.losses.logit_adjustment`)."""

    tau: Annotated[float, Field(ge=0)] = 1.0
    """Multiple of a class's log frequency that its logit has to overcome in training."""


class LossesConfig(Section):
    """Weights of the gradient (`balance.losses`). A term that is left out is off."""

    pisa: Annotated[Literal["published"] | bool, PAPER] = False
    """Prime Sample Attention (Cao et al., 2019). published is the dense head's published form: isr with k 2.0 and no
    negatives, carl added at weight 1 with the plain mean and the whole gradient. true is a preset for task-aligned
    heads: isr with k 2.0 and negatives, carl with gain 0.5, the weighted mean and a share of the gradient. A key of isr
    or carl that the file states keeps its value."""
    class_weights: Annotated[
        ClassWeightsConfig | None,
        BeforeValidator(
            _class_weights, json_schema_input_type=ClassWeightsConfig | WeightRule | dict[str, Factor] | None
        ),
    ] = None
    """Weights by class. The name of a rule, or weights by class name such as {crack: 3.0}, are short forms."""
    focal: Annotated[FocalConfig | None, PAPER] = None
    """Focal weights: entries that are scored wrongly count more. The size of the gradient stays."""
    efl: Annotated[EFLConfig | None, PAPER] = None
    """Equalised focal loss (Li et al., 2022): focal exponents by class. Excludes focal and eqlv2."""
    eqlv2: Annotated[EQLv2Config | None, PAPER] = None
    """Equalisation loss v2 (Tan et al., 2021): positives of a class with little gradient count more, its negatives
    less."""
    logit_adjustment: Annotated[LogitAdjustmentConfig | None, PAPER] = None
    """Logit adjustment (Menon et al., 2021): shifts of the logits by log class frequency in training."""
    isr: Annotated[ISRConfig | None, PAPER] = None
    """ISR-P (Cao et al., 2019): positives of high IoU count more."""
    carl: Annotated[CARLConfig | None, PAPER] = None
    """CARL (Cao et al., 2019): box losses grow with the score, and their gradient teaches the score good boxes."""
    negatives: Annotated[NegativesConfig | None, PAPER] = None
    """Negatives that the classification loss reads; null reads all."""
    positives: Annotated[Literal["instance_balanced"] | None, PAPER] = None
    """Weights of positives: instance_balanced gives each object the same weight, however many anchors it has (Pang et
    al., Libra R-CNN, 2019)."""
    heads: Literal["both", "one2many", "one2one"] = "both"
    """Heads of an end-to-end model on which the terms act."""
    max_weight: Annotated[float, Field(ge=1), RECOMMENDED] = 10.0
    """Cap on the product of a class's factors, those of sampling among them. The cap lowers the loss weights
    only; sampling has max_repeat."""

    @model_validator(mode="after")
    def _fits(self) -> LossesConfig:
        excluded = {
            ("focal", "efl"): "equalised focal is a focal loss with exponents by class",
            ("efl", "eqlv2"): "both equalise the same gradients",
        }
        problems = [
            f"{other}: expected null beside {one}; {reason}"
            for (one, other), reason in excluded.items()
            if getattr(self, one) is not None and getattr(self, other) is not None
        ]
        if problems:
            raise MisfitError("\n".join(problems))
        return self

    def resolved(self) -> LossesConfig:
        """Return the section with `pisa` written out: keys of its terms stand where the file states none."""
        if not self.pisa:
            return self
        if self.pisa == "published":
            isr = ISRConfig(k=2.0)
            carl = CARLConfig(gain=1.0, gradient=1.0, published=True)
        else:
            isr = ISRConfig(k=2.0, negatives=ISRNegativesConfig())
            carl = CARLConfig()
        return self.model_copy(update={"isr": _filled(self.isr, isr), "carl": _filled(self.carl, carl)})


def _filled(stated: S | None, preset: S) -> S:
    """Return the preset with the keys that the file states."""
    keys = () if stated is None else stated.model_fields_set
    return preset.model_copy(update={key: getattr(stated, key) for key in keys})
