"""One validation of a finished model by Ultralytics with our validator: its reading, or its prime samples."""

from __future__ import annotations

import numpy as np

from yolo_balance.config import RecallConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.data import BOX_TASKS, resolve_data
from yolo_balance.integration.hooks.validator import RecallValidatorMixin, balance_validator
from yolo_balance.integration.protocols import YOLOModel
from yolo_balance.recall import RecallReport
from yolo_balance.recall.conditions import Conditions
from yolo_balance.recall.diagnosis.prime_samples import PrimeSamples
from yolo_balance.recall.split_reading import Reading


def validated(model: YOLOModel, recall: RecallConfig, **arguments: object) -> RecallValidatorMixin:
    """Call `model.val` of an `ultralytics.YOLO` that reports boxes, and return the validator, which has read recall."""
    validators = []

    def collecting(**given: object) -> RecallValidatorMixin:  # where Ultralytics expects a class of validators
        validators.append(balance_validator(model._smart_load("validator")(**given), recall))
        return validators[0]

    model.val(validator=collecting, **arguments)
    return validators[0]


def reading_of(
    validator: RecallValidatorMixin, *, baseline: RecallReport | None = None, title: str = "", note: str = ""
) -> Reading:
    """Return the reading of a validator that reports recall and has run; the other arguments are as in `Reading`."""
    assert validator.recall_report is not None
    assert validator.outcomes is not None
    return Reading(
        validator.recall_report,
        validator.outcomes,
        conditions=_conditions(validator),
        costs=validator.recall.costs,
        baseline=baseline,
        title=title,
        note=note,
    )


def _conditions(validator: RecallValidatorMixin) -> Conditions:
    """Return the conditions of a validation that has run, without the weights."""
    args = validator.args
    return Conditions(
        imgsz=int(np.max(args.imgsz)),
        rect=bool(getattr(validator.dataloader.dataset, "rect", args.rect)),  # in training whatever args say
        nms_iou=args.iou,
        agnostic_nms=bool(args.agnostic_nms or args.single_cls),
        max_det=args.max_det,
        end2end=bool(validator.end2end),
        augment=bool(args.augment and not validator.training),
        only_classes=None if args.classes is None else np.unique(args.classes).tolist(),
    )


def prime_samples(model: YOLOModel, **arguments: object) -> PrimeSamples:
    """Validate a model once and return the prime samples of the split.

    Args:
        model: An `ultralytics.YOLO` that reports boxes, with or without an end-to-end head.
        **arguments: Arguments of `model.val`: data, split, imgsz, ...; `data="demo"` is the demo set.

    Raises:
        HostError: The model's task has no boxes.

    Example:
        prime_samples(YOLO("best.pt"), data="defects.yaml", imgsz=640).misplaced()
    """
    if model.task not in BOX_TASKS:
        raise HostError(f"prime_samples: expected a model of task {', '.join(BOX_TASKS)}, got {model.task}")
    if "data" in arguments:
        arguments["data"] = resolve_data(arguments["data"], model.task)
    return PrimeSamples.of(reading_of(validated(model, RecallConfig(), **arguments)).outcomes)
