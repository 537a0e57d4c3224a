"""Hierarchical local ranks, vectorised: stable sorts and segment starts, no loop over objects, no device sync."""

from __future__ import annotations

import torch
from torch import Tensor


def rank_within(group: Tensor, *keys: Tensor) -> Tensor:
    """Rank each entry inside its group by ascending keys; the first key decides, then the next, then position.

    Args:
        group: (N,) int group ids.
        keys: (N,) each.

    Returns:
        int64 (N,), 0 for the first of each group.
    """
    position = torch.arange(len(group), device=group.device)
    order = position
    for key in (*reversed(keys), group):  # sorting by the last key first and stably is a lexicographic sort
        order = order[torch.argsort(key[order], stable=True)]
    in_order = group[order]
    starts = torch.ones_like(in_order, dtype=torch.bool)
    starts[1:] = in_order[1:] != in_order[:-1]
    start = torch.where(starts, position, 0)
    if len(start):
        start = torch.cummax(start, 0).values
    rank = torch.empty_like(position)
    rank[order] = position - start
    return rank


def iou_hlr(iou: Tensor, gt: Tensor, label: Tensor) -> Tensor:
    """Rank positive samples by IoU Hierarchical Local Rank; Cao et al., Prime Sample Attention (2019), section 3.

    1. Samples of one ground-truth box are ranked by falling IoU.
    2. Samples of one class are ranked by that local rank, equal local ranks by falling IoU: first the best sample of
       every object, best object first, then the second best ones, and so on.

    Args:
        iou: (N,) IoU of each sample's regressed box with its ground truth.
        gt: (N,) id of that ground truth, unique over the whole batch.
        label: (N,) its class.

    Returns:
        int64 (N,) rank within the class, 0 for the prime sample. Equal IoUs rank in the order given.
    """
    falling = -iou.detach()
    return rank_within(label, rank_within(gt, falling), falling)


def score_hlr(score: Tensor, group: Tensor, *, mask: Tensor | None = None, image: Tensor | None = None) -> Tensor:
    """Rank negative samples by Score Hierarchical Local Rank; Cao et al., Prime Sample Attention (2019), section 3.

    1. Samples of one cluster are ranked by falling score.
    2. All samples are ranked by that local rank, equal local ranks by falling score: first the best sample of every
       cluster, best cluster first, then the second best ones, and so on.

    Args:
        score: (N,) highest score of each sample over the classes.
        group: (N,) id of its cluster of overlapping samples, unique over the whole batch.
        mask: (N,) bool, the entries that are samples; the others rank behind all of them. None: all are.
        image: (N,) int id of the image; each image is ranked for itself. None: all samples together.

    Returns:
        int64 (N,) rank over all samples (of the image), 0 for the prime sample. Equal scores rank in the order given.
    """
    falling, last = -score.detach(), torch.zeros_like(group) if mask is None else (~mask).long()
    local = rank_within(group, last, falling)
    return rank_within(torch.zeros_like(group) if image is None else image, last, local, falling)
