"""`run.json`: precision and training time of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from yolo_balance.bounded_files import checked, read_json
from yolo_balance.files import write_whole
from yolo_balance.ranges import Amount, Count, Share
from yolo_balance.run_folder.names import MEASURED


@dataclass(frozen=True)
class Measured:
    """Precision in the final validation of best.pt, and the length of the training.

    Attributes:
        map50_95, map50: Mean over classes, of the task.
        ap50: By class name; a class without objects has none.
        steps: Optimiser steps.
        train_seconds: Seconds spent in the epochs' batches, without validation.
    """

    map50_95: Share
    map50: Share
    ap50: Mapping[str, Share]
    steps: Count
    train_seconds: Amount

    def save(self, folder: Path) -> None:
        """Write `run.json`, whole or not at all."""
        write_whole(folder / MEASURED, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Measured:
        """Read `run.json`. Raises DataError in one line that names the file, and the key if it is one."""
        path = folder / MEASURED
        return checked(cls, read_json(path, f"the {MEASURED} of a run"), path)
