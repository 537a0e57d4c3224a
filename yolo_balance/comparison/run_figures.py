"""What one run of an arm left: `run.json`, `detections.npz` and the shares of `exposure.csv`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from yolo_balance.comparison import detections
from yolo_balance.comparison.detections import Detections
from yolo_balance.errors import DataError
from yolo_balance.files import write_whole
from yolo_balance.run_folder.history import read_exposure

FILE, EXPOSURE, REPORT = "run.json", "exposure.csv", "recall.json"
FILES = (FILE, detections.FILE, REPORT)
"""What a finished run has; recall.json is written last."""


@dataclass(frozen=True)
class Measured:
    """What a run measured of itself: the final validation of best.pt, and its training.

    Attributes:
        map50_95, map50: Mean over classes, of the task.
        ap50: By class name; a class without objects has none.
        steps: Optimiser steps.
        train_seconds: Spent in the epochs' batches, validation aside.
    """

    map50_95: float
    map50: float
    ap50: Mapping[str, float]
    steps: int
    train_seconds: float

    def save(self, path: Path) -> None:
        """Write `run.json`, whole or not at all."""
        write_whole(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Measured:
        """Read `run.json`; raises DataError in one line that names the file."""
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            return cls(**content)
        except (OSError, ValueError, TypeError) as e:
            raise DataError(f"{path}: expected the {FILE} of a run, but it cannot be read ({e})") from e


@dataclass(frozen=True)
class RunFigures:
    """One run of an arm.

    Attributes:
        seed: Its seed.
        measured: What it measured of itself.
        detections: What its recall is resampled from.
        reached: By class name the share of boxes that was left of it after cropping, mean over epochs.
    """

    seed: int
    measured: Measured
    detections: Detections
    reached: Mapping[str, float]

    @classmethod
    def load(cls, folder: Path, seed: int) -> RunFigures:
        """Read a run's folder; raises DataError in one line that names the file."""
        exposure = read_exposure(folder / EXPOSURE)
        return cls(
            seed,
            Measured.load(folder / FILE),
            Detections.load(folder / detections.FILE),
            {name: found.mean.reached for name, found in exposure.items()},
        )
