"""Number of negatives that an image reads, shared by the terms that choose negatives."""

from __future__ import annotations

import torch
from torch import Tensor

FEWEST = 32


def negatives_per_image(foreground: Tensor, ratio: float) -> Tensor:
    """Return how many negatives each image reads.

        n = max(32, round(ratio * positives of the image))

    An image without positives counts the batch's mean number of positives per image as its own: clean images would
    otherwise teach nothing. The negatives that are read carry the loss of all negatives: with fewer than 32 an image's
    gradient would be that of a few anchors, and a head with one positive per object would read three.

    Args:
        foreground: (B, A) bool, the positives.
        ratio: Negatives per positive, > 0.

    Returns:
        int64 (B, 1), at most A.
    """
    positives = foreground.sum(-1, keepdim=True).float()
    positives = torch.where(positives > 0, positives, positives.mean())
    return (ratio * positives).round().clamp(min=FEWEST).clamp(max=foreground.shape[-1]).long()
