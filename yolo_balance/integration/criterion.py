"""Three hooks in the host's criterion carry every loss term.

The host's criterion calls, on itself and in this order, `assigner(...)`, `bce(pred_scores, target_scores)` elementwise
and `bbox_loss(..., target_scores, ...)`. Each is replaced by a wrapper around the original: the first records the
assignment, the second multiplies the elementwise loss by the terms' classification weights, the third passes target
scores multiplied by the terms' box weights, by whose sum the host weighs each positive's box losses. Nothing of the
host's loss code is copied or overridden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from yolo_balance.config import LossesConfig
from yolo_balance.errors import HostError
from yolo_balance.losses import CARL, Assignment, ISRPositive, QualityFocal, Term

TARGET_SCORES = 4  # position among the arguments of the host's box loss


def loss_terms(config: LossesConfig | None) -> list[Term]:
    """The terms a configuration asks for, in the order in which their weights are applied."""
    if config is None:
        return []
    terms: list[Term] = []
    if config.focal is not None:
        terms.append(QualityFocal(config.focal.beta))
    if (isr := config.prime_isr) is not None:
        terms.append(ISRPositive(isr.k, isr.bias))
    if (carl := config.prime_carl) is not None:
        terms.append(CARL(**carl.model_dump()))
    return terms


def balance_criterion(criterion: Any, terms: Sequence[Term]) -> Any:
    """Put the hooks into a criterion, in place; into both heads' of an end-to-end model. Without terms, nothing.

    Raises:
        HostError: The criterion has no such calls to hook.
    """
    if not terms:
        return criterion
    heads = [getattr(criterion, head) for head in ("one2many", "one2one") if hasattr(criterion, head)] or [criterion]
    for head in heads:
        if not all(hasattr(head, name) for name in ("assigner", "bce", "bbox_loss")):
            raise HostError(
                f"balance.losses: expected a criterion with assigner, bce and bbox_loss, got {type(head).__name__}"
            )
        if isinstance(head.bce, WeightedBCE):
            continue
        record = Record()
        head.assigner = RecordingAssigner(head.assigner, record)
        head.bce = WeightedBCE(head.bce, record, terms)
        head.bbox_loss = WeightedBboxLoss(head.bbox_loss, record, terms)
    return criterion


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
    """Multiplies the elementwise loss by the terms' weights, one after the other.

    Each term sees the loss as the terms before it left it, so that a term that preserves the sum of what it sees
    preserves the sum of all.
    """

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The weighted elementwise loss (B, A, C)."""
        loss: Tensor = self.wrapped(logits, targets)
        assignment = self.record.read()
        assignment.logits = logits
        with torch.autocast(logits.device.type, enabled=False):
            loss = loss.float()
            for term in self.terms:
                weights = term.classification_weights(assignment, loss)
                if weights is not None:
                    loss = loss * weights
        return loss


class WeightedBboxLoss(_Wrapper):
    """Passes the box loss target scores multiplied by the product of the terms' box weights."""

    def __call__(self, *args: Any) -> Any:
        """The host's box losses at the weighted target scores."""
        assignment, scores = self.record.read(), args[TARGET_SCORES]
        self.record.assignment = None  # free the graph with the batch
        with torch.autocast(scores.device.type, enabled=False):
            for term in self.terms:
                weights = term.box_weights(assignment)
                if weights is not None:
                    scores = scores * weights.unsqueeze(-1)
        return self.wrapped(*args[:TARGET_SCORES], scores, *args[TARGET_SCORES + 1 :])
