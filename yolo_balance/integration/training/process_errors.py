"""Errors of the processes that train on several devices, as one line of the process that started them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from yolo_balance.errors import HostError
from yolo_balance.integration.compat import TRACEBACK
from yolo_balance.integration.protocols import Trainer

RANK_TAG = re.compile(r"^\[rank\d+\]: ?")
"""Mark of a process in front of its lines, from PyTorch 2.3 on."""
ERROR = re.compile(r"(?:[\w.]+\.)?(\w+)(?::\s*(.*))?$")
"""Last line of a traceback: class of the error, and its text."""
OURS = "yolo_balance.errors."
LAUNCHER = "ChildFailedError"
SIGNAL = re.compile(r"Signal \d+ \((SIG\w+)\)")


def in_one_line(trainer: Trainer) -> None:
    """Make `trainer.train` raise HostError in one line where a process of several devices fails."""
    if trainer.ddp:
        vars(trainer)["train"] = _guarded(trainer.train)


def _guarded(train: Callable[[], object]) -> Callable[[], object]:
    def guarded() -> object:
        with process_errors():
            return train()

    return guarded


@contextmanager
def process_errors() -> Iterator[None]:
    """Keep back the tracebacks of processes that are started meanwhile, and raise HostError for the one that failed.

    Everything else that these processes print goes where it would go. If no process fails, tracebacks go there too.
    """
    sys.stderr.flush()
    reader, writer = os.pipe()
    kept = os.dup(2)
    os.dup2(writer, 2)
    os.close(writer)
    held_back: list[bytes] = []
    thread = threading.Thread(target=_pass_on, args=(reader, kept, held_back), daemon=True)
    thread.start()
    failed: subprocess.CalledProcessError | None = None
    try:
        yield
    except subprocess.CalledProcessError as e:
        failed = e
    finally:
        os.dup2(kept, 2)
        thread.join(5)  # a process that outlives the others may hold the pipe open
        os.close(kept)
    if failed is not None:
        lines = b"".join(held_back).decode("utf-8", "replace").splitlines()
        reason = reason_of(lines) or f"exit code {failed.returncode}"
        raise HostError(f"train: a process of several devices stopped ({reason})") from None
    if held_back:
        os.write(2, b"".join(held_back))


def _pass_on(reader: int, to: int, held_back: list[bytes]) -> None:
    with os.fdopen(reader, "rb") as lines:
        for line in lines:
            if held_back or TRACEBACK.encode() in line:
                held_back.append(line)
            else:
                os.write(to, line)


def reason_of(lines: Sequence[str]) -> str | None:
    """Return the error of the process that failed first, from tracebacks and the report of the launcher."""
    processes: dict[str, list[str]] = {}
    for line in lines:
        tag = RANK_TAG.match(line)
        processes.setdefault(tag[0] if tag else "", []).append(line[tag.end() :] if tag else line)
    reasons = [reason for own in processes.values() if (reason := _last_error(own))]
    if not reasons and (signals := [found[1] for line in lines if (found := SIGNAL.search(line))]):
        first = min(signals, key=lambda name: name == "SIGTERM")  # by which the launcher ends the other processes
        return f"killed by {first}{' (out of memory?)' if first == 'SIGKILL' else ''}"
    return reasons[0][:300] if reasons else None


def _last_error(lines: Sequence[str]) -> str | None:
    """Return the error of the last traceback in the lines of one process, the launcher's left out."""
    reason, inside = None, False
    for i, line in enumerate(lines):
        if TRACEBACK in line:
            inside = True
        elif inside and line and not line[0].isspace():
            inside = False
            if (found := ERROR.match(line)) and found[1] != LAUNCHER:
                name = "" if line.startswith(OURS) else f"{found[1]}: "
                reason = f"{name}{'; '.join([found[2] or '', *_more(lines[i + 1 :])])}"
    return reason


def _more(lines: Sequence[str]) -> Iterator[str]:
    """Yield the further lines of an error of several lines."""
    for line in lines:
        if not line.strip() or line[0].isspace() or re.match(r"[EWI]\d{4} ", line) or TRACEBACK in line:
            return
        yield line
