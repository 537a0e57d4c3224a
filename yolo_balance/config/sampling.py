"""`balance.sampling`: what the network sees."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from yolo_balance.config.section import Section, is_number


def _threshold(value: Any) -> Any:
    if value == "median" or (is_number(value) and 0 < value <= 1):
        return value
    raise ValueError("expected 'median' or a frequency in (0, 1]")


def _epoch_size(value: Any) -> Any:
    if value == "full" or (is_number(value) and value > 0):
        if isinstance(value, int) and value < 5:  # nobody trains on four images; nearly everybody means a multiple
            raise ValueError(f"a whole number is a count of images; write {value}.0 for {value} times the data set")
        return value
    raise ValueError("expected a positive multiple of the data set (1.0), a count of images (2000) or 'full'")


def _background(value: Any) -> Any:
    if value is None or isinstance(value, (dict, BackgroundConfig)):
        return value
    if is_number(value) and 0 <= value < 1:
        return {"share": float(value)}
    raise ValueError("expected a share of defect-free images in [0, 1), or a section with share and hard")


def _epochs(value: Any) -> Any:
    if is_number(value) and (0 < value < 1 if isinstance(value, float) else value >= 0):
        return value
    raise ValueError("expected a number of epochs (10), or a share of the run's in (0, 1)")


def epochs_of(part: int | float, epochs: int) -> int:
    """Epochs that an option such as `open` stands for in a run of so many: a count as it is, a share rounded."""
    return part if isinstance(part, int) else round(part * epochs)


class BackgroundConfig(Section):
    """Defect-free images (`balance.sampling.background`); a bare number is their share.

    Attributes:
        share: Share of defect-free images in an epoch, in [0, 1); null as in the data.
        hard: Whether clean train images on which the detector raised false alarms come more often.
        gain: How much more often: a hard image's factor is 1 + gain.
        every: Epochs between two readings of the train split's clean images; each costs their inference.
    """

    share: Annotated[float, Field(ge=0, lt=1)] | None = None
    hard: bool = False
    gain: Annotated[float, Field(gt=0)] = 3.0
    every: Annotated[int, Field(ge=1)] = 1


class FeedbackConfig(Section):
    """Factors that follow the measured recall (`balance.sampling.feedback`).

    Attributes:
        gain: Exponent of the ratio of the best class's recall to a class's own; 0 leaves the factors alone.
        smoothing: Weight of the past in the moving average of recall; 0 follows each validation.
        floor: Recall below which a class asks for no more; bounds the ratio.
    """

    gain: Annotated[float, Field(ge=0)] = 1.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.5
    floor: Annotated[float, Field(gt=0, le=1)] = 0.1


class SamplingConfig(Section):
    """Which images an epoch shows (`balance.sampling`).

    Attributes:
        strategy: The rule that turns class counts into factors, see `yolo_balance.sampling.factors`.
        frequency: What is counted as a class's frequency: its images, its boxes, or the geometric mean of both.
        threshold: Frequency below which `repeat_factor` repeats a class; `median` of the classes' frequencies.
        power: Exponent of `repeat_factor` and `inverse_frequency`: 0 repeats nothing, 0.5 is the published square root
            of repeat factors, 1 follows the inverse frequency.
        beta: `effective_number`'s: 0 repeats nothing, towards 1 the inverse count.
        aggregate: Whether an image takes the largest or the mean of its classes' factors; `class_uniform`, which draws
            a class and then an image of it, has a rule of its own.
        classes: Factor per class name in place of the strategy's.
        max_repeat: Cap on any image's factor; null for none.
        background: Share of defect-free images in an epoch, or a section; null keeps the data's share.
        epoch_size: Images per epoch: a decimal is a multiple of the data set, a whole number a count, `full` the sum
            of the factors. Less than the data set undersamples.
        draw: `systematic`, every image as often as it is wanted, rounded up or down; or `independent`, with
            replacement, as a weighted random sampler draws.
        partners: Whether Mosaic, MixUp, CutMix and CopyPaste draw their other images from the same plan.
        foreground_mosaic: Whether every Mosaic holds at least one image with an object.
        open: First epochs drawn naturally, a number of them or a decimal share of the run's.
        close: Last epochs drawn naturally, likewise.
        feedback: Factors follow the recall that validations measure; null for fixed ones.
        max_image_share: Share of a class's boxes in an epoch above which one image's part is warned of.
    """

    strategy: Literal["repeat_factor", "inverse_frequency", "effective_number", "class_uniform"] = "repeat_factor"
    frequency: Literal["image", "instance", "sqrt(image*instance)"] = "image"
    threshold: Annotated[Literal["median"] | float, BeforeValidator(_threshold)] = "median"
    power: Annotated[float, Field(ge=0)] = 0.5
    beta: Annotated[float, Field(ge=0, lt=1)] = 0.999
    aggregate: Literal["max", "mean"] = "max"
    classes: dict[str, Annotated[float, Field(gt=0)]] | None = None
    max_repeat: Annotated[float, Field(ge=1)] | None = None
    background: Annotated[BackgroundConfig | None, BeforeValidator(_background)] = None
    epoch_size: Annotated[Literal["full"] | int | float, BeforeValidator(_epoch_size)] = 1.0
    draw: Literal["systematic", "independent"] = "systematic"
    partners: bool = True
    foreground_mosaic: bool = False
    open: Annotated[int | float, BeforeValidator(_epochs)] = 0
    close: Annotated[int | float, BeforeValidator(_epochs)] = 0
    feedback: FeedbackConfig | None = None
    max_image_share: Annotated[float, Field(gt=0, le=1)] = 0.2

    def unused(self) -> list[str]:
        """Options that were given and that the strategy has no use for."""
        used = {
            "repeat_factor": {"frequency", "threshold", "power", "aggregate"},
            "inverse_frequency": {"frequency", "power", "aggregate"},
            "effective_number": {"frequency", "beta", "aggregate"},
            "class_uniform": set(),
        }
        return sorted((set().union(*used.values()) - used[self.strategy]) & self.model_fields_set)

    @model_validator(mode="after")
    def _fits(self) -> SamplingConfig:
        if self.max_repeat is not None:
            for name, factor in (self.classes or {}).items():
                if factor > self.max_repeat:
                    raise ValueError(f"classes.{name}: expected at most max_repeat {self.max_repeat:g}, got {factor:g}")
        if self.foreground_mosaic and not self.partners:
            raise ValueError(
                "foreground_mosaic: expected false with partners: false, which leaves the tiles to the host"
            )
        return self
