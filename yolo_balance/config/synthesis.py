"""Options of `balance.synthesis`: objects of rare classes in new places."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from yolo_balance.config.reading import MisfitError
from yolo_balance.config.sampling import Epochs
from yolo_balance.config.section import Section

RARE = "rare"


def _classes(value: object) -> object:
    if value == RARE or (isinstance(value, list) and value and all(isinstance(name, str) for name in value)):
        return value
    raise ValueError("expected 'rare' or a list of class names")


Classes = Annotated[
    Literal["rare"] | list[str],
    BeforeValidator(_classes, json_schema_input_type=Literal["rare"] | list[str]),
]
Share = Annotated[float, Field(ge=0, lt=1)]


class PasteConfig(Section):
    """Objects cut out of train images and pasted into others while training (`balance.synthesis.paste`)."""

    p: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Largest share of the images of an epoch that are pasted on."""
    max_objects: Annotated[int, Field(ge=1)] = 2
    """Most objects pasted into one image."""
    classes: Classes = "rare"
    """Classes that are pasted: a list of names, or rare: those below the median count of objects and those of fewer
    than 30, but none of 100 or more."""
    blend: Literal["mixed", "feather", "poisson", "residual"] = "mixed"
    """Way in which an object meets the image: a soft edge (feather), its gradients (poisson; Perez et al., 2003) or its
    difference from its own surface (residual). mixed draws one of them for each paste (Dwibedi et al., 2017)."""
    distractors: Annotated[int, Field(ge=0)] = 1
    """Unlabelled patches of clean surface that are pasted with each object, so that an edge does not mean a defect."""
    context: Literal["similar", "same_group", "any"] = "similar"
    """Images that an object is pasted into: the fifth whose surface is most like that around the object (similar),
    those of its unit in recall.units, else of its folder or, in one folder, of the same first word of the file name
    (same_group), or any. With similar and same_group a place that looks alike is searched in the image, too."""
    share: Share = 0.5
    """Largest share of a class's boxes that are pasted."""
    close: Epochs = 0.15
    """Last epochs without pastes: a count, or a share of the run."""
    keep_out: list[str] | None = None
    """Classes whose boxes nothing may be pasted on, for example [screw]; of others up to 5 % may be covered."""
    onto_background: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Largest share of the clean images that are pasted on in an epoch; the others stay clean."""


class SynthesisConfig(Section):
    """Training objects made from those there are (`balance.synthesis`)."""

    paste: PasteConfig | None = None
    """Objects of rare classes pasted into train images; null pastes none. The defaults are those of {}."""
    folder: Annotated[str, Field(min_length=1)] | None = None
    """Folder of images and labels made elsewhere, by a simulator or a generative model. Each takes the place of a clean
    train image, so that pastes and made images together are at most paste.share of a class's boxes."""

    @model_validator(mode="before")
    @classmethod
    def _opened(cls, section: object) -> object:
        return {"paste": {}} if section == {} else section

    @model_validator(mode="after")
    def _fits(self) -> SynthesisConfig:
        if self.paste is not None and isinstance(self.paste.classes, list):
            both = [name for name in self.paste.classes if name in (self.paste.keep_out or ())]
            if both:
                raise MisfitError(f"paste.keep_out: expected other classes than those to paste, got {', '.join(both)}")
        return self
