"""The parameters of one paste: drawn by the policy, applied by the transform."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DistractorDraw:
    """Parameters of a patch of clean surface: which of those beside the object, and how it is pasted."""

    surface: int
    draw: PasteDraw


@dataclass(frozen=True)
class PasteDraw:
    """Parameters of one paste.

    Attributes:
        source: Row of the object in `Sources`.
        centre: Drawn centre as shares of the image.
        scale: Factor of the object's size.
        angle: Rotation in degrees.
        flip_x: Whether left and right are exchanged.
        flip_y: Whether top and bottom are exchanged.
        edges: Left, upper, right and lower border of its image that the object touches.
        blend: Name of the blend.
        feather: Standard deviation of the soft edge as a share of the object's side.
        contrast: Factor of the contrast.
        noise: Seed of the noise.
        distractors: Patches of clean surface that come with the paste.
    """

    source: int
    centre: tuple[float, float]
    scale: float
    angle: float
    flip_x: bool
    flip_y: bool
    edges: tuple[bool, bool, bool, bool]
    blend: str
    feather: float
    contrast: float
    noise: int
    distractors: tuple[DistractorDraw, ...] = ()
