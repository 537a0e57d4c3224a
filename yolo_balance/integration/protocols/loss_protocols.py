"""Criteria of Ultralytics, and the parts that they call."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Assigner(Protocol):
    """Assigns predictions to objects."""

    def __call__(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        *args: Tensor,  # releases and tasks add more
        **kwargs: Tensor,
    ) -> tuple[Tensor, ...]: ...  # labels, boxes, scores, foreground and object of each anchor


class ElementwiseLoss(Protocol):
    """The classification loss, one value for each logit."""

    def __call__(self, input: Tensor, target: Tensor, /) -> Tensor: ...  # (B, A, C)


class BoxLoss(Protocol):
    """The box losses of the positives, each weighed by the sum of its target scores."""

    def __call__(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor,
        fg_mask: Tensor,
        /,
        *args: Tensor,  # releases add more
    ) -> tuple[Tensor, ...]: ...  # box loss, and DFL or L1 loss


class Gains(Protocol):
    """Multipliers of the losses, `hyp`."""

    box: float
    cls: float


class Criterion(Protocol):
    """The criterion of a dense head; calls its three parts on itself, in this order."""

    assigner: Assigner
    bce: ElementwiseLoss
    bbox_loss: BoxLoss
    hyp: Gains


class EndToEndCriterion(Protocol):
    """The criteria of an end-to-end model's two heads."""

    one2many: Criterion
    one2one: Criterion


class Varifocal(Protocol):
    """RT-DETR's classification loss."""

    gamma: float
    alpha: float


class DETRCriterion(Protocol):
    """RT-DETR's criterion."""

    loss_gain: dict[str, float]
    vfl: Varifocal | None
    matcher: Matcher

    def _get_index(
        self, match_indices: list[tuple[Tensor, Tensor]]
    ) -> tuple[tuple[Tensor, Tensor], Tensor]: ...  # image and query of each matched pair, and its object
    def _get_loss(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        gt_bboxes: Tensor,
        gt_cls: Tensor,
        gt_groups: list[int],
        *,
        postfix: str = "",
        match_indices: list[tuple[Tensor, Tensor]] | None = None,
    ) -> dict[str, Tensor]: ...  # early releases have masks before `postfix`
    def _get_loss_class(
        self, pred_scores: Tensor, targets: Tensor, gt_scores: Tensor, num_gts: int, postfix: str = ""
    ) -> dict[str, Tensor]: ...
    def _get_loss_bbox(self, pred_bboxes: Tensor, gt_bboxes: Tensor, postfix: str = "") -> dict[str, Tensor]: ...


class Matcher(Protocol):
    """Matches queries to objects."""

    def __call__(
        self, pred_bboxes: Tensor, pred_scores: Tensor, gt_bboxes: Tensor, gt_cls: Tensor, gt_groups: list[int]
    ) -> list[tuple[Tensor, Tensor]]: ...  # query and object of each matched pair, by image
