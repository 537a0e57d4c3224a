"""Prime samples of a finished model, from one validation by Ultralytics."""

from __future__ import annotations

from yolo_balance.config import RecallConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.data import BOX_TASKS, resolve_data
from yolo_balance.integration.finished.validate_once import reading_of, validated
from yolo_balance.integration.protocols import YOLOModel
from yolo_balance.recall.diagnosis.prime_samples import PrimeSamples


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
