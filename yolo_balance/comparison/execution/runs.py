"""Runs of a comparison, each a process of its own, several side by side. A finished run is not run again."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from yolo_balance.bounded_files import read_text
from yolo_balance.comparison.execution.locked_log import locked_log, remove_log
from yolo_balance.errors import DataError
from yolo_balance.files import write_whole
from yolo_balance.run_folder.names import COMPARED

CONFIG, LOG = "run.yaml", "log.txt"
PATIENCE = 10  # seconds from the request to end to the kill
MOST = 300  # characters of a reason
LEASH = (
    "exec 3<&0 </dev/null; "
    '{ trap "" TERM; read -r _ <&3; kill -TERM 0; sleep "$0"; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" 3<&-'
)
"""Shell line that runs a command, and ends its process group when the shell's input closes.

The input is a pipe that closes when the run is over, and also when the process that started the run is killed. The part
that waits for that has no log open, and so no lock.
"""
ROOT = str(Path(__file__).resolve().parents[3])
"""Folder of this package."""
ISOLATED = (
    "import sys; sys.path = [path for path in sys.path if path]; sys.path.insert(0, sys.argv.pop(1)); "
    "import yolo_balance; sys.path.append(sys.path.pop(0)); from yolo_balance.cli import main; sys.exit(main())"
)
"""Python line that calls this package's command line, and imports nothing from the working folder, as `-m` would."""
HINTS = {"SIGKILL": " (out of memory?)", "SIGBUS": " (shared memory full?)"}
FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT)))
"""Words of a full disk, which stops every run."""


