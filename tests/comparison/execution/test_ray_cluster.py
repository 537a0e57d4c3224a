"""Laws of running on a Ray cluster: those of one machine, and what the loss of a machine or its storage adds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers import scripts as script_runs
from helpers.experiments import RUN, base, fails, stamps, write
from helpers.scripts import BEATS, Script, beats, interruptible, scripts

from yolo_balance.cli import main
from yolo_balance.comparison.execution import ray_cluster, runs
from yolo_balance.comparison.execution.ray_cluster import Cluster, Place, Share, connected, execute
from yolo_balance.errors import ConfigError

__all__ = ["base", "interruptible", "write"]  # fixtures
CPU = Share(gpus=0.0, cpus=1)


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": {**resources, "memory": 1e9, "node:10.0.0.1": 1.0}}


# ---------------------------------------------------------------------------------------------------------------------
# What a run takes
# ---------------------------------------------------------------------------------------------------------------------


def test_a_cluster_is_its_machines_that_are_alive():
    nodes = [node(CPU=8.0, GPU=2.0), node(CPU=64.0), node(False, CPU=128.0, GPU=8.0)]
    assert Cluster.of(nodes) == Cluster(machines=2, gpus=2, cpus=72, most_cpus=8)
    assert Cluster.of([node(CPU=4.0), node(CPU=64.0)]) == Cluster(machines=2, gpus=0, cpus=68, most_cpus=64)


def test_as_many_runs_as_asked_fit_a_gpu_and_no_more():
    found = Cluster(machines=1, gpus=1, cpus=8, most_cpus=8)
    for jobs in range(1, 33):
        share = found.share(jobs, 1, gpu=True)
        tenthousandths = round(share.gpus * 1e4)  # as Ray counts
        assert jobs * tenthousandths <= 10_000 < (jobs + 1) * tenthousandths


def test_runs_take_cpus_where_there_is_no_gpu_or_none_is_wanted():
    assert Cluster(1, 0, 8, 8).share(1, 4, gpu=True) == Share(0.0, 4)
    assert Cluster(1, 4, 8, 8).share(1, 4, gpu=False) == Share(0.0, 4)
    with pytest.raises(ConfigError, match=r"--jobs: expected 1 with --ray where runs take no GPU.*, got 2"):
        Cluster(1, 0, 8, 8).share(2, 1, gpu=True)


def test_cpus_that_no_machine_has_are_refused():
    with pytest.raises(ConfigError, match="--cpus: expected at most 8, what a machine of the cluster has, got 9"):
        Cluster(3, 3, 24, 8).share(1, 9, gpu=True)


def test_what_was_found_is_said():
    found = Cluster(machines=2, gpus=4, cpus=32, most_cpus=16)
    assert found.said(found.share(2, 1, gpu=True)) == "Ray: 2 machines, 4 GPUs, 32 CPUs; a run takes 0.5 GPU and 1 CPU"
    assert found.said(CPU) == "Ray: 2 machines, 4 GPUs, 32 CPUs; a run takes no GPU, 1 CPU"


# ---------------------------------------------------------------------------------------------------------------------
# A place of a run
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.3)


@pytest.fixture
def home():
    """The folder that tests start from, which a place leaves."""
    before = os.getcwd()
    yield before
    os.chdir(before)


@pytest.mark.usefixtures("short")
def test_a_machine_that_does_not_see_the_folder_says_so_and_trains_nothing(tmp_path, home):
    (run,) = scripts(tmp_path, "")
    gone = str(tmp_path / "gone")
    assert (Place().train(run, gone) or "").startswith(f"{gone}: expected on storage that all machines share, but ")
    assert (Place().train(run, home) or "").startswith(f"{run.folder}: expected on storage that all machines share")
    run.prepare()
    (run.folder / runs.CONFIG).write_text("of before")
    assert (Place().train(run, home) or "").startswith(f"{run.folder}: ")
    assert not run.log.exists()


@pytest.mark.usefixtures("home")
def test_paths_start_from_the_folder_of_who_asks(tmp_path):
    os.chdir(tmp_path)
    run = Script("arm", 0, Path("arm/seed0"), "import os; open('here', 'w').close()")
    run.prepare()
    os.chdir("/")
    assert Place().train(run, str(tmp_path)) is None
    assert (tmp_path / "here").exists()


def test_a_place_that_was_ended_starts_nothing(tmp_path, home):
    (run,) = scripts(tmp_path, "")
    run.prepare()
    place = Place()
    place.end()
    assert place.train(run, home) == ""
    assert not run.log.exists()


def test_a_place_ends_what_runs_there(tmp_path, home):
    (run,) = scripts(tmp_path, "time.sleep(60)")
    run.prepare()
    place, answers = Place(), []
    thread = threading.Thread(target=lambda: answers.append(place.train(run, home)))
    thread.start()
    until(run.log.exists)
    time.sleep(0.2)
    place.end()
    thread.join(20)
    assert answers == [""]


# ---------------------------------------------------------------------------------------------------------------------
# Ray itself
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def local():
    """A cluster of this machine, for all tests of this file."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    with connected("local") as found:
        ray.cloudpickle.register_pickle_by_value(script_runs)  # its workers do not find the tests
        yield found
    ray.cloudpickle.unregister_pickle_by_value(script_runs)
    assert signal.getsignal(signal.SIGTERM) == before


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("local", "short")
def test_each_is_run_once_and_a_failure_is_said_in_a_line(tmp_path):
    events = []
    texts = "", "print('error: epochs: no such thing', flush=True); sys.exit(1)", "sys.exit(0)"
    runs = scripts(tmp_path, *texts)
    failed = execute(runs, CPU, lambda what, run, _: events.append((what, run.seed)))
    assert {run.seed for run in failed} == {1, 2}
    assert sorted(events) == sorted(
        [*(("started", i) for i in range(3)), ("finished", 0), ("failed", 1), ("failed", 2)]
    )
    assert [run.finished for run in runs] == [True, False, False]
    assert runs[1].failure() == f"arm, seed 1: epochs: no such thing ({runs[1].log})"
    assert runs[2].failure() == (
        f"arm, seed 2: it ended well, but its files are not in {runs[2].folder}: "
        f"expected on storage all machines share ({runs[2].log})"
    )


