"""One validation of a finished model by Ultralytics, with our validator, and the reading of it."""

from __future__ import annotations

import numpy as np

from yolo_balance.config import RecallConfig
from yolo_balance.integration.hooks.validator import RecallValidatorMixin, balance_validator
from yolo_balance.integration.protocols import YOLOModel
from yolo_balance.recall import RecallReport
from yolo_balance.recall.split_reading import Reading


def validated(model: YOLOModel, recall: RecallConfig, **arguments: object) -> RecallValidatorMixin:
    """Validate a model and return the validator: its `outcomes`, `recall_report` and `save_dir`.

    Args:
        model: An `ultralytics.YOLO` that reports boxes.
        recall: `balance.recall`.
        **arguments: Arguments of `model.val`.
    """
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
        imgsz=int(np.max(validator.args.imgsz)),
        nms_iou=validator.args.iou,
        costs=validator.recall.costs,
        baseline=baseline,
        title=title,
        note=note,
    )
