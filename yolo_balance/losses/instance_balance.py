"""Instance-balanced positives: every object the same share; Pang et al., Libra R-CNN (2019)."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from yolo_balance.losses.assignment import Assignment, Term
from yolo_balance.losses.magnitude import preserving
from yolo_balance.losses.ranking import rank_within


@torch.no_grad()
def instance_balanced_positives(gt: Tensor, num: int | Tensor, *, generator: Generator | None = None) -> Tensor:
    """Draw positives evenly over objects, so that a large object with many of them does not crowd out the others.

    Of K objects each gives num / K positives, drawn without replacement: floor(num / K), and as many objects as needed,
    drawn too, one more. What an object cannot give is drawn without replacement from all positives that are left.

    The reference form; training uses `InstanceBalanced`, which weighs each positive by its chance to be drawn.

    Args:
        gt: (N,) id of each positive's object.
        num: Positives to take: a number, or a 0-d integer tensor.
        generator: Source of the random numbers, on the device of `gt`; None: torch's own.

    Returns:
        Bool mask (N,) with exactly min(num, N) entries set.
    """
    inside, between = torch.rand((2, len(gt)), generator=generator, device=gt.device)
    rank = rank_within(gt, inside)
    objects = (rank == 0).sum().clamp(min=1)
    least, most = num // objects, -(-num // objects)
    tier = (rank >= most).int() - (rank < least).int()
    order = torch.argsort(tier + between)
    first = torch.arange(len(gt), device=gt.device) < num
    return torch.zeros_like(first).scatter(0, order, first)


class InstanceBalanced(Term):
    """Every object the same share of the positives' weights, in the classification and in the box losses.

        w = N / (K * n)

    N positives, K objects that have any, n positives of the sample's own object: the average of drawing evenly over
    objects. One object, or objects of as many positives each, give ones. The classification loss and the sum of the box
    weights are preserved over the positives of the batch; the box loss itself is not.
    """

    def anchor_weights(self, assignment: Assignment, loss: Tensor) -> Tensor:
        """Return (B, A) weights, detached; 1 where not foreground."""
        return preserving(self._shares(assignment), loss, assignment.foreground)

    def box_weights(self, assignment: Assignment) -> Tensor:
        """Return (B, A) weights, detached, 1 where not foreground; the sum of the stock box weights is preserved."""
        return preserving(self._shares(assignment), assignment.stock_box_weights, assignment.foreground)

    @staticmethod
    def _shares(assignment: Assignment) -> Tensor:
        """Return (B, A) w of each positive; ids of objects lie below B * G, which needs no sort."""
        mask, (images, objects) = assignment.foreground, assignment.objects.shape[:2]
        index = assignment.gt.masked_fill(~mask, 0).flatten()
        n = torch.zeros(max(images * objects, 1), device=index.device).index_add(0, index, mask.flatten().float())
        return torch.where(mask, mask.sum() / ((n > 0).sum() * n[index].view_as(mask)), 1.0)
