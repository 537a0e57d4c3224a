"""What a run leaves for `compare`: `run.json` and `detections.npz`."""

from __future__ import annotations

from typing import Any

from ultralytics.cfg import TASK2METRIC

from yolo_balance.comparison import Detections, Measured, detections, run
from yolo_balance.recall import Outcomes

FILES = (run.FILE, detections.FILE)
METRIC = {"detect": "box", "obb": "box", "segment": "seg", "pose": "pose"}
"""The task's own average precision, as an attribute of the host's metrics."""


def write(trainer: Any, outcomes: Outcomes) -> None:
    """Write both, given the final validation of best.pt.

    Args:
        trainer: Whose validator has validated best.pt last.
        outcomes: The boxes and objects that recall is resampled from.
    """
    names, task = trainer.exposure.names, trainer.args.task
    host = trainer.validator.metrics
    precision = getattr(host, METRIC[task])
    map50_95 = TASK2METRIC[task]
    Measured(
        map50_95=float(host.results_dict[map50_95]),
        map50=float(host.results_dict[map50_95.replace("mAP50-95", "mAP50")]),
        ap50={names[int(c)]: float(value) for c, value in zip(precision.ap_class_index, precision.ap50, strict=True)},
        steps=int(trainer.ema.updates),  # one per optimiser step, kept in checkpoints
        train_seconds=trainer.train_seconds,
    ).save(trainer.save_dir / run.FILE)
    Detections.of(outcomes, names, trainer.balance.recall.false_alarms).save(trainer.save_dir / detections.FILE)
