"""Ultralytics training for detectors that must not miss the rare class.

The names below are imported when they are first used, so that `import yolo_balance` costs neither torch nor
ultralytics.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolo_balance.config import BalanceConfig
    from yolo_balance.integration.finished.certify_model import certify
    from yolo_balance.integration.prediction.attach_thresholds import attach_thresholds
    from yolo_balance.integration.training.attach import attach
    from yolo_balance.integration.training.classification import BalancedClassificationTrainer
    from yolo_balance.integration.training.train import train
    from yolo_balance.integration.training.trainers import (
        BalancedDetectionTrainer,
        BalancedOBBTrainer,
        BalancedPoseTrainer,
        BalancedSegmentationTrainer,
    )
    from yolo_balance.recall.report import RecallReport

__version__ = "0.1.0"
__all__ = [
    "BalanceConfig",
    "BalancedClassificationTrainer",
    "BalancedDetectionTrainer",
    "BalancedOBBTrainer",
    "BalancedPoseTrainer",
    "BalancedSegmentationTrainer",
    "RecallReport",
    "attach",
    "attach_thresholds",
    "certify",
    "train",
]

_HOMES = {
    "BalanceConfig": "yolo_balance.config",
    "BalancedClassificationTrainer": "yolo_balance.integration.training.classification",
    "BalancedDetectionTrainer": "yolo_balance.integration.training.trainers",
    "BalancedOBBTrainer": "yolo_balance.integration.training.trainers",
    "BalancedPoseTrainer": "yolo_balance.integration.training.trainers",
    "BalancedSegmentationTrainer": "yolo_balance.integration.training.trainers",
    "RecallReport": "yolo_balance.recall.report",
    "attach": "yolo_balance.integration.training.attach",
    "certify": "yolo_balance.integration.finished.certify_model",
    "attach_thresholds": "yolo_balance.integration.prediction.attach_thresholds",
    "train": "yolo_balance.integration.training.train",
}
_ROOMS = {"analysis", "comparison", "integration", "losses", "recall", "sampling"}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})
