"""State of a run's parts, saved beside the checkpoint and restored by `resume`; Ultralytics stores nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ultralytics.utils import LOGGER

from yolo_balance.run_folder.names import STATE
from yolo_balance.run_folder.state import read_state, write_state


class Stateful(Protocol):
    """A part of a run that learns while the run lasts."""

    def state(self) -> Mapping[str, Any]:
        """Return the part's keys of `balance_state.json`; empty if the part learns nothing."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the part's keys from the file's content. Raises KeyError, TypeError or ValueError where one is unfit."""


def save(folder: Path, epoch: int, parts: Sequence[Stateful]) -> None:
    """Write the state of the parts after so many epochs beside the checkpoint; no file if nothing was learnt."""
    learnt = {key: value for part in parts for key, value in part.state().items()}
    if learnt:
        write_state(folder, epoch, learnt)


def restore(folder: Path, parts: Sequence[Stateful]) -> None:
    """Restore each part that learns; a part whose state cannot be read starts anew, with a line in the log."""
    for part in parts:
        if part.state():
            try:
                part.restore(read_state(folder))
            except (OSError, ValueError, KeyError, TypeError) as e:
                LOGGER.warning(
                    f"balance: {folder / STATE} cannot be read ({e}); these start anew: {', '.join(part.state())}"
                )
