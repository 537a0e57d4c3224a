"""`balance_state.json`: how far a run is, and the numbers that it has learnt, for a run that resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from yolo_balance.bounded_files import checked, read_json
from yolo_balance.files import sha256, write_whole
from yolo_balance.ranges import Amount, Confidence, Count, Share
from yolo_balance.run_folder.names import STATE

SCHEMA = 2
TRAINING, TRAINED, FINISHED = STAGES = ("training", "trained", "finished")
"""Epochs are to come; the last validation and the report are to come; nothing is."""


@dataclass(frozen=True)
class _Gradients:
    positive: list[Amount]
    negative: list[Amount]


@dataclass(frozen=True)
class _Best:
    epoch: Count
    value: float
    recall: Share
    lowest: str
    low: Share
    hits: Count
    n: Count
    missed: list[str]


@dataclass(frozen=True)
class _Selection:
    by: str
    best: _Best | None
    fitness: float | None
    fitness_epoch: Count | None


@dataclass(frozen=True)
class _State:
    schema: Literal[1, 2]
    epoch: Count
    stage: Literal["training", "trained", "finished"] = "training"
    checkpoint: str = ""
    steps: Count = 0
    seconds: Amount = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)
    recall: Mapping[str, Share] = field(default_factory=dict)
    hard: list[str] = field(default_factory=list)
    threshold: Confidence | None = None
    gradients: Mapping[str, _Gradients] = field(default_factory=dict)
    class_weights: Mapping[str, tuple[Amount, Amount]] = field(default_factory=dict)
    selection: _Selection | None = None


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
        """Read the file. Raises DataError in one line that names the file, and the key if it is one."""
        path = folder / STATE
        content = read_json(path, f"the {STATE} of a run")
        checked(_State, content, path)
        assert isinstance(content, dict)  # checked
        content.pop("schema")
        given = {name: content.pop(name) for name in asdict(cls()) if name in content}
        return cls(**given, learnt=content)

    def belongs_to(self, checkpoint: Path) -> bool:
        """Whether this is the state of a checkpoint; every checkpoint passes where the file names none."""
        return not self.checkpoint or self.checkpoint == sha256(checkpoint)
