"""`balance.lock`: the process that trains in a run's folder, while it does."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import psutil

from yolo_balance.errors import ConfigError
from yolo_balance.files import PARTIAL
from yolo_balance.run_folder.names import LOCK

TOLERANCE = 2.0
"""Seconds by which the start of one process may read differently after the clock was set."""


class RunLock:
    """The right to train in a folder; a second process is refused while the first one lives.

    A process is known by its number and its start, so the lock of a dead process never holds anybody up. On another
    machine nobody can see whether a process lives: such a lock counts as that of a dead one.

    Attributes:
        path: File of the lock.
        other_machine: Machine and process of a lock that was taken over without knowing; empty otherwise.
    """

    def __init__(self, folder: Path):
        """Take the lock. Raises ConfigError, in one line, where a living process has it."""
        self.path, self.other_machine = folder / LOCK, ""
        folder.mkdir(parents=True, exist_ok=True)
        me = psutil.Process()
        mine = {"machine": socket.gethostname(), "pid": me.pid, "started": me.create_time()}
        family = {me.pid, *(parent.pid for parent in me.parents())}  # processes of several devices have one launcher
        while not _created(self.path, json.dumps(mine).encode()):
            holder = _read(self.path)
            if holder is not None:
                machine, pid, started = holder
                if machine != socket.gethostname():
                    self.other_machine = f"process {pid} on {machine}"
                elif _lives(pid, started):
                    if pid in family:
                        return
                    raise ConfigError(
                        f"{folder}: process {pid} trains in this folder; expected the end of that run, or another "
                        "folder for this one"
                    )
            if holder == _read(self.path):
                self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Give the lock back, if this process has it."""
        holder = _read(self.path)
        if holder is not None and holder[:2] == (socket.gethostname(), os.getpid()):
            self.path.unlink(missing_ok=True)


def _created(path: Path, content: bytes) -> bool:
    """Write a new file whole; return False where it exists. Of several processes one creates it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        partial.write_bytes(content)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            if path.exists():
                return False
            partial.replace(path)
        return True
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path) -> tuple[str, int, float] | None:
    """Return machine, process and its start; None where the file is not there or no lock."""
    try:
        content = json.loads(path.read_bytes())
        return str(content["machine"]), int(content["pid"]), float(content["started"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _lives(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        same = abs(float(process.create_time()) - started) <= TOLERANCE
        return same and str(process.status()) != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError, OverflowError):
        return False
