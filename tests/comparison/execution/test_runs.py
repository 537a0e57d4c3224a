"""Laws of running side by side: so many at a time, a failure stops nobody else, an interruption ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.scripts import BEATS, WRITE, Script, beats, interruptible, scripts

from yolo_balance.comparison.execution.progress import MatrixProgress, duration
from yolo_balance.comparison.execution.runs import execute
from yolo_balance.run_folder.names import COMPARED

__all__ = ["interruptible"]  # a fixture


def test_each_is_run_once_and_no_more_than_so_many_at_a_time(tmp_path):
    events, running, most = [], 0, 0

    def event(what, run, seconds):
        nonlocal running, most
        events.append((what, run.seed))
        running += 1 if what == "started" else -1
        most = max(most, running)

    runs = scripts(tmp_path, *["time.sleep(0.2)"] * 5)
    assert execute(runs, 2, event) == []
    assert most == 2
    assert sorted(events) == sorted((what, i) for what in ("started", "finished") for i in range(5))
    assert all(run.finished for run in runs)


def test_a_failure_stops_nobody_else_and_is_said_in_a_line(tmp_path):
    texts = "", "print('error: epochs: no such thing', flush=True); print('bye'); sys.exit(1)", "sys.exit(0)", ""
    runs = scripts(tmp_path, *texts)
    assert [run.seed for run in execute(runs, 1, lambda *_: None)] == [1, 2]
    assert [run.finished for run in runs] == [True, False, False, True]
    assert runs[1].failure() == f"arm, seed 1: epochs: no such thing ({runs[1].log})"
    assert runs[2].failure() == f"arm, seed 2: it said nothing ({runs[2].log})"


def test_a_run_of_another_yaml_or_with_a_file_missing_is_not_finished(tmp_path):
    (run,) = scripts(tmp_path, "")
    assert not run.finished
    execute([run], 1, lambda *_: None)
    assert run.finished
    assert not Script("arm", 0, run.folder, "pass").finished
    for name in COMPARED:
        content = (run.folder / name).read_text()
        (run.folder / name).unlink()
        assert not run.finished
        (run.folder / name).write_text(content)


def test_a_run_that_fails_at_once_does_not_pass_for_the_one_before(tmp_path):
    (run,) = scripts(tmp_path, "")
    execute([run], 1, lambda *_: None)
    again = Script("arm", 0, run.folder, "sys.exit(1)")
    assert execute([again], 1, lambda *_: None) == [again]
    assert not again.finished


def test_a_run_that_breaks_after_its_files_are_written_has_failed(tmp_path):
    (run,) = scripts(tmp_path, f"exec({WRITE!r})\nsys.exit(1)")
    assert execute([run], 1, lambda *_: None) == [run]


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_runs_and_what_they_started_and_keeps_what_is_finished(tmp_path):
    beat = tmp_path / "beat"
    child = f"import subprocess; subprocess.Popen([sys.executable, '-c', {BEATS!r}, {str(beat)!r}]); time.sleep(60)"
    finished, running, waiting = scripts(tmp_path, "", child, "")

    def interrupt(number, what, run):
        if (what, run) == ("started", running):
            deadline = time.monotonic() + 20
            while not beat.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            os.kill(os.getpid(), number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt):
            execute([finished, running, waiting], 1, lambda what, run, _, n=number: interrupt(n, what, run))
        assert finished.finished
        assert not running.finished
        assert not waiting.folder.exists()
        assert not beats(beat)
        beat.unlink()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_progress_counts_and_estimates(tmp_path):
    said = []
    runs = scripts(tmp_path, *[""] * 4)
    with MatrixProgress(6, 2, said.append) as progress:
        assert said == ["2 of 6 runs finished"]
        assert progress.left() is None
        for run in runs[:2]:
            progress.event("started", run, 0.0)
        progress.event("finished", runs[0], 100.0)
        assert progress.left() == pytest.approx((3 * 100) / 2, abs=2)
        runs[1].folder.mkdir(parents=True)
        runs[1].log.write_text("error: no\n")
        progress.event("failed", runs[1], 100.0)
    assert said[-1].startswith("failed: arm, seed 1: no (")
    assert said[-1].endswith("; 3 of 6 runs finished, 1 failed, about 2 min left")


def test_a_terminal_gets_a_bar():
    code = (
        "import sys; sys.stdout.isatty = lambda: True\n"
        "from pathlib import Path\n"
        "from yolo_balance.comparison.execution.runs import Run\n"
        "from yolo_balance.comparison.execution.progress import MatrixProgress\n"
        "run = Run('arm', 0, Path('.'), '')\n"
        "with MatrixProgress(3, 1, print) as progress:\n"
        "    progress.event('started', run, 0.0)\n"
        "    progress.event('finished', run, 5.0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 runs finished, about 5 s left" in done.stdout


def test_durations_are_short():
    assert [duration(s) for s in (0.4, 89, 91, 3600, 7500)] == ["0 s", "89 s", "2 min", "60 min", "2 h 5 min"]
