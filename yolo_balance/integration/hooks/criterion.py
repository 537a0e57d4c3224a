"""Three hooks in Ultralytics' criterion carry every loss term.

The criterion calls, on itself and in this order, `assigner(...)`, `bce(pred_scores, target_scores)` elementwise and
`bbox_loss(..., target_scores, ...)`. Each is replaced by a wrapper around the original: the first records the
assignment, the second multiplies the elementwise loss by the terms' classification weights, the third passes target
scores multiplied by the terms' box weights, by whose sum Ultralytics weighs each positive's box losses. No loss code of
Ultralytics is copied or overridden.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor
from ultralytics.models.utils.loss import DETRLoss
from ultralytics.utils.loss import v8OBBLoss, v8PoseLoss, v8SegmentationLoss

from yolo_balance.config import LossesConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.hooks.detr import balance_detr
from yolo_balance.integration.protocols import Assigner, BoxLoss, Criterion, ElementwiseLoss
from yolo_balance.losses.assignment import Assignment, Term
from yolo_balance.losses.weighting import box_weights, weighted
from yolo_balance.text import listed

Built = TypeVar("Built")
"""Any criterion that a model's `init_criterion` builds."""


def balance_criterion(criterion: Built, terms: Callable[[str], Sequence[Term]]) -> Built:
    """Put the terms into a criterion, in place; into each head's of an end-to-end model. Without terms, nothing.

    Args:
        criterion: A criterion as a model's `init_criterion` builds it.
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
        if not all(hasattr(head, part) for part in Record.hooks):
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


@runtime_checkable
class Called(Protocol):
    """The hooks of a balanced head, and those of them that were called."""

    hooks: ClassVar[tuple[str, ...]]
    called: set[str]

    def missing(self) -> list[str]:
        """Return the hooks that the last batch should have called and no batch has."""


def records(criterion: object) -> dict[str, Called]:
    """Return the record of the hooks called in each balanced head, by its name in `heads`."""
    noted = {name: getattr(getattr(head, "bce", None), "record", head) for name, head in heads(criterion).items()}
    return {name: record for name, record in noted.items() if isinstance(record, Called)}


def gain_ratio(criterion: object) -> float:
    """Return Ultralytics' classification gain divided by its box gain, at most 1 for a dense head."""
    if isinstance(criterion, DETRLoss):
        return float(criterion.loss_gain["class"] / (criterion.loss_gain["bbox"] + criterion.loss_gain["giou"]))
    gains = getattr(next(iter(heads(criterion).values())), "hyp", None)
    return min(float(gains.cls / gains.box), 1.0) if gains is not None and gains.box else 1.0


def without_part(criterion: object, options: LossesConfig) -> dict[str, str]:
    """Return the requested options that this criterion cannot use, each with the line that says so."""
    reasons = {}
    if isinstance(criterion, DETRLoss):
        focal = "its own varifocal loss is a focal loss"
        reasons = {"focal": focal, "efl": focal, "positives": "each object has one query"}
    return {
        key: f"balance.losses.{key}: has no part in RT-DETR, {reason}"
        for key, reason in reasons.items()
        if getattr(options, key) is not None
    }


def box_weights_end_at(criterion: object, options: LossesConfig) -> list[str]:
    """Return a line for each loss of a box that the requested options on box losses do not reach in this criterion."""
    unreached = {v8SegmentationLoss: "mask loss", v8PoseLoss: "key-point losses", v8OBBLoss: "angle loss"}
    asked = [key for key in ("carl", "positives") if getattr(options, key) is not None]
    head = next(iter(heads(criterion).values()))
    return [
        f"balance.losses: {listed(asked)} weigh{'s' if len(asked) == 1 else ''} the box losses and not the {loss}"
        for kind, loss in unreached.items()
        if asked and isinstance(head, kind)
    ]


