"""The section `balance.sampling`: images that the network sees."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from yolo_balance.config.reading import MisfitError, key_text
from yolo_balance.config.section import COMPARED, PAPER, Section, is_number
from yolo_balance.image_keys import check_rule


def _threshold(value: object) -> object:
    if value == "median" or (is_number(value) and 0 < value <= 1):
        return value
    raise ValueError("expected 'median' or a frequency in (0, 1]")


def _epoch_size(value: object) -> object:
    if value == "full" or (is_number(value) and value > 0):
        if isinstance(value, int) and value < 5:  # almost surely a multiple, not a count of images
            raise ValueError(f"expected at least 5 for a count of images, or {value}.0 for {value} times the data set")
        return value
    raise ValueError("expected a positive multiple of the data set (1.0), a count of images (2000) or 'full'")


def _background(value: object) -> object:
    if value is None or isinstance(value, (dict, BackgroundConfig)):
        return value
    if is_number(value) and 0 <= value < 1:
        return {"share": float(value)}
    raise ValueError("expected a share of defect-free images in [0, 1), or a section with share and hard")


def _epochs(value: object) -> object:
    if is_number(value) and (0 < value < 1 if isinstance(value, float) else value >= 0):
        return value
    raise ValueError("expected a number of epochs (10), or a share of the run's in (0, 1)")


def epochs_of(part: int | float, epochs: int) -> int:
    """Return `part` as a count of epochs: a count as it is, a share of `epochs` rounded."""
    return part if isinstance(part, int) else round(part * epochs)


class BackgroundConfig(Section):
    """Defect-free images (`balance.sampling.background`); a bare number is their share."""

    share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of defect-free images in an epoch; null keeps the share of the data."""
    hard: bool = False
    """Show clean train images more often if the detector raised false alarms on them."""
    gain: Annotated[float, Field(gt=0)] = 3.0
    """Extra appearances of such a hard image: its factor is 1 + gain."""
    every: Annotated[int, Field(ge=1)] = 1
    """Epochs between two passes over the clean train images; each pass costs their inference."""


class FeedbackConfig(Section):
    """Factors that follow the measured recall (`balance.sampling.feedback`)."""

    gain: Annotated[float, Field(ge=0)] = 1.0
    """Exponent of (best class's recall / recall of the class); 0 leaves the factors alone."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Weight of the past in the moving average of recall; 0 follows each validation."""
    floor: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Lowest recall that enters the ratio; it bounds the factor of a class that is never found."""


class GroupsConfig(Section):
    """Shares of an epoch's images by source, camera or folder (`balance.sampling.groups`)."""

    by: Annotated[str, AfterValidator(check_rule)] = "folder"
    """Group of an image: folder, FILE.csv:COLUMN (a row for each image, by file name, beside the data YAML), or a
    regular expression with one group on file names."""
    shares: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default={})
    """Share of an epoch's images by group, for example {cam1: 0.5, cam2: 0.5}; groups that are left out share the rest
    as the data does. Without any share nothing is grouped."""

    @model_validator(mode="after")
    def _fits(self) -> GroupsConfig:
        if (total := math.fsum(self.shares.values())) > 1 + 1e-9:
            raise MisfitError(f"shares: expected a sum of at most 1, got {total:g}")
        return self


# Values that have short forms. The input types are for the JSON Schema.
Share = Annotated[float, Field(ge=0, lt=1)]
Threshold = Annotated[
    Literal["median"] | float,
    BeforeValidator(_threshold, json_schema_input_type=Literal["median"] | Annotated[float, Field(gt=0, le=1)]),
]
Background = Annotated[
    BackgroundConfig | None, BeforeValidator(_background, json_schema_input_type=BackgroundConfig | Share | None)
]
EpochSize = Annotated[
    Literal["full"] | int | float,
    BeforeValidator(_epoch_size, json_schema_input_type=Literal["full"] | Annotated[float, Field(gt=0)]),
]
Epochs = Annotated[int | float, BeforeValidator(_epochs, json_schema_input_type=Annotated[float, Field(ge=0)])]


