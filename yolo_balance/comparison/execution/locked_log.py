"""The log of a run as its lock: each process of a run writes into the log, and holds the lock while the process lives.

So a run whose comparison was killed is not started again beside processes that are about to end.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl


@contextmanager
def locked_log(path: Path, patience: float, stop: threading.Event) -> Iterator[BinaryIO | None]:
    """Open a log for appending and lock it; yield None where another process holds it until the patience ends.

    Args:
        path: The log, which is made if it is not there.
        patience: Seconds to wait for the processes of another comparison to end.
        stop: Ends the waiting.
    """
    deadline = time.monotonic() + patience
    while True:
        with path.open("ab") as log:
            if _locked(log) and _still_at(path, log):
                yield log
                return
        if stop.is_set() or time.monotonic() > deadline:
            yield None
            return
        time.sleep(0.1)


def remove_log(path: Path) -> None:
    """Remove the log of an earlier run; the log of a run whose processes live stays."""
    try:
        with path.open("ab") as log:
            if _locked(log):
                path.unlink(missing_ok=True)
    except FileNotFoundError:
        return


def _locked(log: BinaryIO) -> bool:
    if sys.platform == "win32":  # where a file that another process holds open cannot be removed
        return True
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # storage without locks
        return True
    return True


def _still_at(path: Path, log: BinaryIO) -> bool:
    """Whether no other process has removed the log between its opening and its lock."""
    try:
        return os.path.samestat(os.fstat(log.fileno()), path.stat())
    except FileNotFoundError:
        return False
