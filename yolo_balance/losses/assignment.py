"""Label assignment of one batch, as the terms see it, and the interface of a term.

Shapes: B images, A anchors per image, C classes, G ground-truth boxes per image, padded. A box has 4 numbers, xyxy, or,
oriented, 5: centre, width, height and angle in radians.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from yolo_balance.losses.magnitude import RunningScale, entropy
from yolo_balance.losses.overlap import aligned_iou, highest_iou


class Term:
    """A loss term, with a part in the classification loss, in the box losses, or in both; by default in neither.

    Attributes:
        running: Scale over batches, of a term whose weights a scale by batch would undo; None for all others.
    """

    running: RunningScale | None = None

    def adjusted(self, logits: Tensor) -> Tensor:
        """Return the logits (B, A, C) that the classification loss is to be called with."""
        return logits

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor | None:
        """Return weights on the elementwise classification loss, given its detached excess (B, A, C); None: no part."""
        return None

    def own_weights(self, assignment: Assignment) -> Tensor | None:
        """Return detached weights (B, A) on each positive's loss at its own class; after the entries' weights."""
        return None

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor | None:
        """Return weights (B, A) on whole anchors of the classification loss, given each anchor's (B, A) excess."""
        return None

    def box_weights(self, assignment: Assignment) -> Tensor | None:
        """Return weights (B, A) on the anchors' box losses, None for no part in them."""
        return None


@dataclass
class Assignment:
    """Answer of Ultralytics' assigner, and the logits that its classification loss was called with.

    Attributes:
        boxes: (B, A, 4 or 5) predicted boxes in pixels, detached.
        target_boxes: (B, A, 4 or 5) boxes assigned to each anchor, in pixels; arbitrary where not foreground.
        target_labels: (B, A) int64 class assigned to each anchor; arbitrary where not foreground.
        target_scores: (B, A, C) soft targets; zero where not foreground.
        foreground: (B, A) bool, the positives.
        gt: (B, A) int64 id of the ground-truth box assigned, unique over the batch; arbitrary where not foreground.
        objects: (B, G, 4 or 5) ground-truth boxes in pixels.
        present: (B, G) bool, whether an entry of `objects` is an object and not padding.
        logits: (B, A, C) with gradient; None before the classification loss was called.
        equal_boxes: Whether Ultralytics weighs every positive's box loss alike, and not by its target score.
    """

    boxes: Tensor
    target_boxes: Tensor
    target_labels: Tensor
    target_scores: Tensor
    foreground: Tensor
    gt: Tensor
    objects: Tensor
    present: Tensor
    logits: Tensor | None = None
    equal_boxes: bool = False
    _sigma: tuple[Tensor | None, Tensor] | None = field(default=None, init=False, repr=False)

    @cached_property
    def iou(self) -> Tensor:
        """(B, A) IoU of each predicted box with its assigned one, detached; 0 where not foreground."""
        iou = aligned_iou(full_precision(self.boxes), full_precision(self.target_boxes))
        return torch.where(self.foreground, iou, 0.0)

    @cached_property
    def max_iou(self) -> Tensor:
        """(B, A) highest IoU of each predicted box with any object of its image, detached; 0 without objects."""
        return highest_iou(full_precision(self.boxes), full_precision(self.objects), self.present)

    @cached_property
    def labels(self) -> Tensor:
        """(B, A) int64 classes that are valid indices everywhere; arbitrary where not foreground."""
        return self.target_labels.long().clamp(0, self.target_scores.shape[-1] - 1)

    @cached_property
    def positive(self) -> Tensor:
        """(B, A, C) bool, each positive's own class."""
        classes = torch.arange(self.target_scores.shape[-1], device=self.labels.device)
        return self.foreground.unsqueeze(-1) & (self.labels.unsqueeze(-1) == classes)

    @cached_property
    def own_entropy(self) -> Tensor:
        """(B, A) entropy of each positive's soft target, the part of its loss without gradient; 0 elsewhere.

        A target above 1, which no score can reach, has none.
        """
        own = full_precision(self.target_scores).gather(-1, self.labels.unsqueeze(-1)).squeeze(-1)
        return torch.where(self.foreground, entropy(own.clamp(0, 1)), 0.0)

    @property
    def sigma(self) -> Tensor:
        """(B, A, C) sigmoid of the logits, detached; computed once per batch, because several terms need the grid."""
        logits = self.logits_in_full()
        if self._sigma is None or self._sigma[0] is not self.logits:
            self._sigma = self.logits, logits.detach().sigmoid()
        return self._sigma[1]

    @property
    def stock_box_weights(self) -> Tensor:
        """(B, A) weights of each positive's box losses in stock Ultralytics; 0 where not foreground."""
        return self.foreground.float() if self.equal_boxes else full_precision(self.target_scores).sum(-1)

    @property
    def scores(self) -> Tensor:
        """(B, A) predicted score of each anchor's assigned class, with gradient."""
        return self.logits_in_full().gather(-1, self.labels.unsqueeze(-1)).squeeze(-1).sigmoid()

    def logits_in_full(self) -> Tensor:
        """Return (B, A, C) logits in full precision, with gradient; RuntimeError before the classification loss."""
        if self.logits is None:
            raise RuntimeError("the assignment has no logits before the classification loss was called")
        return full_precision(self.logits)


def full_precision(x: Tensor) -> Tensor:
    """Convert to at least float32: half types are widened, float64 is kept for those who check gradients with it."""
    return x if x.dtype == torch.float64 else x.float()
