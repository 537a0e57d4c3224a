"""One run of an arm, as its folder has it: run.json, detections.npz and the shares of exposure.csv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yolo_balance.recall.report import RecallReport
from yolo_balance.recall.split_counts import SplitCounts
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.history import read_exposure
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.names import RECALL


@dataclass(frozen=True)
class RunFigures:
    """One run of an arm.

    Attributes:
        seed: Seed of the run.
        measured: Precision and training time.
        detections: Objects and false boxes, from which recall is resampled.
        reached: By class name the share of boxes that was left of the class after augmentation, mean over epochs.
        counts: Images of val that were not read, or say less than their number.
    """

    seed: int
    measured: Measured
    detections: Detections
    reached: Mapping[str, float]
    counts: SplitCounts = field(default_factory=SplitCounts)

    @classmethod
    def load(cls, folder: Path, seed: int) -> RunFigures:
        """Read a run's folder. Raises DataError in one line that names the file."""
        reached = {name: exposure.mean.reached for name, exposure in read_exposure(folder).items()}
        counts = RecallReport.load(folder / RECALL).counts
        return cls(seed, Measured.load(folder), Detections.load(folder), reached, counts)
