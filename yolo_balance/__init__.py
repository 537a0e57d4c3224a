"""Ultralytics training for detectors that must not miss the rare class.

The names below are imported when they are first used, so that `import yolo_balance` costs neither torch nor
ultralytics.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolo_balance.config import BalanceConfig
    from yolo_balance.integration.analyze import analyze
    from yolo_balance.integration.compare import compare
    from yolo_balance.integration.finished.calibrate_run import calibrate
    from yolo_balance.integration.finished.certify_model import certify
    from yolo_balance.integration.finished.report_model import report
    from yolo_balance.integration.prediction.attach_thresholds import attach_thresholds
    from yolo_balance.integration.prediction.predict import predict
    from yolo_balance.integration.training.attach import attach
    from yolo_balance.integration.training.classification import BalancedClassificationTrainer
    from yolo_balance.integration.training.train import train
    from yolo_balance.integration.training.trainers import (
        BalancedDetectionTrainer,
        BalancedOBBTrainer,
        BalancedPoseTrainer,
        BalancedSegmentationTrainer,
    )
    from yolo_balance.recall.decisions.gate_files import gate
    from yolo_balance.recall.decisions.thresholds import Thresholds
    from yolo_balance.recall.report import RecallReport
    from yolo_balance.sampling.plan_sampler import PlanSampler

__version__ = "0.1.0"
__all__ = [
    "BalanceConfig",
    "BalancedClassificationTrainer",
    "BalancedDetectionTrainer",
    "BalancedOBBTrainer",
    "BalancedPoseTrainer",
    "BalancedSegmentationTrainer",
    "PlanSampler",
    "RecallReport",
    "Thresholds",
    "analyze",
    "attach",
    "attach_thresholds",
    "calibrate",
    "certify",
    "compare",
    "gate",
    "predict",
    "report",
    "train",
]

_HOMES = {
    "BalanceConfig": "yolo_balance.config",
    "BalancedClassificationTrainer": "yolo_balance.integration.training.classification",
    "BalancedDetectionTrainer": "yolo_balance.integration.training.trainers",
    "BalancedOBBTrainer": "yolo_balance.integration.training.trainers",
    "BalancedPoseTrainer": "yolo_balance.integration.training.trainers",
    "BalancedSegmentationTrainer": "yolo_balance.integration.training.trainers",
    "PlanSampler": "yolo_balance.sampling.plan_sampler",
    "RecallReport": "yolo_balance.recall.report",
    "Thresholds": "yolo_balance.recall.decisions.thresholds",
    "analyze": "yolo_balance.integration.analyze",
    "attach": "yolo_balance.integration.training.attach",
    "certify": "yolo_balance.integration.finished.certify_model",
    "attach_thresholds": "yolo_balance.integration.prediction.attach_thresholds",
    "calibrate": "yolo_balance.integration.finished.calibrate_run",
    "compare": "yolo_balance.integration.compare",
    "gate": "yolo_balance.recall.decisions.gate_files",
    "predict": "yolo_balance.integration.prediction.predict",
    "report": "yolo_balance.integration.finished.report_model",
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
