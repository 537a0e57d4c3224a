"""Runs of a comparison, each a process of its own, several side by side. A finished run is not run again."""

from __future__ import annotations

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

from yolo_balance.bounded_files import read_text
from yolo_balance.files import write_whole
from yolo_balance.run_folder.names import COMPARED

CONFIG, LOG = "run.yaml", "log.txt"
PATIENCE = 10  # seconds from the request to end to the kill
LEASH = (
    'exec 3<&0 </dev/null; { trap "" TERM; read -r _ <&3; kill -TERM 0; sleep "$0"; kill -KILL 0; } & exec "$@" 3<&-'
)
"""Shell line that runs a command, and ends its process group when the shell's input closes.

The input is a pipe that closes when the run is over, and also when the process that started the run is killed.
"""


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
        program, config = [sys.executable, "-m", "yolo_balance"], str(self.folder / CONFIG)
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

    def execute(self, stop: threading.Event) -> bool:
        """Run the process to its end, or to `stop` with all that it started; return whether it finished."""
        for name in COMPARED:  # else a run that fails at once would look finished
            (self.folder / name).unlink(missing_ok=True)
        write_whole(self.folder / CONFIG, self.text)
        posix, pipe, both = os.name == "posix", subprocess.PIPE, subprocess.STDOUT
        command = ["sh", "-c", LEASH, str(PATIENCE), *self.command] if posix else self.command
        with self.log.open("wb") as log:
            child = subprocess.Popen(command, stdin=pipe, stdout=log, stderr=both, start_new_session=posix)
        with child:  # closes the pipe on the way out, and waits
            while child.poll() is None and not stop.is_set():
                time.sleep(0.05)
            if not posix:
                child.terminate()
        return child.returncode == 0 and self.finished

    def note(self, reason: str) -> None:
        """Add to the log why the run failed, where the process could not do so itself."""
        with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"\nerror: {reason}\n")

    def failure(self) -> str:
        """Return the last error of the log in one line, else the log's last line, and where the log is."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.started else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        reason = [f"{LOG} is empty", *lines[-1:], *errors][-1][:300]
        return f"{self.name}: {reason} ({self.log})"


Event = Callable[[str, Run, float], None]
"""Called with `started`, `finished` or `failed`, the run, and its seconds."""
Submit = Callable[[Run], "Future[bool]"]
"""Queues a run; the future says whether the run finished."""


@contextmanager
def local_queue(jobs: int) -> Iterator[Submit]:
    """Yield the queue of this machine, which executes `jobs` runs side by side; on the way out end the running ones."""
    threads, stop = ThreadPoolExecutor(jobs), threading.Event()
    try:
        yield lambda run: threads.submit(run.execute, stop)
    finally:
        stop.set()
        threads.shutdown(cancel_futures=True)


def execute_runs(runs: Sequence[Run], submit: Submit, event: Event) -> list[Run]:
    """Execute runs and return those that failed; a run that fails does not stop the others.

    Raises:
        KeyboardInterrupt: On Ctrl-C or SIGTERM. Closing the queue ends the running processes.
        OSError: A folder of a run cannot be made.
    """
    since: dict[Run, float] = {}
    failed: list[Run] = []

    def start(run: Run) -> None:
        if run not in since:
            since[run] = time.monotonic()
            event("started", run, 0.0)

    for run in runs:
        run.folder.mkdir(parents=True, exist_ok=True)
        run.log.unlink(missing_ok=True)
    with interruptible():
        queue = {submit(run): run for run in runs}
        while queue:
            started = [run for run in queue.values() if run.started]  # read first: else more than `jobs` would count
            over = wait(queue, timeout=0.1, return_when=FIRST_COMPLETED).done
            for future in [future for future in queue if future in over]:
                run = queue.pop(future)
                start(run)
                if error := future.exception():
                    run.note(last_line(error))
                finished = not error and future.result() and run.finished
                if not finished:
                    failed.append(run)
                event("finished" if finished else "failed", run, time.monotonic() - since[run])
            for run in started:
                start(run)
    return failed


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
