"""Clusters of overlapping candidates, as greedy non-maximum suppression forms them, by matrix operations alone."""

from __future__ import annotations

import torch
from torch import Tensor

from yolo_balance.losses.assignment import full_precision
from yolo_balance.losses.overlap import aligned_iou


@torch.no_grad()
def suppression_clusters(
    boxes: Tensor, score: Tensor, label: Tensor, *, iou: float = 0.5, iterations: int = 16
) -> Tensor:
    """Find the kept candidate to which each candidate belongs under greedy non-maximum suppression.

    Greedy suppression keeps the best candidate, drops those of its class that overlap it by more than `iou`, and goes
    on with the best of the rest. The fixed-point iteration of Cluster-NMS replaces that loop; Zheng et al. (2020):

        kept(0)   = all
        kept(t+1) = those that no better candidate of kept(t), of the same class, overlaps by more than `iou`

    A candidate is settled once one kept candidate that drops it is settled, or once all better candidates that overlap
    it are settled. So `iterations` bounds the length of such chains, not the number of candidates: t iterations settle
    every candidate that depends on a chain of at most t others. Hundreds of random boxes, however dense, need fewer
    than 10. Beyond the bound a candidate keeps its state of the last iteration, in a cluster of its own where no kept
    candidate overlaps it.

    Args:
        boxes: (B, M, 4 or 5).
        score: (B, M); the first of equal scores is the better one.
        label: (B, M) class of each candidate.
        iou: Overlap above which the better one of two suppresses the other.
        iterations: Number of iterations, each one product of a vector with an (M, M) matrix per image.

    Returns:
        int64 (B, M), the index in the flattened (B * M) of the best kept candidate that suppresses this one, its own
        where it is kept. Indices are unique over the batch.
    """
    images, candidates = score.shape
    if not candidates:
        return torch.zeros_like(label, dtype=torch.int64)
    boxes = full_precision(boxes)
    first, second = score.unsqueeze(2), score.unsqueeze(1)  # (B, M, 1) against (B, 1, M): rows suppress columns
    earlier = torch.ones(candidates, candidates, dtype=torch.bool, device=score.device).triu(1)
    better = (first > second) | ((first == second) & earlier)
    same = label.unsqueeze(2) == label.unsqueeze(1)
    suppresses = (better & same & (aligned_iou(boxes.unsqueeze(2), boxes.unsqueeze(1)) > iou)).to(boxes.dtype)

    kept = torch.ones_like(suppresses[:, :1])
    for _ in range(iterations):
        kept = (kept @ suppresses).logical_not_()  # in place, so that it stays a number

    own = torch.eye(candidates, dtype=torch.bool, device=score.device)
    leads = (suppresses * kept.transpose(1, 2)).bool() | own
    place = better.sum(1).unsqueeze(2)  # in falling order of score
    leader = torch.where(leads, place, candidates).argmin(1)
    return leader + candidates * torch.arange(images, device=score.device).unsqueeze(1)
