"""Label assignment of one batch, as the terms see it, and the interface of a term.

Shapes: B images, A anchors per image, C classes, G ground-truth boxes per image, padded. A box has 4 numbers, xyxy, or,
oriented, 5: centre, width, height and angle in radians.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from yolo_balance.losses.overlap import aligned_iou, highest_iou


class Term:
    """A loss term, with a part in the classification loss, in the box losses, or in both; by default in neither."""

    def adjusted(self, logits: Tensor) -> Tensor:
        """Return the logits (B, A, C) that the classification loss is to be called with."""
        return logits

    def classification_weights(self, assignment: Assignment, loss: Tensor) -> Tensor | None:
        """Return weights on the elementwise classification loss (B, A, C), broadcast against it; None for no part."""
        return None

    def own_weights(self, assignment: Assignment) -> Tensor | None:
        """Return detached weights (B, A) on each positive's loss at its own class; after the entries' weights."""
        return None

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor | None:
        """Return weights (B, A) on whole anchors of the classification loss, given each anchor's (B, A) loss."""
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


def preserving(weights: Tensor, loss: Tensor, mask: Tensor | None = None) -> Tensor:
    """Rescale weights to keep the sum of the weighted loss: w * sum(loss) / sum(w * loss), the ratio detached.

    Args:
        weights: Any shape that broadcasts against `loss`.
        loss: Elementwise loss, >= 0.
        mask: Entries that the weights are for, broadcast likewise; the others get weight 1. None: all.

    Returns:
        Weights in the shape of `weights`, `loss` or `mask` broadcast; plain ones where there is nothing to rescale.
    """
    loss = loss.detach() if mask is None else torch.where(mask, loss.detach(), 0.0)
    scaled = weights * ratio(loss.sum(), (weights.detach() * loss).sum())
    return scaled if mask is None else torch.where(mask, scaled, 1.0)


def ratio(total: Tensor, kept: Tensor) -> Tensor:
    """Return the scale that restores a total: total / kept, or 1 where kept is 0."""
    return torch.where(kept > 0, total / kept.clamp(min=1e-12), 1.0)


def weighted(loss: Tensor, terms: Sequence[Term], assignment: Assignment) -> Tensor:
    """Multiply the elementwise loss (B, A, C) by the terms' weights, one after the other, in full precision.

    Each term receives the loss already weighted by the terms before it, so a term that preserves the sum of its input
    preserves the sum of the whole. Weights of entries come first, then those of positives' own classes, then those of
    anchors: only the first kind costs a pass over the whole grid each.
    """
    with torch.autocast(loss.device.type, enabled=False):
        loss = full_precision(loss)
        for term in terms:
            weights = term.classification_weights(assignment, loss)
            if weights is not None:
                loss = loss * weights
        own = _product(term.own_weights(assignment) for term in terms)
        if own is not None:
            weights = torch.where(assignment.foreground, own.detach(), 1.0)
            loss = _ScaledEntries.apply(loss, assignment.labels.unsqueeze(-1), weights.unsqueeze(-1))
        by_anchor = product = None
        for term in terms:
            if type(term).anchor_weights is Term.anchor_weights:
                continue
            by_anchor = loss.detach().sum(-1) if by_anchor is None else by_anchor
            anchors = term.anchor_weights(assignment, by_anchor)
            if anchors is not None:
                by_anchor = by_anchor * anchors
                product = anchors if product is None else product * anchors
        return loss if product is None else loss * product.unsqueeze(-1)


class _ScaledEntries(torch.autograd.Function):
    """x * ones_like(x).scatter(-1, index, weights): one entry of each anchor of x (B, A, C) scaled, its gradient alike.

    Written by hand because autograd would keep that second grid until the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(index, weights)
        return x.scatter(-1, index, x.gather(-1, index) * weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Scale the gradient as `forward` scaled x."""
        index, weights = ctx.saved_tensors
        return grad.scatter(-1, index, grad.gather(-1, index) * weights), None, None


def box_weights(terms: Sequence[Term], assignment: Assignment) -> Tensor | None:
    """Multiply the terms' box weights (B, A); None if no term has a part in the box losses."""
    with torch.autocast(assignment.boxes.device.type, enabled=False):
        return _product(term.box_weights(assignment) for term in terms)


def _product(factors: Iterable[Tensor | None]) -> Tensor | None:
    """Multiply the factors that are not None; None if all are."""
    product: Tensor | None = None
    for factor in factors:
        if factor is not None:
            product = factor if product is None else product * factor
    return product
