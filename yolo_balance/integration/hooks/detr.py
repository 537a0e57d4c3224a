"""RT-DETR's criterion: each query matched to one object or none, once per decoder layer and for the denoising queries.

The terms see queries as anchors. Ultralytics sums its varifocal loss before it returns it, so that loss is restated
here elementwise (Zhang et al., 2021), and so are its two box losses, which take no weights; both only where terms act.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from ultralytics.utils.metrics import bbox_iou
from ultralytics.utils.ops import xywh2xyxy

from yolo_balance.errors import HostError
from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.protocols import DETRCriterion
from yolo_balance.losses.assignment import Assignment, Term
from yolo_balance.losses.weighting import box_weights, weighted

if TYPE_CHECKING:
    Stock = DETRCriterion
else:
    Stock = object


def balance_detr(criterion: DETRCriterion, terms: Sequence[Term]) -> None:
    """Put terms into RT-DETR's criterion, in place.

    Raises:
        HostError: The criterion has no varifocal loss, and would train without the terms.
    """
    if not criterion.vfl:
        raise HostError("balance.losses: expected a criterion of RT-DETR with a varifocal loss, got one without")
    balanced = mix_in(criterion, BalancedDETRLoss)
    balanced.terms, balanced.called = list(terms), set()


class BalancedDETRLoss(Stock):
    """Ultralytics' DETR loss with the terms' weights.

    Attributes:
        terms: In the order in which their weights are applied.
        matched: The layer's assignment, and image and query of each matched pair.
        called: The hooks that were called.
    """

    hooks: ClassVar[tuple[str, ...]] = ("_get_loss", "_get_loss_class", "_get_loss_bbox")
    terms: Sequence[Term]
    matched: tuple[Assignment, tuple[Tensor, Tensor]] | None = None
    called: set[str]

    def missing(self) -> list[str]:
        """Return the hooks that no batch has called; every batch calls them all."""
        return [hook for hook in self.hooks if hook not in self.called]

    def _get_loss(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        gt_bboxes: Tensor,
        gt_cls: Tensor,
        gt_groups: list[int],
        postfix: str = "",
        match_indices: list[tuple[Tensor, Tensor]] | None = None,
    ) -> dict[str, Tensor]:
        """Match as Ultralytics does, keep the assignment, then return Ultralytics' losses of one layer."""
        self.called.add("_get_loss")
        if match_indices is None:
            match_indices = self.matcher(pred_bboxes, pred_scores, gt_bboxes, gt_cls, gt_groups)
        indices, gt = self._get_index(match_indices)  # on the CPU, where Ultralytics matches
        first, second, gt = (i.to(gt_bboxes.device, non_blocking=True) for i in (*indices, gt))
        query = first, second
        self.matched = _assignment(pred_bboxes, pred_scores, gt_bboxes, gt_cls, gt_groups, query, gt), query
        try:
            return super()._get_loss(
                pred_bboxes, pred_scores, gt_bboxes, gt_cls, gt_groups, postfix=postfix, match_indices=match_indices
            )
        finally:
            self.matched = None  # free the graph with the layer

    def _get_loss_class(
        self, pred_scores: Tensor, targets: Tensor, gt_scores: Tensor, num_gts: int, postfix: str = ""
    ) -> dict[str, Tensor]:
        """Return the varifocal loss times the terms' weights; without objects the stock loss of the adjusted logits."""
        self.called.add("_get_loss_class")
        for term in self.terms:
            pred_scores = term.adjusted(pred_scores)
        if self.matched is None or not num_gts or not self.vfl:
            return super()._get_loss_class(pred_scores, targets, gt_scores, num_gts, postfix)
        assignment, _ = self.matched
        assignment.logits = pred_scores
        assignment.target_scores = gt_scores.unsqueeze(-1) * assignment.positive
        loss = varifocal(
            pred_scores, assignment.target_scores, assignment.positive, gamma=self.vfl.gamma, alpha=self.vfl.alpha
        )
        least = gt_scores.detach().float() * assignment.own_entropy  # as weighted by the varifocal loss
        total = weighted(loss, self.terms, assignment, least=least).mean(1).sum() / (num_gts / pred_scores.shape[1])
        return {f"loss_class{postfix}": total * self.loss_gain["class"]}

    def _get_loss_bbox(self, pred_bboxes: Tensor, gt_bboxes: Tensor, postfix: str = "") -> dict[str, Tensor]:
        """Return L1 and GIoU loss of the matched pairs (N, 4) each, times the terms' box weights."""
        self.called.add("_get_loss_bbox")
        weights = None
        if self.matched is not None and len(gt_bboxes):
            assignment, query = self.matched
            weights = None if assignment.logits is None else box_weights(self.terms, assignment)
        if weights is None:
            return super()._get_loss_bbox(pred_bboxes, gt_bboxes, postfix)
        w = weights[query].unsqueeze(-1)
        l1 = (w * F.l1_loss(pred_bboxes, gt_bboxes, reduction="none")).sum() / len(gt_bboxes)
        giou = (w * (1 - bbox_iou(pred_bboxes, gt_bboxes, xywh=True, GIoU=True))).sum() / len(gt_bboxes)
        return {
            f"loss_bbox{postfix}": self.loss_gain["bbox"] * l1,
            f"loss_giou{postfix}": self.loss_gain["giou"] * giou,
        }


def varifocal(logits: Tensor, target: Tensor, positive: Tensor, *, gamma: float, alpha: float) -> Tensor:
    """Return the varifocal loss, elementwise; Zhang et al. (2021).

        VFL = q BCE(p, q) where positive, alpha p^gamma BCE(p, 0) elsewhere

    Args:
        logits: (B, A, C).
        target: (B, A, C) soft target q, 0 where not positive.
        positive: (B, A, C) bool.
        gamma: Exponent.
        alpha: Weight of negatives.
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits, target = logits.float(), target.float()
        weight = torch.where(positive, target, alpha * logits.sigmoid().pow(gamma))
        return weight * F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _assignment(
    boxes: Tensor,
    logits: Tensor,
    gt_boxes: Tensor,
    gt_classes: Tensor,
    groups: list[int],
    query: tuple[Tensor, Tensor],
    gt: Tensor,
) -> Assignment:
    """Return one layer's matching as an assignment; boxes are xywh in shares of the image, which keeps their IoU."""
    images, queries = boxes.shape[:2]
    own = xywh2xyxy(gt_boxes)
    objects = pad_sequence(list(torch.split(own, groups)), batch_first=True)
    present = pad_sequence(list(torch.split(torch.ones_like(own[:, 0], dtype=torch.bool), groups)), batch_first=True)
    rows = torch.arange(present.numel(), device=own.device).view_as(present)  # numbered as a dense head's are
    numbers = torch.cat([row[:n] for row, n in zip(rows, groups, strict=True)])
    ids = torch.zeros(images, queries, dtype=torch.int64, device=boxes.device)
    labels, targets, foreground = torch.zeros_like(ids), own.new_zeros(images, queries, 4), torch.zeros_like(ids).bool()
    ids[query], labels[query], targets[query], foreground[query] = numbers[gt], gt_classes[gt].long(), own[gt], True
    return Assignment(
        boxes=xywh2xyxy(boxes.detach()),
        target_boxes=targets,
        target_labels=labels,
        target_scores=torch.zeros_like(logits),
        foreground=foreground,
        gt=ids,
        objects=objects,
        present=present,
        equal_boxes=True,
    )
