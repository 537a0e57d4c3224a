"""Shared by the tests of the loss terms: a batch's assignment, and overlap computed slowly."""

from __future__ import annotations

import math
from dataclasses import fields

import torch

from yolo_balance.losses.assignment import Assignment


def assignment(images=2, anchors=50, classes=3, *, seed=0, dtype=torch.float32, foreground=0.3):
    """A batch's assignment with logits that carry gradient."""
    g = torch.Generator().manual_seed(seed)
    mask = torch.rand(images, anchors, generator=g) < foreground
    gt = torch.randint(4, (images, anchors), generator=g)
    labels = (gt + torch.arange(images)[:, None]) % classes
    centre = 10 + 50 * torch.rand(images, 4, 2, generator=g)
    own = centre.gather(1, gt.unsqueeze(-1).expand(-1, -1, 2))
    target = torch.cat([own - 10, own + 10], -1)
    scores = torch.nn.functional.one_hot(labels, classes) * torch.rand(images, anchors, 1, generator=g)
    return Assignment(
        boxes=target + 6 * torch.randn(images, anchors, 4, generator=g),
        target_boxes=target,
        target_labels=labels,
        target_scores=scores * mask.unsqueeze(-1),
        foreground=mask,
        gt=gt + 4 * torch.arange(images)[:, None],
        objects=torch.cat([centre - 10, centre + 10], -1),
        present=torch.ones(images, 4, dtype=torch.bool),
        logits=torch.randn(images, anchors, classes, generator=g).to(dtype).requires_grad_(),
    )


def tensors(a):
    """An assignment's tensors by field."""
    return {f.name: getattr(a, f.name) for f in fields(a) if isinstance(getattr(a, f.name), torch.Tensor)}


def weights_of(term, a, loss):
    """A term's weights on the elementwise loss, of whichever kind they are, None for no part in it."""
    weights = term.classification_weights(a, loss)
    own = term.own_weights(a)
    if own is not None:
        weights = torch.where(a.positive, own.unsqueeze(-1), 1.0) * (1 if weights is None else weights)
    by_anchor = term.anchor_weights(a, loss.detach().sum(-1))
    return weights if by_anchor is None else by_anchor.unsqueeze(-1)


def cross_entropy(a):
    return torch.nn.functional.binary_cross_entropy_with_logits(a.logits.float(), a.target_scores, reduction="none")


def without_positives(a, *images):
    """The assignment with these images clean."""
    for image in images:
        a.foreground[image] = False
        a.target_scores[image] = 0
    return a


def slow_iou(a, b):
    """IoU of two upright boxes given as numbers."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum(max(x[2] - x[0], 0) * max(x[3] - x[1], 0) for x in (a, b)) - width * height
    return width * height / union if union > 0 else 0.0


def oriented(*shape, seed=0, spread=50.0):
    g = torch.Generator().manual_seed(seed)
    return torch.cat(
        [
            spread * torch.rand(*shape, 2, generator=g),
            2 + 40 * torch.rand(*shape, 2, generator=g),
            math.pi * (torch.rand(*shape, 1, generator=g) - 0.25),
        ],
        -1,
    )
