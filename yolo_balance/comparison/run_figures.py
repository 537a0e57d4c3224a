"""One run of an arm, as its folder has it: run.json, detections.npz and the shares of exposure.csv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.history import read_exposure
from yolo_balance.run_folder.measured import Measured


@dataclass(frozen=True)
class RunFigures:
    """One run of an arm.

    Attributes:
        seed: Seed of the run.
        measured: Precision and training time.
        detections: Objects and false boxes, from which recall is resampled.
        reached: By class name the share of boxes that was left of the class after augmentation, mean over epochs.
    """

    seed: int
    measured: Measured
    detections: Detections
    reached: Mapping[str, float]

    @classmethod
    def load(cls, folder: Path, seed: int) -> RunFigures:
        """Read a run's folder. Raises DataError in one line that names the file."""
        reached = {name: exposure.mean.reached for name, exposure in read_exposure(folder).items()}
        return cls(seed, Measured.load(folder), Detections.load(folder), reached)
