"""`balance.losses`: what the gradient weighs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from yolo_balance.config.section import Section, is_number

Factor = Annotated[float, Field(gt=0)]


def _class_weights(value: Any) -> Any:
    if isinstance(value, str):
        return {"rule": value}
    if isinstance(value, dict) and value and all(map(is_number, value.values())):
        return {"values": value}
    return value


class ClassWeightsConfig(Section):
    """Weights on the classification loss by class (`balance.losses.class_weights`).

    A rule's name alone and a mapping of class names to weights are short for this section.

    Attributes:
        rule: How counts become weights: (largest count / count)^power, or the inverse effective number of samples.
        values: Weight by class name, in place of the rule's; classes not named take the rule's, 1 without one.
        power: `inverse_frequency`'s exponent.
        beta: `effective_number`'s: 0 weighs all alike, towards 1 the inverse count.
        on: `positives` weighs the loss of a class's own objects, `column` also that of everything that is not one.
    """

    rule: Literal["inverse_frequency", "effective_number"] | None = None
    values: dict[str, Factor] | None = None
    power: Annotated[float, Field(ge=0)] = 1.0
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.999
    on: Literal["positives", "column"] = "positives"

    @model_validator(mode="after")
    def _says_something(self) -> ClassWeightsConfig:
        if self.rule is None and not self.values:
            raise ValueError("rule: expected inverse_frequency or effective_number, or weights by class name in values")
        return self


class FocalConfig(Section):
    """Focal weights on the classification loss (`balance.losses.focal`).

    Attributes:
        form: `quality` for soft targets, Li et al., GFL (2020); `classic` from hard targets, Lin et al. (2017).
        beta: `quality`'s exponent of |target - score|; 0 is plain cross-entropy.
        gamma: `classic`'s exponent of 1 - p_t; 0 leaves alpha alone.
        alpha: `classic`'s weight of positives, 1 - alpha being that of negatives; null weighs both alike.
    """

    form: Literal["quality", "classic"] = "quality"
    beta: Annotated[float, Field(ge=0)] = 2.0
    gamma: Annotated[float, Field(ge=0)] = 2.0
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = 0.25

    @model_validator(mode="after")
    def _fits(self) -> FocalConfig:
        for key in {"quality": ("gamma", "alpha"), "classic": ("beta",)}[self.form]:
            self.refuse(key, f"form {self.form}")
        return self


class ISRNegativesConfig(Section):
    """Importance-based sample reweighting of the negatives, Cao et al. (2019) (`balance.losses.isr.negatives`).

    Attributes:
        k: Exponent of the linear importance; 0 weighs all alike.
        bias: Importance of the last-ranked sample, in [0, 1].
    """

    k: Annotated[float, Field(ge=0)] = 0.5
    bias: Annotated[float, Field(ge=0, le=1)] = 0.0


class ISRConfig(Section):
    """Importance-based sample reweighting of the positives, Cao et al. (2019) (`balance.losses.isr`).

    Attributes:
        k: Exponent of the linear importance; 0 weighs all alike.
        bias: Importance of the last-ranked sample, in [0, 1].
        negatives: The same for negatives; null leaves them alone.
    """

    k: Annotated[float, Field(ge=0)] = 0.5
    bias: Annotated[float, Field(ge=0, le=1)] = 0.0
    negatives: ISRNegativesConfig | None = None


class CARLConfig(Section):
    """Classification-aware regression loss, Cao et al. (2019) (`balance.losses.carl`).

    Attributes:
        k: Exponent of the score.
        bias: Importance at score zero, in [0, 1].
        gain: Size of the added box loss relative to the host's: each positive's box weight is 1 + gain * v, v of mean
            1. Null adds nothing: the box weight is v.
        gradient: Share of the gradient that reaches the score; null is the host's classification gain / box gain.
        published: Whether v has mean 1 over positives, as published, and not over the host's own box weights.
    """

    k: Annotated[float, Field(ge=0)] = 1.0
    bias: Annotated[float, Field(ge=0, le=1)] = 0.2
    gain: Annotated[float, Field(ge=0)] | None = 0.5
    gradient: Annotated[float, Field(ge=0, le=1)] | None = None
    published: bool = False


class NegativesConfig(Section):
    """Which negatives the classification loss reads (`balance.losses.negatives`).

    Attributes:
        rule: `ohem` takes those of the highest loss, Shrivastava et al. (2016); `iou_balanced` as many from each bin of
            overlap with an object, Pang et al., Libra R-CNN (2019).
        ratio: How many negatives per positive, image by image; an image without positives takes the batch's mean.
        bins: `iou_balanced`'s number of bins.
        draw: Whether `iou_balanced` draws its negatives at random; false weighs each by its chance of being drawn.
    """

    rule: Literal["iou_balanced", "ohem"]
    ratio: Annotated[float, Field(gt=0)] = 3.0
    bins: Annotated[int, Field(ge=1)] = 3
    draw: bool = True

    @model_validator(mode="after")
    def _fits(self) -> NegativesConfig:
        for key in ("bins", "draw") if self.rule == "ohem" else ():
            self.refuse(key, "rule ohem")
        return self


class EFLConfig(Section):
    """Equalised focal loss, Li et al. (2022) (`balance.losses.efl`).

    Attributes:
        gamma: Focusing exponent of every class.
        scale: How much is added to it for a class whose positives have no gradient beside its negatives'.
    """

    gamma: Annotated[float, Field(gt=0)] = 2.0
    scale: Annotated[float, Field(ge=0)] = 8.0


class EQLv2Config(Section):
    """Equalisation loss v2, Tan et al. (2021) (`balance.losses.eqlv2`).

    Attributes:
        alpha: How much the positives of a class gain at most: their weight is 1 + alpha at ratio zero.
        gamma: Steepness of the map from gradient ratio to weight.
        mu: Ratio at which that map is one half.
    """

    alpha: Annotated[float, Field(ge=0)] = 4.0
    gamma: Annotated[float, Field(gt=0)] = 12.0
    mu: Annotated[float, Field(ge=0, le=1)] = 0.8


class LogitAdjustmentConfig(Section):
    """Logit adjustment, Menon et al. (2021) (`balance.losses.logit_adjustment`).

    Attributes:
        tau: Multiple of a class's log frequency that its logit has to overcome in training.
    """

    tau: Annotated[float, Field(ge=0)] = 1.0


class LossesConfig(Section):
    """What the gradient weighs (`balance.losses`).

    Attributes:
        pisa: Prime Sample Attention at its published exponents and biases: `isr` with negatives and `carl`, where they
            are not given.
        class_weights: Weights by class; a rule's name, a mapping of class names to weights, or a section.
        focal: Focal weights.
        efl: Equalised focal weights.
        eqlv2: Equalisation of positive and negative gradients.
        logit_adjustment: Shifts of the logits by class frequency.
        isr: Importance-based sample reweighting.
        carl: Classification-aware regression loss.
        negatives: Which negatives are read.
        positives: `instance_balanced` gives each object the same weight, however many anchors are its own.
        heads: Which heads of an end-to-end model the terms act on.
        max_weight: Cap on the product of a class's factors, sampling's among them; what sampling asks for by itself is
            left to its `max_repeat`.
    """

    pisa: bool = False
    class_weights: Annotated[ClassWeightsConfig | None, BeforeValidator(_class_weights)] = None
    focal: FocalConfig | None = None
    efl: EFLConfig | None = None
    eqlv2: EQLv2Config | None = None
    logit_adjustment: LogitAdjustmentConfig | None = None
    isr: ISRConfig | None = None
    carl: CARLConfig | None = None
    negatives: NegativesConfig | None = None
    positives: Literal["instance_balanced"] | None = None
    heads: Literal["both", "one2many", "one2one"] = "both"
    max_weight: Annotated[float, Field(ge=1)] = 10.0

    @model_validator(mode="after")
    def _fits(self) -> LossesConfig:
        both = [("focal", "efl"), ("efl", "eqlv2")]
        reasons = ["equalised focal is a focal loss with exponents by class", "both equalise the same gradients"]
        for (one, other), reason in zip(both, reasons, strict=True):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"{other}: expected null beside {one}; {reason}")
        return self

    def resolved(self) -> LossesConfig:
        """With the preset's terms in the places of those that are not given."""
        if not self.pisa:
            return self
        isr = self.isr or ISRConfig(k=2.0, negatives=ISRNegativesConfig())
        return self.model_copy(update={"isr": isr, "carl": self.carl or CARLConfig()})
