"""Laws of running side by side: so many at a time, a failure stops nobody else, an interruption ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.scripts import WRITE, Script, beating, interruptible, is_alive, scripts, still_beats, until

from yolo_balance.comparison.execution import runs as runs_module
from yolo_balance.comparison.execution.locked_log import locked_log
from yolo_balance.comparison.execution.runs import Run, execute_runs, local_queue
from yolo_balance.errors import DataError
from yolo_balance.run_folder.names import COMPARED

__all__ = ["interruptible"]  # a fixture


def execute(runs, jobs=1, event=lambda *_: None):
    with local_queue(jobs) as submit:
        return execute_runs(runs, submit, event)


def test_each_is_run_once_and_no_more_than_so_many_at_a_time(tmp_path):
    events, running, most = [], 0, 0

    def event(what, run, seconds, reason):
        nonlocal running, most
        events.append((what, run.seed))
        running += 1 if what == "started" else -1
        most = max(most, running)

    runs = scripts(tmp_path, *["time.sleep(0.2)"] * 4)
    assert execute(runs, 2, event) == {}
    assert most == 2
    assert sorted(events) == sorted((what, i) for what in ("started", "finished") for i in range(4))
    assert all(run.finished for run in runs)


def test_a_failure_stops_nobody_else_and_is_a_line(tmp_path):
    texts = "", "print('error: epochs: no such thing', flush=True); print('bye'); sys.exit(1)", "sys.exit(0)", ""
    runs = scripts(tmp_path, *texts)
    failed = execute(runs)
    assert {run.seed: reason for run, reason in failed.items()} == {
        1: "epochs: no such thing",
        2: "log.txt is empty (exit code 0)",
    }
    assert [run.finished for run in runs] == [True, False, False, True]
    assert runs[1].failure("no") == f"arm, seed 1: no ({runs[1].log})"


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
    assert list(execute([again])) == [again]
    assert not again.finished


def test_a_run_that_breaks_after_its_files_are_written_has_failed(tmp_path):
    (run,) = scripts(tmp_path, f"exec({WRITE!r})\nsys.exit(1)")
    assert list(execute([run])) == [run]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_runs_and_what_they_started_and_keeps_what_is_finished(tmp_path, number):
    script, beat, pids = beating(tmp_path)
    finished, running, waiting = scripts(tmp_path, "", script, "")

    def interrupt(what, run, *_):
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


def comparison(tmp_path, script, patience=10):
    """Start a process that executes one script as a comparison does."""
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from helpers.scripts import scripts; from pathlib import Path\n"
        "from yolo_balance.comparison.execution import runs\n"
        f"runs.PATIENCE = {patience}\n"
        "with runs.local_queue(1) as submit:\n"
        f"    runs.execute_runs(scripts(Path(sys.argv[1]), {script!r}), submit, lambda *_: None)\n"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *sys.path])


def test_a_run_does_not_outlive_a_comparison_that_is_killed(tmp_path):
    script, beat, pids = beating(tmp_path)
    killed = comparison(tmp_path, script)
    until(beat.exists)
    killed.kill()
    killed.wait()
    until(lambda: not is_alive(pids.read_text().split()[1]))
    assert not still_beats(beat)


def test_a_run_waits_until_the_run_of_a_killed_comparison_has_ended(tmp_path):
    beat, ends_late = tmp_path / "beat", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    script = f"{ends_late}while True:\n    open({str(beat)!r}, 'a').write('x'); time.sleep(0.02)"
    killed = comparison(tmp_path, script, patience=2)
    until(beat.exists)
    killed.kill()
    killed.wait()
    alone = f"size = lambda: len(open({str(beat)!r}).read())\nbefore = size(); time.sleep(0.5)\nassert size() == before"
    assert not execute(scripts(tmp_path, alone))


def test_a_run_that_another_comparison_executes_is_left_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(runs_module, "PATIENCE", 0.2)
    (run,) = scripts(tmp_path, "")
    run.folder.mkdir(parents=True)
    with locked_log(run.log, 1, threading.Event()) as log:
        log.write(b"of the other\n")
        log.flush()
        assert execute([run]) == {run: "another process still writes into this folder, as that of another compare"}
        assert run.log.read_text() == "of the other\n"
    assert execute([run]) == {}


def test_a_run_that_another_comparison_finished_meanwhile_is_not_run_again(tmp_path):
    finished, again = scripts(tmp_path, "")[0], Script("arm", 0, tmp_path / "arm" / "seed0", "")
    execute([finished])
    before = {path: path.stat().st_mtime_ns for path in finished.folder.iterdir() if path != finished.log}
    assert execute([again]) == {}
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize(
    ("name", "hint"), [("SIGKILL", " (out of memory?)"), ("SIGSEGV", ""), ("SIGBUS", " (shared memory full?)")]
)
def test_the_signal_that_killed_a_run_is_its_reason(tmp_path, name, hint):
    text = f"print('error: of before', flush=True); import os, signal; os.kill(os.getpid(), signal.{name})"
    (run,) = scripts(tmp_path, text)
    assert execute([run]) == {run: f"killed by {name}{hint}"}
    assert run.log.read_text().endswith(f"error: killed by {name}{hint}\n")


def test_a_full_disk_ends_the_comparison(tmp_path):
    full = "print('error: train: stopped ([Errno 28] No space left on device)', flush=True); sys.exit(1)"
    first, second, third = scripts(tmp_path, "", full, "")
    with pytest.raises(
        DataError, match=r"^arm, seed 1: train: stopped \(\[Errno 28\] No space left on device\) \(.*log"
    ):
        execute([first, second, third])
    assert first.finished
    assert not third.finished


def test_no_file_of_the_working_folder_is_imported_and_its_data_are_found(tmp_path, monkeypatch):
    for name in ("ray", "torch", "random", "yaml", "wandb", "yolo_balance", "ultralytics", "numpy", "json", "cv2"):
        (tmp_path / f"{name}.py").write_text("open('executed', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("train: here\nval: here\nnames: [a]\n")
    run = Run("arm", 0, Path("arm/seed0"), "model: yolo11n.yaml\ndata: mine.yaml\ndevice: cpu\n")
    (reason,) = execute([run]).values()
    assert reason.startswith("data: mine.yaml cannot be used (")
    assert str(tmp_path / "here") in reason
    assert not (tmp_path / "executed").exists()
