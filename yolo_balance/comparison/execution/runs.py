"""Runs of a comparison, each a process of its own, several side by side; what is finished is not run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from yolo_balance.files import write_whole
from yolo_balance.run_folder.names import COMPARED

CONFIG, LOG = "run.yaml", "log.txt"
PATIENCE = 10.0  # seconds that a run has to end when it is asked to


@dataclass(frozen=True)
class Run:
    """One arm at one seed.

    Attributes:
        arm: Its name.
        seed: Its seed.
        folder: Where it goes.
        text: Its YAML.
        trained: Folder of the run whose training is its own too, so that only its class scores are calibrated anew;
            None where it has to be trained.
    """

    arm: str
    seed: int
    folder: Path
    text: str
    trained: Path | None = None

    @property
    def name(self) -> str:
        """`isr, seed 1`."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / LOG

    @property
    def command(self) -> list[str]:
        """What trains it, or calibrates what is trained."""
        program, config = [sys.executable, "-m", "yolo_balance"], str(self.folder / CONFIG)
        if self.trained is not None:
            return [*program, "calibrate", str(self.trained), "--config", config, "--out", str(self.folder)]
        place = {"project": str(self.folder.parent.resolve()), "name": self.folder.name, "exist_ok": True}
        words = [f"{key}={json.dumps(value)}" for key, value in place.items()]  # JSON is YAML, whatever a path holds
        return [*program, "train", config, *words]

    @property
    def finished(self) -> bool:
        """Whether its files are there, and of the same YAML."""
        try:
            same = (self.folder / CONFIG).read_text(encoding="utf-8") == self.text
        except (OSError, UnicodeDecodeError):
            return False
        return same and all((self.folder / name).is_file() for name in COMPARED)

    def prepare(self) -> None:
        """Make its folder ready to be run anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (*COMPARED, LOG):  # else a run that fails at once would look finished
            (self.folder / name).unlink(missing_ok=True)
        write_whole(self.folder / CONFIG, self.text)

    def start(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        """Start it in its folder: the child, in a process group of its own, and its log."""
        log = self.log.open("wb")
        try:
            group: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
            return subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, **group
            ), log
        except OSError:
            log.close()
            raise

    def note(self, reason: str) -> None:
        """Add to its log why it failed, where it could not say so itself."""
        with self.log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"\nerror: {reason}\n")

    def failure(self) -> str:
        """What its log says last, in one line, and where the log is."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [line.strip() for line in lines if line.startswith("error: ")] or [
            line.strip() for line in lines if line
        ]
        reason = said[-1][:300] if said else "it said nothing"
        return f"{self.name}: {reason.removeprefix('error: ')} ({self.log})"


Event = Callable[[str, Run, float], None]
"""Called with `started`, `finished` or `failed`, the run, and its seconds."""


def execute(runs: Sequence[Run], jobs: int, event: Event) -> list[Run]:
    """Run them in their order, so many at a time; one that fails does not stop the others.

    Args:
        runs: What is to be run.
        jobs: Side by side.
        event: Told what happens.

    Returns:
        Those that failed.

    Raises:
        KeyboardInterrupt: After the runs under way were ended.
    """
    waiting, running, failed = deque(runs), dict[Run, tuple[subprocess.Popen[bytes], IO[bytes], float]](), list[Run]()
    with interruptible():
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    run = waiting.popleft()
                    run.prepare()
                    running[run] = (*run.start(), time.monotonic())
                    event("started", run, 0.0)
                for run, (child, log, since) in list(running.items()):
                    if child.poll() is not None:
                        log.close()
                        del running[run]
                        done = child.returncode == 0 and run.finished
                        if not done:
                            failed.append(run)
                        event("finished" if done else "failed", run, time.monotonic() - since)
                time.sleep(0.05)
        finally:
            end([child for child, _, _ in running.values()])
            for _, log, _ in running.values():
                log.close()
    return failed


def end(children: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask them and their own processes to end, and make them where they do not."""
    for child in children:
        _signal(child, signal.SIGTERM)
    until = time.monotonic() + PATIENCE
    for child in children:
        try:
            child.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            _signal(child, getattr(signal, "SIGKILL", signal.SIGTERM))
            child.wait()


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    if os.name != "posix":
        child.terminate()
        return
    with suppress(ProcessLookupError):  # it ended by itself
        os.killpg(child.pid, number)


@contextmanager
def interruptible() -> Iterator[None]:
    """Take a request to end for Ctrl-C: else runs would go on without anyone who waits for them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