class SamplingConfig(Section):
    """Images that an epoch shows (`balance.sampling`)."""

    strategy: Literal["repeat_factor", "inverse_frequency", "effective_number", "class_uniform"] = "repeat_factor"
    """Rule that turns class counts into factors: repeat_factor (Gupta et al., LVIS, 2019), inverse_frequency (which
    auto chooses), effective_number (Cui et al., 2019) or class_uniform (Shen et al., 2016)."""
    frequency: Annotated[Literal["image", "instance", "sqrt(image*instance)"], COMPARED] = "image"
    """Frequency of a class: share of the images with it, share of the boxes, or the geometric mean of both (Yaman et
    al., 2023)."""
    threshold: Annotated[Threshold, PAPER] = "median"
    """Frequency below which repeat_factor repeats a class; median is the median of the classes' frequencies."""
    power: Annotated[float, Field(ge=0)] = 0.5
    """Exponent of repeat_factor and inverse_frequency. 0 repeats nothing, 0.5 is the published square root of repeat
    factors, 1 follows the inverse frequency; 0.75 costs the common classes less than 1."""
    beta: Annotated[float, Field(ge=0, lt=1), PAPER] = 0.999
    """Parameter of effective_number. 0 repeats nothing, towards 1 the factor is the inverse count."""
    aggregate: Annotated[Literal["max", "mean"], COMPARED] = "max"
    """Factor of an image with several classes: the largest or the mean of theirs. class_uniform ignores it."""
    classes: Annotated[dict[str, Annotated[float, Field(gt=0)]] | None, COMPARED] = None
    """Factor by class name in place of the strategy's, for example {crack: 4.0}."""
    max_repeat: Annotated[float, Field(ge=1)] | None = None
    """Cap on the factor of any image; null sets no cap."""
    background: Annotated[Background, COMPARED] = None
    """Defect-free images. A number such as 0.3 is short for their share; null keeps the share of the data."""
    groups: Annotated[GroupsConfig | None, COMPARED] = None
    """Shares of an epoch's images by source, camera or folder; null keeps those that class factors give."""
    images: Annotated[Annotated[str, Field(min_length=1)] | None, COMPARED] = None
    """CSV file with the columns image and factor, beside the data YAML: factors of single images, which multiply those
    of their classes. 0 leaves an image out, an image without a row has 1."""
    epoch_size: EpochSize = 1.0
    """Images per epoch. A decimal is a multiple of the data set, a whole number a count, full the sum of the factors.
    Less than the data set undersamples."""
    draw: Annotated[Literal["systematic", "independent"], COMPARED] = "systematic"
    """Rule of the draw: systematic shows each image as often as wanted, rounded up or down; independent draws with
    replacement, as a weighted random sampler does."""
    partners: bool = True
    """Let Mosaic, MixUp, CutMix and CopyPaste take their other images from the same plan."""
    foreground_mosaic: bool = False
    """Put at least one image with an object in every Mosaic."""
    open: Annotated[Epochs, COMPARED] = 0
    """First epochs drawn as the data is: a count, or a share of the run such as 0.33."""
    close: Annotated[Epochs, COMPARED] = 0
    """Last epochs drawn as the data is: a count, or a share of the run."""
    feedback: Annotated[FeedbackConfig | None, COMPARED] = None
    """Factors that follow the recall of the last validations; null keeps them fixed."""
    max_image_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Share of a class's boxes in an epoch above which a warning names the one image that supplies them."""

    def unused(self) -> list[str]:
        """Return the stated options that the strategy ignores."""
        used = {
            "repeat_factor": {"frequency", "threshold", "power", "aggregate"},
            "inverse_frequency": {"frequency", "power", "aggregate"},
            "effective_number": {"frequency", "beta", "aggregate"},
            "class_uniform": set(),
        }
        return sorted((set().union(*used.values()) - used[self.strategy]) & self.model_fields_set)

    @model_validator(mode="after")
    def _fits(self) -> SamplingConfig:
        largest = math.inf if self.max_repeat is None else self.max_repeat
        problems = [
            f"classes.{key_text(name)}: expected at most max_repeat {largest:g}, got {factor:g}"
            for name, factor in (self.classes or {}).items()
            if factor > largest
        ]
        if self.foreground_mosaic and not self.partners:
            problems.append(
                "foreground_mosaic: expected false beside partners: false, with which Ultralytics picks the tiles"
            )
        if problems:
            raise MisfitError("\n".join(problems))
        return self
