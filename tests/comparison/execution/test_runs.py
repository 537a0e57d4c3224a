"""Laws of running side by side: so many at a time, a failure stops nobody else, an interruption ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from helpers.scripts import WRITE, Script, beating, interruptible, is_alive, scripts, still_beats, until

from yolo_balance.comparison.execution.runs import execute_runs, local_queue
from yolo_balance.run_folder.names import COMPARED

__all__ = ["interruptible"]  # a fixture


def execute(runs, jobs=1, event=lambda *_: None):
    with local_queue(jobs) as submit:
        return execute_runs(runs, submit, event)


def test_each_is_run_once_and_no_more_than_so_many_at_a_time(tmp_path):
    events, running, most = [], 0, 0

    def event(what, run, seconds):
        nonlocal running, most
        events.append((what, run.seed))
        running += 1 if what == "started" else -1
        most = max(most, running)

    runs = scripts(tmp_path, *["time.sleep(0.2)"] * 4)
    assert execute(runs, 2, event) == []
    assert most == 2
    assert sorted(events) == sorted((what, i) for what in ("started", "finished") for i in range(4))
    assert all(run.finished for run in runs)


def test_a_failure_stops_nobody_else_and_is_a_line(tmp_path):
    texts = "", "print('error: epochs: no such thing', flush=True); print('bye'); sys.exit(1)", "sys.exit(0)", ""
    runs = scripts(tmp_path, *texts)
    assert [run.seed for run in execute(runs)] == [1, 2]
    assert [run.finished for run in runs] == [True, False, False, True]
    assert runs[1].failure() == f"arm, seed 1: epochs: no such thing ({runs[1].log})"
    assert runs[2].failure() == f"arm, seed 2: log.txt is empty ({runs[2].log})"


def test_a_run_of_another_yaml_or_with_a_file_missing_is_not_finished(tmp_path):
    (run,) = scripts(tmp_path, "")
    assert not run.finished
    execute([run])
    assert run.finished
    assert not Script("arm", 0, run.folder, "pass").finished
    for name in COMPARED:
        content = (run.folder / name).read_text()
        (run.folder / name).unlink()
        assert not run.finished
        (run.folder / name).write_text(content)


def test_a_run_that_fails_at_once_does_not_pass_for_the_one_before(tmp_path):
    (run,) = scripts(tmp_path, "")
    execute([run])
    again = Script("arm", 0, run.folder, "sys.exit(1)")
    assert execute([again]) == [again]
    assert not again.finished


def test_a_run_that_breaks_after_its_files_are_written_has_failed(tmp_path):
    (run,) = scripts(tmp_path, f"exec({WRITE!r})\nsys.exit(1)")
    assert execute([run]) == [run]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_runs_and_what_they_started_and_keeps_what_is_finished(tmp_path, number):
    script, beat, pids = beating(tmp_path)
    finished, running, waiting = scripts(tmp_path, "", script, "")

    def interrupt(what, run, _):
        if (what, run) == ("started", running):
            until(beat.exists)
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        execute([finished, running, waiting], event=interrupt)
    assert finished.finished
    assert not running.finished
    assert not waiting.started
    assert not is_alive(pids.read_text().split()[1])
    assert not still_beats(beat)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_run_does_not_outlive_a_comparison_that_is_killed(tmp_path):
    script, beat, pids = beating(tmp_path)
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from helpers.scripts import scripts; from pathlib import Path\n"
        "from yolo_balance.comparison.execution.runs import execute_runs, local_queue\n"
        "with local_queue(1) as submit:\n"
        f"    execute_runs(scripts(Path(sys.argv[1]), {script!r}), submit, lambda *_: None)\n"
    )
    comparison = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *sys.path])
    until(beat.exists)
    comparison.kill()
    comparison.wait()
    until(lambda: not is_alive(pids.read_text().split()[1]))
    assert not still_beats(beat)