@dataclass(frozen=True)
class Run:
    """One arm at one seed.

    Attributes:
        arm: Name of the arm.
        seed: Seed of the training.
        folder: Folder of the run's files.
        text: YAML of the run.
        trained: Folder of the run that was trained alike, so that only the class scores are calibrated anew; None where
            the run has to be trained.
    """

    arm: str
    seed: int
    folder: Path
    text: str
    trained: Path | None = None

    @property
    def name(self) -> str:
        """Name for people: `isr, seed 1`."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """File of everything the run prints."""
        return self.folder / LOG

    @property
    def command(self) -> list[str]:
        """Command line that trains the run, or calibrates a trained one."""
        program, config = [sys.executable, "-c", ISOLATED, ROOT], str(self.folder / CONFIG)
        if self.trained is not None:
            return [*program, "calibrate", str(self.trained), "--config", config, "--out", str(self.folder)]
        place = {"project": str(self.folder.parent.resolve()), "name": self.folder.name, "exist_ok": True}
        words = [f"{key}={json.dumps(value)}" for key, value in place.items()]  # JSON is YAML, whatever a path holds
        return [*program, "train", config, *words]

    @property
    def started(self) -> bool:
        """Whether the log is there."""
        return LOG in os.listdir(self.folder)  # listing refreshes what a network file system has cached

    @property
    def finished(self) -> bool:
        """Whether the files of a finished run are there, and belong to the same YAML."""
        try:
            same = read_text(self.folder / CONFIG) == self.text
            return same and set(COMPARED) <= set(os.listdir(self.folder))
        except (OSError, ValueError):
            return False

    def execute(self, stop: threading.Event) -> str | None:
        """Run the process to its end, or to `stop` with all that it started; return why it failed, None if it did not.

        A process of an earlier comparison in this folder is given the time to end. Raises OSError where the folder
        cannot be written.
        """
        with locked_log(self.log, 2 * PATIENCE, stop) as log:
            if log is None:
                return "another process still writes into this folder, as that of another compare"
            if self.finished:  # by another comparison meanwhile
                return None
            for name in COMPARED:  # else a run that fails at once would look finished
                (self.folder / name).unlink(missing_ok=True)
            write_whole(self.folder / CONFIG, self.text)
            log.truncate(0)
            code = self._process(log, stop)
            if code == 0 and self.finished:
                return None
            reason = self._last_error() if code >= 0 else None
            if reason is None:
                reason = _ended(code) if code < 0 else f"{self._last_line()} (exit code {code})"
                log.write(f"\nerror: {reason}\n".encode(errors="backslashreplace"))
            return reason

    def _process(self, log: BinaryIO, stop: threading.Event) -> int:
        posix, pipe, both = os.name == "posix", subprocess.PIPE, subprocess.STDOUT
        command = ["sh", "-c", LEASH, str(PATIENCE), *self.command] if posix else self.command
        safe = {**os.environ, "PYTHONSAFEPATH": "1"}  # for what the process starts, from Python 3.11 on
        child = subprocess.Popen(command, stdin=pipe, stdout=log, stderr=both, start_new_session=posix, env=safe)
        with child:  # closes the pipe on the way out, and waits
            while child.poll() is None and not stop.is_set():
                time.sleep(0.05)
            if not posix:
                child.terminate()
        return child.returncode

    def note(self, reason: str) -> None:
        """Add to the log why the run failed, where the process could not do so itself."""
        with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"\nerror: {reason}\n")

    def _lines(self) -> list[str]:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.started else ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _last_error(self) -> str | None:
        errors = [line.removeprefix("error: ") for line in self._lines() if line.startswith("error: ")]
        return errors[-1][:MOST] if errors else None

    def _last_line(self) -> str:
        return [f"{LOG} is empty", *self._lines()][-1][:MOST]

    def failure(self, reason: str) -> str:
        """Return the line for people: the run, why it failed, and where the log is."""
        return f"{self.name}: {reason} ({self.log})"


def _ended(code: int) -> str:
    """Return the reason for a process that a signal ended, from its return code."""
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = f"signal {-code}"
    return f"killed by {name}{HINTS.get(name, '')}"


Event = Callable[[str, Run, float, str], None]
"""Called with `started`, `finished` or `failed`, the run, its seconds, and why it failed."""
Submit = Callable[[Run], "Future[str | None]"]
"""Queues a run; the future says why the run failed, None if it finished."""


@contextmanager
def local_queue(jobs: int) -> Iterator[Submit]:
    """Yield the queue of this machine, which executes `jobs` runs side by side; on the way out end the running ones."""
    threads, stop = ThreadPoolExecutor(jobs), threading.Event()
    try:
        yield lambda run: threads.submit(run.execute, stop)
    finally:
        stop.set()
        threads.shutdown(cancel_futures=True)


def execute_runs(runs: Sequence[Run], submit: Submit, event: Event) -> dict[Run, str]:
    """Execute runs and return those that failed and why; a run that fails does not stop the others.

    Raises:
        KeyboardInterrupt: On Ctrl-C or SIGTERM. Closing the queue ends the running processes.
        DataError: A disk is full.
        OSError: A folder of a run cannot be written.
    """
    since: dict[Run, float] = {}
    failed: dict[Run, str] = {}

    def start(run: Run) -> None:
        if run not in since:
            since[run] = time.monotonic()
            event("started", run, 0.0, "")

    for run in runs:
        run.folder.mkdir(parents=True, exist_ok=True)
        remove_log(run.log)
    with interruptible():
        queue = {submit(run): run for run in runs}
        while queue:
            started = [run for run in queue.values() if run.started]  # read first: else more than `jobs` would count
            over = wait(queue, timeout=0.1, return_when=FIRST_COMPLETED).done
            for future in [future for future in queue if future in over]:
                run = queue.pop(future)
                start(run)
                reason = _reason(run, future)
                if reason is None and not run.finished:
                    reason = "its files are gone"
                if reason is not None:
                    failed[run] = reason
                event("finished" if reason is None else "failed", run, time.monotonic() - since[run], reason or "")
                if any(words in (reason or "") for words in FULL):
                    raise DataError(run.failure(reason or ""))
            for run in started:
                start(run)
    return failed


def _reason(run: Run, future: Future[str | None]) -> str | None:
    """Return why a run failed. Raises OSError where its folder cannot be written."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, OSError):
        raise error
    reason = last_line(error)
    run.note(reason)
    return reason


def last_line(error: BaseException) -> str:
    """Return the last line of an error's text, where errors of Ray state their cause."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that the runs under way are ended."""
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
