"""Runs of a comparison on the machines of a Ray cluster, each a task that executes the process of the run.

Ray chooses the machine of a run and its GPU (CUDA_VISIBLE_DEVICES). All machines share the storage of the runs.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager

import ray

from yolo_balance.comparison.execution.runs import PATIENCE, Run, Submit, interruptible, last_line
from yolo_balance.errors import ConfigError, DataError

Machines = Sequence[Mapping[str, float]]
STORE = 100 * 2**20  # bytes of Ray's object store: nothing but answers goes through it


@contextmanager
def connected(address: str | None) -> Iterator[Machines]:
    """Connect to a Ray cluster and yield the resources of each machine; on the way out disconnect.

    Args:
        address: Address as Ray takes it; `local` starts a cluster of this machine. None is the cluster that this
            process is connected to, else RAY_ADDRESS, else `local`.

    Raises:
        ConfigError: The cluster cannot be reached.
    """
    own = address is not None or not ray.is_initialized()
    if own:
        _connect(address or os.environ.get("RAY_ADDRESS") or "local")
    try:
        yield [node["Resources"] for node in ray.nodes() if node["Alive"]]
    finally:
        if own:
            ray.shutdown()


def _connect(address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    options = {"include_dashboard": False, "object_store_memory": STORE} if address == "local" else {}
    try:
        if address not in ("local", "auto") and "://" not in address:
            machine, _, port = address.rpartition(":")
            if not port.isdecimal():
                raise ConfigError(f"--ray: expected the address of a cluster such as 10.0.0.1:6379, got {address}")
            socket.create_connection((machine, int(port)), timeout=10).close()  # Ray itself would try for minutes
        with interruptible():  # Ray leaves a handler of SIGTERM of its own
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError) as e:
        raise ConfigError(f"--ray: {address} cannot be reached ({last_line(e)})") from e


def reservation(machines: Machines, jobs: int, cpus: int, *, gpu: bool) -> dict[str, float]:
    """Return the resources that Ray reserves for each run: `num_gpus`, a share where runs share one, and `num_cpus`.

    Args:
        machines: Resources of each machine of the cluster.
        jobs: Runs that share a GPU.
        cpus: CPUs of a run.
        gpu: Whether runs take a GPU where the cluster has one.

    Raises:
        ConfigError: No machine has these resources, so that no run would ever start.
    """
    with_gpu = [machine for machine in machines if gpu and machine.get("GPU", 0) >= 1]
    most = max((int(machine.get("CPU", 0)) for machine in with_gpu or machines), default=0)
    problems = []
    if jobs > 1 and not with_gpu:
        problems.append(f"--jobs: expected 1 with --ray where runs take no GPU, and --cpus instead, got {jobs}")
    if cpus > most:
        problems.append(f"--cpus: expected at most {most}, what a machine of the cluster has, got {cpus}")
    if problems:
        raise ConfigError(problems)
    return {"num_gpus": math.floor(1e4 / jobs) / 1e4 if with_gpu else 0, "num_cpus": cpus}  # Ray rounds to 1e-4


@contextmanager
def ray_queue(reserved: Mapping[str, float]) -> Iterator[Submit]:
    """Yield the queue of the connected cluster, which Ray orders; on the way out end the running ones."""
    task = ray.remote(max_retries=0, **reserved)(_execute)
    answers: dict[ray.ObjectRef, Future[str | None]] = {}

    def submit(run: Run) -> Future[str | None]:
        answer = task.remote(run, os.getcwd())
        return answers.setdefault(answer, answer.future())

    try:
        yield submit
    finally:
        for answer in answers:
            ray.cancel(answer, force=True)  # ends the worker, and the run with it
        wait(answers.values(), timeout=PATIENCE)


def _execute(run: Run, cwd: str) -> str | None:
    for folder in (cwd, os.path.join(cwd, run.folder)):
        if not os.path.isdir(folder):
            raise DataError(f"{folder}: expected on storage that all machines share; {socket.gethostname()} has none")
    os.chdir(cwd)
    return run.execute(threading.Event())
