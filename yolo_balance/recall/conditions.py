"""Conditions of a validation: the weights, and what else decides which boxes a model reports on an image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from yolo_balance.config.section import Section
from yolo_balance.ranges import Count, Digest, Share


class Conditions(Section):
    """Conditions that thresholds were measured under; None where a file does not say.

    Attributes:
        weights: Name of the model's file.
        weights_sha256: SHA-256 of that file, which tells it whatever its name.
        imgsz: Longer side in pixels that images were scaled to.
        rect: Whether an image was padded to its own shape, and not to a square.
        nms_iou: Overlap from which on non-maximum suppression dropped the less confident box.
        agnostic_nms: Whether boxes of different classes suppressed each other.
        max_det: Most boxes of an image.
        end2end: Whether boxes came from a head that needs no suppression.
        augment: Whether each image was looked at in several scales.
        only_classes: Ids of the classes that were read, where `classes=` left the others out.
    """

    weights: str | None = None
    weights_sha256: Digest | None = None
    imgsz: Annotated[int, Field(ge=1)] | None = None
    rect: bool | None = None
    nms_iou: Share | None = None
    agnostic_nms: bool | None = None
    max_det: Annotated[int, Field(ge=1)] | None = None
    end2end: bool | None = None
    augment: bool | None = None
    only_classes: list[Count] | None = None
