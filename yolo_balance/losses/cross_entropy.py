"""Image classification's cross-entropy with class weights, focal weights and logit adjustment."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from yolo_balance.losses.assignment import full_precision
from yolo_balance.losses.focal import power
from yolo_balance.losses.magnitude import preserving


def balanced_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    class_weights: Tensor | None = None,
    gamma: float | None = None,
    offsets: Tensor | None = None,
) -> Tensor:
    """Compute the mean softmax cross-entropy of a batch, each part optional.

        z    = logits + offsets                                        Menon et al. (2021)
        ce_i = -log p_i,   p_i = softmax(z_i)[target_i]
        m_i  = (1 - p_i)^gamma * sum(ce) / sum((1 - p)^gamma * ce)     Lin et al. (2017), the ratio detached
        loss = mean(w[target_i] * m_i * ce_i)

    The mean is over samples, not over weights: with the latter a batch of one class would undo that class's weight.
    Weights whose mean over an epoch's images is 1 (`normalised`) keep the size of the loss. The modulation carries
    gradient, as in the paper. Without any part the result is Ultralytics' own loss, bit by bit.

    Args:
        logits: (B, C), at least one sample.
        target: (B,) int64 classes.
        class_weights: (C,) w, on the logits' device; None: ones.
        gamma: Focal exponent, >= 0; None or 0: no modulation.
        offsets: (C,), as from `logit_offsets`, on the logits' device; None: none.

    Returns:
        Scalar, at least float32 unless without any part.
    """
    if class_weights is None and gamma is None and offsets is None:
        return F.cross_entropy(logits, target, reduction="mean")
    logits = full_precision(logits)
    if offsets is not None:
        logits = logits + offsets
    loss = F.cross_entropy(logits, target, reduction="none")
    if gamma is not None:
        loss = loss * preserving(power(-(-loss).expm1(), gamma), loss)
    if class_weights is not None:
        loss = loss * class_weights[target]
    return loss.mean()
