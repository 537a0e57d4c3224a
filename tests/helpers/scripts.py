"""Runs that are small scripts, and processes that show that they are alive."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from yolo_balance.comparison.execution.runs import Run
from yolo_balance.run_folder.names import COMPARED

WRITE = "import pathlib, sys; [(pathlib.Path(sys.argv[1]) / name).write_text('{}') for name in sys.argv[2:]]"


class Script(Run):
    """A run whose process is a short script, its `text`, instead of a training."""

    @property
    def command(self):
        code = f"import sys, time\n{self.text}\n{WRITE}"
        return [sys.executable, "-c", code, str(self.folder), *COMPARED]


def scripts(tmp_path, *texts):
    return [Script("arm", i, tmp_path / "arm" / f"seed{i}", text) for i, text in enumerate(texts)]


BEATS = (
    "import pathlib, sys, time\n"
    "for _ in range(3000):\n"
    "    with open(sys.argv[1], 'a') as f: f.write('x')\n"
    "    time.sleep(0.02)\n"
)


def beating(tmp_path):
    """Return a script that starts a process that writes into a file every so often, the file, and a file of pids.

    The file of pids holds those of the script's starter and of the script.
    """
    beat, pids = tmp_path / "beat", tmp_path / "pids"
    script = (
        f"import os, subprocess; open({str(pids)!r}, 'w').write(f'{{os.getppid()}} {{os.getpid()}}')\n"
        f"subprocess.Popen([sys.executable, '-c', {BEATS!r}, {str(beat)!r}]); time.sleep(60)"
    )
    return script, beat, pids


def still_beats(file):
    """Return whether the file still grows; a process that was asked to end may do so late."""
    for _ in range(20):
        before = file.stat().st_size
        time.sleep(0.2)
        if file.stat().st_size == before:
            return False
    return True


def is_alive(pid):
    """Return whether a process runs; one that ended may be listed until its parent has taken note."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout
    return state.strip()[:1] not in ("", "Z")


def until(condition):
    """Wait for a condition."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def interruptible():
    """Python's own handler of an interruption, which a process that was started in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
