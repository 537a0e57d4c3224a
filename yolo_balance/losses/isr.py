"""Importance-based sample reweighting, positive part (ISR-P); Cao et al., Prime Sample Attention (2019)."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, Term, full_precision
from yolo_balance.losses.magnitude import preserving
from yolo_balance.losses.ranking import iou_hlr


@torch.no_grad()
def isr_positive_weights(
    iou: Tensor,
    gt: Tensor,
    label: Tensor,
    loss: Tensor,
    *,
    k: float = 2.0,
    bias: float = 0.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Compute weights that favour prime samples.

        r  = IoU-HLR of the sample within its class, n_max = samples of the largest class
        u  = (n_max - r) / n_max
        w  = ((1 - bias) * u + bias)^k
        w' = w * sum(loss) / sum(w * loss)

    Since n_max is the largest class's count, small classes keep high u throughout: ISR-P also rebalances classes.
    k = 0 or bias = 1 gives ones.

    Args:
        iou: (N,) IoU of each sample's regressed box with its ground truth.
        gt: (N,) id of that ground truth, unique over the whole batch.
        label: (N,) its class, >= 0.
        loss: (N,) classification loss of each sample.
        k: Exponent.
        bias: Weight base of the last rank, in [0, 1].
        mask: (N,) bool, the entries that are samples; the others get weight 1. None: all are. With a mask a dense grid
            needs no selection, whose size only the device knows.

    Returns:
        (N,), at least float32, detached; sum(w' * loss) == sum(loss) over the samples.
    """
    iou, loss = full_precision(iou), full_precision(loss)
    if mask is None:
        mask = torch.ones_like(iou, dtype=torch.bool)
    if not len(iou):
        return torch.ones_like(iou)
    rank = iou_hlr(iou, torch.where(mask, gt, -1), torch.where(mask, label, -1))
    n_max = torch.where(mask, rank + 1, 1).max()
    u = ((n_max - rank).to(loss.dtype) / n_max).clamp(min=0)
    w = ((1 - bias) * u + bias).pow(k)
    return preserving(w, loss, mask)


class ISRPositive(Term):
    """ISR-P weights on the positives' classification loss, each positive's loss being the sum over its classes."""

    def __init__(self, *, k: float, bias: float):
        self.k, self.bias = k, bias

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A) weights; 1 where not foreground."""
        a = assignment
        weights = isr_positive_weights(
            a.iou.flatten(),
            a.gt.flatten(),
            a.target_labels.flatten(),
            loss.flatten(),
            k=self.k,
            bias=self.bias,
            mask=a.foreground.flatten(),
        )
        return weights.view_as(a.iou)
