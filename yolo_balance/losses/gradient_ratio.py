"""Gradient that each class has from its positives, beside that from everything else.

What the equalisation losses steer by; Tan et al. (2021), Li et al. (2022).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from yolo_balance.losses.assignment import Assignment, full_precision

DECAY = 0.99
"""Weight of a batch's gradients beside the next one's: the last 100 batches count."""


def trained_on(logits: Tensor) -> bool:
    """Return whether a backward pass follows on these logits.

    Validation runs on one rank alone: there a class's gradients must neither count nor wait for the other ranks.
    """
    return torch.is_grad_enabled() and logits.requires_grad


class GradientRatio:
    """Gradients with respect to the logits, by class, over the last batches of a run.

        pos_c = moving average of the sum of |gradient| over the positives of class c
        neg_c = moving average of the sum of |gradient| over all other entries of column c
        g_c   = (pos_c / neg_c) / max over classes of (pos / neg)

    The papers sum over the whole run and take pos_c / neg_c itself, for 1,203 classes with hard targets. On a
    task-aligned head with few classes that ratio is 1 or more for every class within some 20 batches and stays there:
    a head that fits has as much gradient from negatives as its soft targets leave to positives, however rare the class.
    Beside the class with the highest ratio a rare class is seen to have less, and an average that forgets lets a class
    that catches up leave its weights behind.

    Sums are over all ranks, the same on each. State of a run, to be saved beside the weights and restored on resuming.

    Attributes:
        sums: (2, C) pos and neg, each batch with DECAY times the weight of the next.
    """

    def __init__(self, num_classes: int):
        self.sums = torch.zeros(2, num_classes)

    @torch.no_grad()
    def update(self, assignment: Assignment, positive: Tensor | float = 1.0, negative: Tensor | float = 1.0) -> None:
        """Add a batch's gradients of the binary cross-entropy, |sigmoid(logit) - target|, times weights.

        Args:
            assignment: The batch; an entry that is no positive's own class has target 0.
            positive: (C,) weights on positives at their own class.
            negative: (C,) weights on all other entries of a column.
        """
        a, label = assignment, assignment.labels.unsqueeze(-1)
        own, target = (x.gather(-1, label).squeeze(-1) for x in (a.sigma, full_precision(a.target_scores)))
        own, gap = (torch.where(a.foreground, x, 0.0) for x in (own, (own - target).abs()))
        positives, not_negatives = (
            a.sigma.new_zeros(a.sigma.shape[-1]).index_add(0, label.flatten(), x.flatten()) for x in (gap, own)
        )
        self._count(positives * positive, (a.sigma.sum((0, 1)) - not_negatives).clamp(min=0) * negative)

    @torch.no_grad()
    def add(self, gradient: Tensor, positive: Tensor) -> None:
        """Add a batch's gradients |dL / dlogit| (B, A, C), positives at `positive` (B, A, C); over all ranks."""
        dims = tuple(range(gradient.ndim - 1))
        own, total = torch.where(positive, gradient, 0.0).sum(dims), gradient.sum(dims)
        self._count(own, (total - own).clamp(min=0))

    def _count(self, positive: Tensor, negative: Tensor) -> None:
        batch = torch.stack([positive, negative]).to(self.sums.dtype)
        # a forward pass that overflows is a step that the gradient scaler skips; in the sums it would stay for good
        batch = batch.nan_to_num(nan=0.0, posinf=0.0)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(batch)
        self._move(batch.device)
        self.sums = DECAY * self.sums + batch

    def ratio(self, device: torch.device | None = None) -> Tensor:
        """Return g_c, (C,), in [0, 1], detached; 1 for a class without any gradient yet, and where no class has one.

        Args:
            device: Where the sums are to live from now on; None leaves them where they are.
        """
        if device is not None:
            self._move(device)
        positive, negative = self.sums
        ratio = positive / negative.clamp(min=torch.finfo(negative.dtype).tiny)
        best = torch.where(negative > 0, ratio, 0.0).max()  # positives alone are no ratio to compare with
        seen = (self.sums.sum(0) > 0) & (best > 0)
        return torch.where(seen, ratio / best, 1.0).nan_to_num(nan=1.0).clamp(max=1)

    def _move(self, device: torch.device) -> None:
        if self.sums.device != device:
            with torch.inference_mode(False):  # moved by a validation, they must still take training's gradients
                self.sums = self.sums.to(device)

    def state(self) -> dict[str, list[float]]:
        """Return the sums as plain lists by name, for JSON. Waits for the device."""
        positive, negative = self.sums.tolist()
        return {"positive": positive, "negative": negative}

    def restore(self, state: Mapping[str, Sequence[float]]) -> None:
        """Restore the sums that `state` returned.

        Raises:
            ValueError: The state has another number of classes.
        """
        sums = torch.tensor([list(state[name]) for name in ("positive", "negative")])
        if sums.shape != self.sums.shape:
            raise ValueError(f"expected gradients of {self.sums.shape[1]} classes, got {sums.shape[1]}")
        self.sums = sums

    def __getstate__(self) -> dict[str, object]:
        return {"sums": self.sums.cpu()}
