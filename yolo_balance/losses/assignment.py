"""One batch's label assignment, as the terms see it.

Shapes: B images, A anchors per image, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor


class Term(Protocol):
    """A loss term: its part in the classification loss, in the box losses, or in both."""

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor | None:
        """Weights on the elementwise classification loss (B, A, C), None for no part in it."""
        ...

    def box_weights(self, assignment: Assignment) -> Tensor | None:
        """Weights (B, A) on the anchors' box losses, None for no part in them."""
        ...


@dataclass
class Assignment:
    """What the host's assigner answered, and the logits its classification loss was called with.

    Attributes:
        boxes: (B, A, 4) predicted boxes, xyxy in pixels, detached.
        target_boxes: (B, A, 4) boxes assigned to each anchor, xyxy in pixels; arbitrary where not foreground.
        target_labels: (B, A) int64 class assigned to each anchor; arbitrary where not foreground.
        target_scores: (B, A, C) soft targets; zero where not foreground.
        foreground: (B, A) bool, the positives.
        gt: (B, A) int64 id of the ground-truth box assigned, unique over the batch; arbitrary where not foreground.
        logits: (B, A, C) with gradient; None before the classification loss was called.
    """

    boxes: Tensor
    target_boxes: Tensor
    target_labels: Tensor
    target_scores: Tensor
    foreground: Tensor
    gt: Tensor
    logits: Tensor | None = None

    @cached_property
    def iou(self) -> Tensor:
        """(B, A) IoU of each predicted box with its assigned one, detached; 0 where not foreground."""
        return torch.where(
            self.foreground, aligned_iou(full_precision(self.boxes), full_precision(self.target_boxes)), 0.0
        ).detach()

    @property
    def scores(self) -> Tensor:
        """(B, A) predicted score of each anchor's assigned class, with gradient."""
        if self.logits is None:
            raise RuntimeError("scores are known once the classification loss has been called")
        labels = self.target_labels.long().clamp(0, self.logits.shape[-1] - 1)
        return full_precision(self.logits).gather(-1, labels.unsqueeze(-1)).squeeze(-1).sigmoid()


def full_precision(x: Tensor) -> Tensor:
    """At least float32: half types are widened, float64 is kept for those who check gradients with it."""
    return x if x.dtype == torch.float64 else x.float()


def aligned_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes in pairs: (..., 4) xyxy each -> (...); 0 for empty boxes."""
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area_a, area_b = ((x[..., 2:] - x[..., :2]).clamp(min=0).prod(-1) for x in (a, b))
    return overlap / (area_a + area_b - overlap).clamp(min=1e-9)
