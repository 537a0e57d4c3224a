"""Laws of a Ray cluster: those of one machine, and the loss of a machine or of the shared storage."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import ray
from helpers import scripts as script_runs
from helpers.experiments import RUN, base, fails, write
from helpers.scripts import Script, beating, interruptible, is_alive, scripts, still_beats, until

from yolo_balance.cli import main
from yolo_balance.comparison.execution.ray_queue import connected, ray_queue, reservation
from yolo_balance.comparison.execution.runs import execute_runs
from yolo_balance.errors import ConfigError

__all__ = ["base", "interruptible", "write"]  # fixtures
ONE_CPU = {"num_gpus": 0, "num_cpus": 1}


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine with two CPUs, for all tests of this file."""
    ray.cloudpickle.register_pickle_by_value(script_runs)  # its workers do not find the tests
    with connected("local") as machines:
        yield machines
    ray.cloudpickle.unregister_pickle_by_value(script_runs)


# ---------------------------------------------------------------------------------------------------------------------
# What a run reserves
# ---------------------------------------------------------------------------------------------------------------------


def test_as_many_runs_as_asked_fit_a_gpu_and_no_more():
    for jobs in range(1, 33):
        share = reservation([{"GPU": 1.0, "CPU": 8.0}], jobs, 1, gpu=True)["num_gpus"]
        tenthousandths = round(share * 1e4)  # as Ray counts
        assert jobs * tenthousandths <= 10_000 < (jobs + 1) * tenthousandths


def test_runs_take_cpus_where_there_is_no_gpu_or_none_is_wanted():
    assert reservation([{"CPU": 8.0}], 1, 4, gpu=True) == {"num_gpus": 0, "num_cpus": 4}
    assert reservation([{"CPU": 8.0, "GPU": 4.0}], 1, 4, gpu=False) == {"num_gpus": 0, "num_cpus": 4}
    with pytest.raises(ConfigError, match=r"--jobs: expected 1 with --ray where runs take no GPU.*, got 2"):
        reservation([{"CPU": 8.0}], 2, 1, gpu=True)


def test_cpus_that_no_machine_with_a_gpu_has_are_refused():
    machines = [{"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0}]
    with pytest.raises(ConfigError, match="--cpus: expected at most 8, what a machine of the cluster has, got 9"):
        reservation(machines, 1, 9, gpu=True)
    assert reservation(machines, 1, 9, gpu=False)["num_cpus"] == 9


# ---------------------------------------------------------------------------------------------------------------------
# Runs
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cluster")
def test_each_is_run_once_and_a_failure_is_a_line(tmp_path):
    events = []
    texts = "", "print('error: epochs: no such thing', flush=True); sys.exit(1)", "sys.exit(0)"
    runs = scripts(tmp_path, *texts)
    with ray_queue(ONE_CPU) as submit:
        failed = execute_runs(runs, submit, lambda what, run, *_: events.append((what, run.seed)))
    assert {run.seed for run in failed} == {1, 2}
    assert sorted(events) == sorted(
        [*(("started", i) for i in range(3)), ("finished", 0), ("failed", 1), ("failed", 2)]
    )
    assert [run.finished for run in runs] == [True, False, False]
    assert failed[runs[1]] == "epochs: no such thing"


@pytest.mark.usefixtures("cluster")
def test_paths_start_from_the_folder_of_the_command_and_storage_that_is_not_shared_is_a_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = Script("arm", 0, Path("arm/seed0"), "open('here', 'w').close()")
    with ray_queue(ONE_CPU) as submit:
        assert execute_runs([here], submit, lambda *_: None) == {}
        assert (tmp_path / "here").exists()
        error = submit(Script("arm", 1, Path("gone"), "")).exception()  # no folder was made for it
    expected = f"{tmp_path / 'gone'}: expected on storage that all machines share"
    assert expected in str(error).splitlines()[-1]


@pytest.mark.usefixtures("cluster")
def test_a_lost_worker_is_a_failed_run_in_a_line_and_leaves_no_process(tmp_path):
    script, beat, pids = beating(tmp_path)
    runs = scripts(tmp_path, script, "")

    def kill():
        until(beat.exists)
        os.kill(int(pids.read_text().split()[0]), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with ray_queue(ONE_CPU) as submit:
        failed = execute_runs(runs, submit, lambda *_: None)
    thread.join()
    assert runs[1].finished
    (reason,) = failed.values()
    assert "\n" not in reason
    assert "died unexpectedly" in reason
    until(lambda: not is_alive(pids.read_text().split()[1]))
    assert not still_beats(beat)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_runs_and_what_they_started_(tmp_path, cluster, number):
    script, beat, pids = beating(tmp_path)
    runs = scripts(tmp_path, script, script)  # which of them comes first is Ray's choice

    def interrupt():
        until(beat.exists)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    one_at_a_time = {"num_gpus": 0, "num_cpus": int(cluster[0]["CPU"])}
    with pytest.raises(KeyboardInterrupt), ray_queue(one_at_a_time) as submit:
        execute_runs(runs, submit, lambda *_: None)
    assert not any(run.finished for run in runs)
    assert sum(run.started for run in runs) == 1
    until(lambda: not is_alive(pids.read_text().split()[1]))
    assert not still_beats(beat)


@pytest.mark.usefixtures("cluster")
def test_an_experiment_on_a_cluster_is_that_of_one_machine(base, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["compare", base, "--seeds", "1", "--out", str(out), "--ray", "epochs=1"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "Ray: 1 machine; each run takes 1 CPU\n" in printed
    assert "base, seed 0: started" in printed
    assert "; 1 of 1 runs finished\n" in printed
    words.remove("--ray")
    assert main(words) == 0
    assert "started" not in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes
# ---------------------------------------------------------------------------------------------------------------------


def test_without_ray_installed_its_option_is_one_line(base, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "yolo_balance.comparison.execution.ray_queue")
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


@pytest.mark.usefixtures("cluster")
def test_resources_that_the_cluster_lacks_are_one_line_each(base, tmp_path, capsys):
    lines = fails(capsys, tmp_path, base, "--jobs", "2", "--cpus", "1000", "--ray")
    assert [line.partition(":")[0] for line in lines] == ["--jobs", "--cpus"]