def heads(criterion: object) -> dict[str, Criterion]:
    """Return the criterion of each head: `one2many` and `one2one` of an end-to-end model, else the only one as `""`."""
    named = {head: getattr(criterion, head) for head in ("one2many", "one2one") if hasattr(criterion, head)}
    return named or {"": cast(Criterion, criterion)}


class Record:
    """The assignment of the current batch, and the hooks that were called; neither is copied with the criterion."""

    hooks: ClassVar[tuple[str, ...]] = ("assigner", "bce", "bbox_loss")

    def __init__(self) -> None:
        self.assignment: Assignment | None = None
        self.called: set[str] = set()

    def read(self) -> Assignment:
        """Return the recorded assignment; raise HostError if there is none, rather than drop the terms silently."""
        if self.assignment is None:
            raise HostError("balance.losses: this Ultralytics computes its losses before it assigns targets")
        return self.assignment

    def missing(self) -> list[str]:
        """Return the hooks that the last batch should have called and no batch has.

        Early releases skip the box loss of a batch without positives, and a batch may have objects and no positives.
        The assignment answers that; its wait for the device is paid only by a batch that skipped the box loss.
        """
        missing = [hook for hook in self.hooks if hook not in self.called]
        if missing == ["bbox_loss"] and self.assignment is not None and not self.assignment.foreground.any():
            return []
        return missing

    def __getstate__(self) -> dict[str, object]:
        # the logits of an assignment belong to a graph, which neither deepcopy nor pickle can take
        return {"assignment": None, "called": set()}


class _Wrapper:
    """Calls its hook and otherwise is the wrapped object, whose attributes Ultralytics reads and sets."""

    wrapped: Any
    record: Record
    terms: Sequence[Term]

    def __init__(self, wrapped: Assigner | ElementwiseLoss | BoxLoss, record: Record, terms: Sequence[Term] = ()):
        self.__dict__.update(wrapped=wrapped, record=record, terms=terms)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or "wrapped" not in self.__dict__:  # being unpickled
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.wrapped, name, value)


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
        *args: Tensor,
        **kwargs: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the wrapped assigner's answer, unchanged."""
        answer: tuple[Tensor, ...] = self.wrapped(
            pd_scores, pd_bboxes, anc_points, gt_labels, gt_bboxes, mask_gt, *args, **kwargs
        )
        labels, boxes, scores, foreground, gt = answer[:5]
        images = torch.arange(len(gt), device=gt.device).unsqueeze(1)
        self.record.assignment = Assignment(
            boxes=pd_bboxes.detach(),
            target_boxes=boxes,
            target_labels=labels.long(),
            target_scores=scores,
            foreground=foreground.bool(),
            gt=gt.long() + images * gt_bboxes.shape[1],  # Ultralytics numbers objects per image, the terms per batch
            objects=gt_bboxes,
            present=mask_gt.squeeze(-1).bool(),
        )
        self.record.called.add("assigner")
        return answer


class WeightedBCE(_Wrapper):
    """Multiplies the elementwise loss by the terms' weights."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the weighted elementwise loss (B, A, C)."""
        assignment = self.record.read()
        for term in self.terms:
            logits = term.adjusted(logits)
        loss: Tensor = self.wrapped(logits, targets)
        assignment.logits = logits
        self.record.called.add("bce")
        return weighted(loss, self.terms, assignment)


class WeightedBboxLoss(_Wrapper):
    """Passes the box loss target scores multiplied by the product of the terms' box weights."""

    def __call__(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        *args: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return Ultralytics' box losses at the weighted target scores."""
        assignment = self.record.read()
        self.record.assignment = None  # free the graph with the batch
        self.record.called.add("bbox_loss")
        weights = box_weights(self.terms, assignment)
        if weights is not None:
            target_scores = target_scores * weights.unsqueeze(-1)
        losses: tuple[Tensor, ...] = self.wrapped(
            pred_dist, pred_bboxes, anchor_points, target_bboxes, target_scores, *args
        )
        return losses
