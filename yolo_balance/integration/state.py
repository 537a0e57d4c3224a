"""What a run learnt, beside its checkpoint: the host stores nothing of ours, and `resume` has to take it up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER

from yolo_balance.files import write_whole
from yolo_balance.integration.losses import RunLosses
from yolo_balance.integration.sampling import RunSampling

FILE = "balance_state.json"
SCHEMA = 1


def save(folder: Path, epoch: int, sampling: RunSampling | None, losses: RunLosses | None, files: list[str]) -> None:
    """Write the state, whole or not at all; nothing if nothing was learnt.

    Args:
        folder: The checkpoint's.
        epoch: Epochs done.
        sampling: The run's, None without.
        losses: The run's, None without.
        files: Image files by index.
    """
    learnt: dict[str, Any] = {} if sampling is None else sampling.state(files)
    if losses is not None and (gradients := losses.state()):
        learnt["gradients"] = gradients
    if learnt:
        write_whole(folder / FILE, json.dumps({"schema": SCHEMA, "epoch": epoch, **learnt}, indent=1) + "\n")


def restore(folder: Path, sampling: RunSampling | None, losses: RunLosses | None, files: list[str]) -> None:
    """Take the state up again; a checkpoint without one says so and starts from the data's counts."""
    following = losses is not None and bool(losses.state())
    changing = sampling is not None and sampling.changing
    if not (following or changing):
        return
    try:
        learnt = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if sampling is not None and changing:
            sampling.restore(learnt, files)
        if losses is not None and following:
            losses.restore(learnt["gradients"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        LOGGER.warning(f"balance: {folder / FILE} cannot be read ({e}): what it held starts from the data's counts")
