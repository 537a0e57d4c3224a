"""Progress of a comparison: a bar on a terminal, a line per event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from yolo_balance.comparison.execution.runs import Run
from yolo_balance.text import plain


class RunsProgress:
    """Counter of the runs of a comparison; reports each run that starts, finishes or fails.

    Attributes:
        total: Number of runs.
        done: Number of finished runs, with those that were finished before.
        failed: Number of failed runs.
    """

    def __init__(self, total: int, done: int, say: Callable[[str], None]):
        self.total, self.done, self.failed, self.say = total, done, 0, say
        self._running: dict[Run, float] = {}
        self._most = 0  # runs side by side so far
        self._seconds: list[float] = []
        self._bar: Progress | None = None
        if sys.stdout.isatty():
            self._bar = Progress(
                BarColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn(), console=Console(file=sys.stdout)
            )

    def __enter__(self) -> RunsProgress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total, completed=self.done, state=self.state())
        elif self.done:
            self.say(self.state())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, what: str, run: Run, seconds: float, reason: str) -> None:
        """Count and report a run that `started`, `finished` or `failed` for a reason."""
        if what == "started":
            self._running[run] = time.monotonic()
            self._most = max(self._most, len(self._running))
            line = f"{run.name}: started"
        else:
            del self._running[run]
            self._seconds.append(seconds)
            self.done, self.failed = self.done + (what == "finished"), self.failed + (what == "failed")
            finished = f"{run.name}: finished in {duration(seconds)}"
            line = finished if what == "finished" else f"failed: {run.failure(reason)}"
        if self._bar is None:
            self.say(f"{plain(line)}; {self.state()}" if what != "started" else plain(line))
            return
        if what == "failed":
            self._bar.console.print(Text(plain(line)))
        self._bar.update(self._task, completed=self.done + self.failed, state=self.state())

    def state(self) -> str:
        """Return `3 of 10 runs finished, 1 failed, 2 running, about 4 min left`."""
        parts = [f"{self.done} of {self.total} runs finished"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self._running:
            parts.append(f"{len(self._running)} running")
        if (remaining := self.seconds_left()) is not None:
            parts.append(f"about {duration(remaining)} left")
        return ", ".join(parts)

    def seconds_left(self) -> float | None:
        """Estimate the remaining seconds from the runs so far; None before the first, and at the end."""
        remaining = self.total - self.done - self.failed
        if not self._seconds or not remaining:
            return None
        mean, now = sum(self._seconds) / len(self._seconds), time.monotonic()
        work = remaining * mean - sum(min(now - since, mean) for since in self._running.values())
        return max(work, 0.0) / min(self._most, remaining)


def duration(seconds: float) -> str:
    """Return seconds for people: `12 s`, `4 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
