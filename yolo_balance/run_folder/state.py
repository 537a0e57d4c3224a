"""`balance_state.json`: how far a run is, and the numbers that it has learnt, for a run that resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from yolo_balance.files import write_whole
from yolo_balance.run_folder.names import STATE
from yolo_balance.text import plain

SCHEMA = 2
TRAINING, TRAINED, FINISHED = STAGES = ("training", "trained", "finished")
"""Epochs are to come; the last validation and the report are to come; nothing is."""


@dataclass(frozen=True)
class RunState:
    """Content of `balance_state.json`.

    Attributes:
        epoch: Epochs of the checkpoint to which the state belongs; 0 before the first one.
        stage: A stage among `STAGES`.
        checkpoint: SHA-256 of that checkpoint; empty before the first one, and in files of earlier versions.
        steps: Optimiser steps.
        seconds: Seconds spent in the epochs' batches, without validation.
        data: Names, images and labels of the data set at the start of the run; empty in files of earlier versions.
        learnt: Numbers that the parts of the run have learnt, by the key of each part.
    """

    epoch: int = 0
    stage: str = TRAINING
    checkpoint: str = ""
    steps: int = 0
    seconds: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)
    learnt: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the file into the folder of the weights, whole or not at all."""
        content = asdict(self)
        learnt = content.pop("learnt")
        write_whole(folder / STATE, json.dumps({"schema": SCHEMA, **content, **learnt}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> RunState:
        """Read the file. Raises OSError, or ValueError in one line that names the key."""
        content = json.loads((folder / STATE).read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"expected keys, got {type(content).__name__}")
        content.pop("schema", None)
        given = {name: content.pop(name) for name in asdict(cls()) if name in content}
        state = cls(**given, learnt=content)
        for name in ("epoch", "steps"):
            checked_count(getattr(state, name), name)
        checked_number(state.seconds, "seconds", 0, 1e12)
        if state.stage not in STAGES:
            raise ValueError(f"stage: expected one of {', '.join(STAGES)}, got {_shown(state.stage)}")
        for name, kind in (("checkpoint", str), ("data", dict)):
            if not isinstance(getattr(state, name), kind):
                raise ValueError(f"{name}: expected {kind.__name__}, got {_shown(getattr(state, name))}")
        return state

    def belongs_to(self, checkpoint: Path) -> bool:
        """Whether this is the state of a checkpoint; every checkpoint passes where the file names none."""
        return not self.checkpoint or self.checkpoint == file_hash(checkpoint)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def checked_number(value: object, name: str, low: float, high: float) -> float:
    """Return a number of a state that lies from `low` to `high`. Raises ValueError in one line that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}, got {_shown(value)}")
    return float(value)


def checked_count(value: object, name: str, most: int = 10**15) -> int:
    """Return a whole number of a state from 0 on. Raises ValueError in one line that names it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name}: expected a whole number from 0 to {most}, got {_shown(value)}")
    return value


def checked_mapping(value: object, name: str) -> Mapping[str, object]:
    """Return a mapping of a state. Raises ValueError in one line that names it."""
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected keys, got {_shown(value)}")
    return value


def checked_list(value: object, name: str) -> list[object]:
    """Return a list of a state. Raises ValueError in one line that names it."""
    if not isinstance(value, list):
        raise ValueError(f"{name}: expected a list, got {_shown(value)}")
    return value


def _shown(value: object) -> str:
    text = plain(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."
