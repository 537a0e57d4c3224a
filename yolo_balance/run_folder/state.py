"""`balance_state.json`: the numbers that a run has learnt, for a run that resumes from the checkpoint beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from yolo_balance.bounded_files import checked, read_json
from yolo_balance.files import write_whole
from yolo_balance.ranges import Amount, Count, Share
from yolo_balance.run_folder.names import STATE

SCHEMA = 1


def write_state(folder: Path, epoch: int, learnt: Mapping[str, object]) -> None:
    """Write the file, whole or not at all, after so many epochs."""
    write_whole(folder / STATE, json.dumps({"schema": SCHEMA, "epoch": epoch, **learnt}, indent=1) + "\n")


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
    schema: Literal[1]
    epoch: Count
    recall: Mapping[str, Share] = field(default_factory=dict)
    hard: list[str] = field(default_factory=list)
    gradients: Mapping[str, _Gradients] = field(default_factory=dict)
    class_weights: Mapping[str, tuple[Amount, Amount]] = field(default_factory=dict)
    selection: _Selection | None = None


def read_state(folder: Path) -> Any:
    """Return the content of the file. Raises DataError in one line that names the file, and the key if it is one."""
    path = folder / STATE
    content = read_json(path, f"the {STATE} of a run")
    checked(_State, content, path)
    return content
