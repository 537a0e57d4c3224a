"""Weights of all terms on the loss of one batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.magnitude import gradient_preserving


def weighted(loss: Tensor, terms: Sequence[Term], assignment: Assignment, *, least: Tensor | None = None) -> Tensor:
    """Multiply the elementwise loss by the terms' weights, one after the other, in full precision.

    Terms receive the detached *excess*, BCE(sigma, t) - BCE(t, t), already weighted by the terms before, and preserve
    its sum. The other part of the loss, the entropy of soft targets, has no gradient, and is about half of the sum: a
    term that preserved the sum of the whole loss would multiply the gradient, the more the better the model fits. At
    last all terms together are rescaled to the stock loss's gradient (`gradient_preserving`), terms with a `running`
    scale on the average of batches, the others in each batch.

    Weights of entries come first, then those of positives' own classes, then those of anchors: only the first kind
    costs passes over the whole grid each.

    Args:
        loss: (B, A, C) with gradient.
        terms: In the order in which weights are applied.
        assignment: The batch.
        least: (B, A) smallest value that each positive's loss at its own class can take, 0 where not foreground. None:
            the entropy of the soft targets, which is that of a binary cross-entropy.
    """
    with torch.autocast(loss.device.type, enabled=False):
        stock = full_precision(loss)
        rest = assignment.own_entropy if least is None else least  # without gradient, as weighted so far
        fixed = [term for term in terms if term.running is not None]
        base, rest = _weighted(stock, rest.unsqueeze(-1), fixed, assignment)
        if base is not stock:
            base = gradient_preserving(base, stock, assignment.logits_in_full(), running=fixed[0].running)
        loss, _ = _weighted(base, rest, [term for term in terms if term.running is None], assignment)
        return loss if loss is base else gradient_preserving(loss, base, assignment.logits_in_full())


def _weighted(loss: Tensor, rest: Tensor, terms: Sequence[Term], a: Assignment) -> tuple[Tensor, Tensor]:
    """Return the loss (B, A, C) and its part without gradient (B, A, 1), both times the terms' weights."""
    label = a.labels.unsqueeze(-1)
    for term in terms:
        if type(term).classification_weights is Term.classification_weights:
            continue
        excess = loss.detach()
        own_excess = (excess.gather(-1, label) - rest).clamp(min=0)
        weights = term.classification_weights(a, excess.scatter(-1, label, own_excess))
        if weights is not None:
            loss = loss * weights
            rest = rest * weights.detach().expand_as(loss).gather(-1, label)
    own = _product(term.own_weights(a) for term in terms)
    if own is not None:
        weights = torch.where(a.foreground, own.detach(), 1.0).unsqueeze(-1)
        loss, rest = _ScaledEntries.apply(loss, label, weights), rest * weights
    by_anchor = product = None
    for term in terms:
        if type(term).anchor_weights is Term.anchor_weights:
            continue
        by_anchor = (loss.detach().sum(-1) - rest.squeeze(-1)).clamp(min=0) if by_anchor is None else by_anchor
        anchors = term.anchor_weights(a, by_anchor)
        if anchors is not None:
            by_anchor = by_anchor * anchors
            product = anchors if product is None else product * anchors
    return (loss, rest) if product is None else (loss * product.unsqueeze(-1), rest * product.unsqueeze(-1))


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
