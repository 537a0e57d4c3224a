"""Three hooks in the host's criterion carry every loss term.

The host's criterion calls, on itself and in this order, `assigner(...)`, `bce(pred_scores, target_scores)` elementwise
and `bbox_loss(..., target_scores, ...)`. Each is replaced by a wrapper around the original: the first records the
assignment, the second multiplies the elementwise loss by the terms' classification weights, the third passes target
scores multiplied by the terms' box weights, by whose sum the host weighs each positive's box losses. Nothing of the
host's loss code is copied or overridden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from ultralytics.models.utils.loss import DETRLoss

from yolo_balance.config import LossesConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.hooks.detr import balance_detr
from yolo_balance.losses import Assignment, Term, box_weights, weighted

TARGET_SCORES = 4  # position among the arguments of the host's box loss


def balance_criterion(criterion: Any, terms: Callable[[str], Sequence[Term]]) -> Any:
    """Put the terms into a criterion, in place; into each head's of an end-to-end model. Without terms, nothing.

    Args:
        criterion: The host's, as a model's `init_criterion` builds it.
        terms: A head's terms, by its name in `heads`.

    Raises:
        HostError: The criterion has no such calls to hook.
    """
    for name, head in heads(criterion).items():
        if not terms(name):
            continue
        if isinstance(head, DETRLoss):
            balance_detr(head, terms(name))
            continue
        if not all(hasattr(head, part) for part in ("assigner", "bce", "bbox_loss")):
            raise HostError(
                f"balance.losses: expected a criterion with assigner, bce and bbox_loss, got {type(head).__name__}"
            )
        if isinstance(head.bce, WeightedBCE):
            continue
        record = Record()
        head.assigner = RecordingAssigner(head.assigner, record)
        head.bce = WeightedBCE(head.bce, record, terms(name))
        head.bbox_loss = WeightedBboxLoss(head.bbox_loss, record, terms(name))
    return criterion


def gain_ratio(criterion: Any) -> float:
    """What the host multiplies its classification loss by, over what it multiplies its box loss by."""
    if isinstance(criterion, DETRLoss):
        return float(criterion.loss_gain["class"] / (criterion.loss_gain["bbox"] + criterion.loss_gain["giou"]))
    gains = getattr(next(iter(heads(criterion).values())), "hyp", None)
    return min(float(gains.cls / gains.box), 1.0) if gains is not None and gains.box else 1.0


def without_part(criterion: Any, options: LossesConfig) -> dict[str, str]:
    """By option that was asked for and has no part in such a criterion, the line that says so."""
    reasons = {}
    if isinstance(criterion, DETRLoss):
        focal = "its own varifocal loss is a focal loss"
        reasons = {"focal": focal, "efl": focal, "positives": "each object has one query"}
    return {
        key: f"balance.losses.{key}: has no part in RT-DETR, {reason}"
        for key, reason in reasons.items()
        if getattr(options, key) is not None
    }


def heads(criterion: Any) -> dict[str, Any]:
    """The criterion of each head: `one2many` and `one2one` of an end-to-end model, else the only one as `""`."""
    return {head: getattr(criterion, head) for head in ("one2many", "one2one") if hasattr(criterion, head)} or {
        "": criterion
    }


class Record:
    """The assignment of the batch at hand; never copied or saved with the criterion."""

    def __init__(self) -> None:
        self.assignment: Assignment | None = None

    def read(self) -> Assignment:
        """The recorded assignment; raises HostError rather than let the terms drop out without a word."""
        if self.assignment is None:
            raise HostError("balance.losses: this Ultralytics computes its losses before it assigns targets")
        return self.assignment

    def __getstate__(self) -> dict[str, Any]:
        return {"assignment": None}  # its logits belong to a graph, which neither deepcopy nor pickle can take


class _Wrapper:
    """Calls its hook and otherwise is the wrapped object, whose attributes the host reads and sets."""

    def __init__(self, wrapped: Any, record: Record, terms: Sequence[Term] = ()):
        self.__dict__.update(wrapped=wrapped, record=record, terms=terms)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "wrapped" not in self.__dict__:  # being unpickled
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.wrapped, name, value)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class RecordingAssigner(_Wrapper):
    """Records the assigner's answer."""

    def __call__(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """The wrapped assigner's answer, unchanged."""
        answer = self.wrapped(pd_scores, pd_bboxes, anc_points, gt_labels, gt_bboxes, mask_gt, *args, **kwargs)
        labels, boxes, scores, foreground, gt = answer[:5]
        images = torch.arange(len(gt), device=gt.device).unsqueeze(1)
        self.record.assignment = Assignment(
            boxes=pd_bboxes.detach(),
            target_boxes=boxes,
            target_labels=labels.long(),
            target_scores=scores,
            foreground=foreground.bool(),
            gt=gt.long() + images * gt_bboxes.shape[1],  # the host numbers ground truth per image, the terms per batch
            objects=gt_bboxes,
            present=mask_gt.squeeze(-1).bool(),
        )
        return answer


class WeightedBCE(_Wrapper):
    """Multiplies the elementwise loss by the terms' weights."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The weighted elementwise loss (B, A, C)."""
        assignment = self.record.read()
        for term in self.terms:
            logits = term.adjusted(logits)
        loss: Tensor = self.wrapped(logits, targets)
        assignment.logits = logits
        return weighted(loss, self.terms, assignment)


class WeightedBboxLoss(_Wrapper):
    """Passes the box loss target scores multiplied by the product of the terms' box weights."""

    def __call__(self, *args: Any) -> Any:
        """The host's box losses at the weighted target scores."""
        assignment, scores = self.record.read(), args[TARGET_SCORES]
        self.record.assignment = None  # free the graph with the batch
        weights = box_weights(self.terms, assignment)
        if weights is not None:
            scores = scores * weights.unsqueeze(-1)
        return self.wrapped(*args[:TARGET_SCORES], scores, *args[TARGET_SCORES + 1 :])
