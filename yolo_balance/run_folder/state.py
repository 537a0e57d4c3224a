"""`balance_state.json`: the numbers that a run has learnt, for a run that resumes from the checkpoint beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo_balance.files import write_whole
from yolo_balance.run_folder.names import STATE

SCHEMA = 1


def write_state(folder: Path, epoch: int, learnt: Mapping[str, object]) -> None:
    """Write the file, whole or not at all, after so many epochs."""
    write_whole(folder / STATE, json.dumps({"schema": SCHEMA, "epoch": epoch, **learnt}, indent=1) + "\n")


def read_state(folder: Path) -> Any:
    """Return the content of the file. Raises OSError or ValueError where the file cannot be read."""
    return json.loads((folder / STATE).read_text(encoding="utf-8"))
