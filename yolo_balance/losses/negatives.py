"""What the terms that weigh negatives share: how many an image reads, and how their loss keeps its size."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import full_precision, preserving


def negatives_per_image(foreground: Tensor, ratio: float) -> Tensor:
    """How many negatives each image reads.

        n = max(1, round(ratio * positives of the image))

    An image without positives counts the batch's mean number of positives per image as its own: clean images would
    otherwise teach nothing.

    Args:
        foreground: (B, A) bool, the positives.
        ratio: Negatives per positive, > 0.

    Returns:
        int64 (B, 1), at most A.
    """
    positives = foreground.sum(-1, keepdim=True).float()
    positives = torch.where(positives > 0, positives, positives.mean())
    return (ratio * positives).round().clamp(1, foreground.shape[-1]).long()


def anchor_loss(loss: Tensor) -> Tensor:
    """(B, A) loss of each anchor, the sum over its classes, of an elementwise loss (B, A, C); detached."""
    return full_precision(loss.detach()).sum(-1)


def negative_weights(weights: Tensor, loss: Tensor, foreground: Tensor) -> Tensor:
    """Weights on the negatives, w * sum(loss) / sum(w * loss) over all negatives of the batch; 1 for positives.

    Args:
        weights: (B, A), detached.
        loss: (B, A) loss of each anchor.
        foreground: (B, A) bool, the positives.

    Returns:
        (B, A, 1), to be broadcast over classes.
    """
    return preserving(weights, loss, ~foreground).unsqueeze(-1)
