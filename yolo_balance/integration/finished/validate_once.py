"""One validation of a finished model by the host, read by our validator."""

from __future__ import annotations

from typing import Any

from yolo_balance.config import RecallConfig
from yolo_balance.integration.hooks.validator import balance_validator


def validated(model: Any, recall: RecallConfig, **arguments: Any) -> Any:
    """The validator of the model's task after it has run: its `outcomes`, `recall_report` and `save_dir`.

    Args:
        model: An `ultralytics.YOLO` that reports boxes.
        recall: What to report.
        **arguments: What `model.val` accepts.
    """
    validators = []

    def collecting(**given: Any) -> Any:  # where the host expects a class of validators
        validators.append(balance_validator(model._smart_load("validator")(**given), recall))
        return validators[0]

    model.val(validator=collecting, **arguments)
    return validators[0]