def beating(tmp_path):
    """A run whose own process starts one that writes into a file every so often, and the file."""
    beat = tmp_path / "beat"
    child = (
        f"import os, subprocess; open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getppid()}} {{os.getpid()}}')\n"
        f"subprocess.Popen([sys.executable, '-c', {BEATS!r}, {str(beat)!r}]); time.sleep(60)"
    )
    return child, beat


def lives(pid):
    """Whether a process is there; one that ended may be listed until its parent has taken note."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout
    return state.strip()[:1] not in ("", "Z")


@pytest.mark.usefixtures("local")
def test_a_worker_that_is_lost_is_a_run_that_failed_and_leaves_no_orphan(tmp_path):
    child, beat = beating(tmp_path)
    runs = scripts(tmp_path, child, "")

    def kill():
        until(beat.exists)
        os.kill(int((tmp_path / "pids").read_text().split()[0]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert execute(runs, CPU, lambda *_: None) == [runs[0]]
    thread.join()
    assert runs[1].finished
    assert runs[0].failure().startswith("arm, seed 0: its worker was lost (")
    assert not beats(beat)
    assert not lives((tmp_path / "pids").read_text().split()[1])


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_runs_and_what_they_started_(tmp_path, local, number):
    child, beat = beating(tmp_path)
    runs = scripts(tmp_path, child, child)  # which of them comes first is Ray's choice

    def interrupt():
        until(beat.exists)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    all_of_them = Share(0.0, local.cpus)  # one at a time
    with pytest.raises(KeyboardInterrupt):
        execute(runs, all_of_them, lambda *_: None)
    assert not any(run.finished for run in runs)
    assert sum(run.folder.exists() for run in runs) == 1
    assert not lives((tmp_path / "pids").read_text().split()[1])
    assert not beats(beat)


@pytest.mark.usefixtures("local")
def test_an_experiment_on_a_cluster_is_that_of_one_machine(base, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["compare", base, "--seeds", "1", "--out", str(out), "--ray", "epochs=1"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Ray: 1 machine, " in said
    assert "; a run takes no GPU, 1 CPU\n" in said
    assert "base, seed 0: started" in said
    assert "; 1 of 1 runs finished\n" in said
    before = stamps(out)
    assert len(before) == 1
    words.remove("--ray")
    assert main(words) == 0
    assert "started" not in capsys.readouterr().out
    assert stamps(out) == before


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes
# ---------------------------------------------------------------------------------------------------------------------


def test_without_ray_installed_its_option_is_one_line(base, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    (line,) = fails(capsys, tmp_path, base, "--ray")
    assert line.startswith("--ray: expected Ray, which cannot be imported (")
    assert line.endswith("); pip install ray")


def test_a_device_is_left_to_ray(base, write, tmp_path, capsys):
    expected = "device: expected none with --ray, which gives each run its GPU, or cpu in every arm, got"
    assert fails(capsys, tmp_path, base, "device=mps", "--ray") == [f"{base}: {expected} mps"]
    arms = write(stock={"balance": {}}, other={"device": None})
    assert RUN["device"] == "cpu"
    assert fails(capsys, tmp_path, base, "--arms", *arms, "--ray") == [f"{base}: {expected} cpu"]


def test_an_address_where_there_is_no_cluster_is_one_line(base, tmp_path, capsys):
    assert fails(capsys, tmp_path, base, "--ray", "here") == [
        "--ray: expected the address of a cluster such as 10.0.0.1:6379, got here"
    ]
    (line,) = fails(capsys, tmp_path, base, "--ray", "127.0.0.1:1")
    assert line.startswith("--ray: 127.0.0.1:1 cannot be reached (")


@pytest.mark.usefixtures("local")
def test_what_the_cluster_has_not_is_one_line(base, tmp_path, capsys):
    lines = fails(capsys, tmp_path, base, "--jobs", "2", "--cpus", "1000", "--ray")
    assert [line.partition(":")[0] for line in lines] == ["--jobs", "--cpus"]
