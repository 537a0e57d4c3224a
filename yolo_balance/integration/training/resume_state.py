"""What a run learnt, beside its checkpoint: the host stores nothing of ours, and `resume` has to take it up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER

from yolo_balance.errors import ConfigError
from yolo_balance.files import write_whole
from yolo_balance.integration.training.best_checkpoint import RunSelection
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.run_sampling import RunSampling

FILE = "balance_state.json"
SCHEMA = 1
FITNESS = "fitness"


def save(
    folder: Path,
    epoch: int,
    sampling: RunSampling | None,
    losses: RunLosses | None,
    selection: RunSelection | None,
    files: list[str],
) -> None:
    """Write the state, whole or not at all; nothing if nothing was learnt.

    Args:
        folder: The checkpoint's.
        epoch: Epochs done.
        sampling: The run's, None without.
        losses: The run's, None without.
        selection: The run's, None without.
        files: Image files by index.
    """
    learnt: dict[str, Any] = {} if sampling is None else sampling.state(files)
    if losses is not None and (gradients := losses.state()):
        learnt["gradients"] = gradients
    if selection is not None:
        learnt["selection"] = selection.state()
    if learnt:
        write_whole(folder / FILE, json.dumps({"schema": SCHEMA, "epoch": epoch, **learnt}, indent=1) + "\n")


def restore(
    folder: Path,
    sampling: RunSampling | None,
    losses: RunLosses | None,
    selection: RunSelection | None,
    files: list[str],
) -> None:
    """Take the state up again; a checkpoint without one says so and starts anew.

    Raises:
        ConfigError: best.pt was kept by another rule, whose scores cannot be compared with this one's.
    """
    _check_rule(folder / FILE, FITNESS if selection is None else selection.rule.by)
    following = losses is not None and bool(losses.state())
    changing = sampling is not None and sampling.changing
    if not (following or changing or selection is not None):
        return
    try:
        learnt = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if selection is not None:
            selection.restore(learnt["selection"])
        if sampling is not None and changing:
            sampling.restore(learnt, files)
        if losses is not None and following:
            losses.restore(learnt["gradients"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        LOGGER.warning(f"balance: {folder / FILE} cannot be read ({e}): what it held starts anew")


def _check_rule(file: Path, rule: str) -> None:
    try:
        learnt = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        before = learnt["selection"]["by"] if "selection" in learnt else FITNESS
    except (OSError, ValueError, KeyError, TypeError):
        return  # what was kept before is not known, and said below
    if before != rule:
        raise ConfigError(
            f"balance.recall.best: expected {before}, by which the run to resume kept best.pt, got {rule}; "
            "scores of two rules cannot be compared"
        )
