"""Runs that are small scripts, and processes that show that they live."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from yolo_balance.comparison.execution.runs import Run
from yolo_balance.run_folder.names import COMPARED

WRITE = "import pathlib, sys; [(pathlib.Path(sys.argv[1]) / name).write_text('{}') for name in sys.argv[2:]]"


class Script(Run):
    """A run whose child is a short script, its `text`: what is tested is not what it trains."""

    @property
    def command(self):
        code = f"import sys, time\n{self.text}\n{WRITE}"
        return [sys.executable, "-c", code, str(self.folder), *COMPARED]


def scripts(tmp_path, *texts):
    return [Script("arm", i, tmp_path / "arm" / f"seed{i}", text) for i, text in enumerate(texts)]


BEATS = (
    "import pathlib, sys, time\n"
    "for _ in range(1200):\n"
    "    with open(sys.argv[1], 'a') as f: f.write('x')\n"
    "    time.sleep(0.05)\n"
)


def beats(file):
    """Whether a process that writes into the file every so often still does; one asked to end may do so late."""
    for _ in range(10):
        before = file.stat().st_size
        time.sleep(0.5)
        if file.stat().st_size == before:
            return False
    return True


@pytest.fixture
def interruptible():
    """Python's own answer to an interruption, which a process that was started in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
