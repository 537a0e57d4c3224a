"""Scores of a model that is perfect, but never reports one class: why accuracy hides a rare class."""

from __future__ import annotations

from dataclasses import dataclass

from yolo_balance.analysis.split import SplitFigures


@dataclass(frozen=True)
class Blind:
    """Scores of a model that finds everything and errs nowhere, except that it never reports one class.

    Attributes:
        split: Split that the scores are for: val, or train for a class that val lacks.
        boxes_found: Recall over the boxes of all classes together.
        mean_precision: Mean over the classes present of average precision, (C - 1) / C.
        images_right: Share of images whose content the model reports rightly.
    """

    split: str
    boxes_found: float
    mean_precision: float
    images_right: float

    @classmethod
    def to(cls, name: str, split: str, figures: SplitFigures) -> Blind:
        """Score the model that never reports class `name`, which the split holds."""
        c = figures.classes[name]
        present = len(figures.classes) - len(figures.absent)
        return cls(
            split,
            round(1 - c.boxes / figures.boxes, 6),
            round(1 - 1 / present, 6),
            round(1 - c.images / figures.images, 6),
        )
