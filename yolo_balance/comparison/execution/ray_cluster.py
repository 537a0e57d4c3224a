"""Runs of a comparison on the machines of a Ray cluster, each the process that it is on one machine.

Ray says where a run goes and which GPU it sees (CUDA_VISIBLE_DEVICES); the run's folder is on storage that all
machines share.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolo_balance.comparison.execution.runs import CONFIG, PATIENCE, Event, Run, end, interruptible
from yolo_balance.errors import ConfigError
from yolo_balance.text import counted

LOCAL = "local"
STORE = 100 * 2**20  # bytes of Ray's object store: nothing but exit codes goes through it
GUARD = 'exec 3<&0; { read -r _ <&3 || { kill -TERM "-$0"; sleep "$1"; kill -KILL "-$0"; }; } &'
"""Waits for a line or the end of its input, and in the latter case ends a process group."""


@dataclass(frozen=True)
class Share:
    """What a run takes of a machine.

    Attributes:
        gpus: 1, the part of one that several runs share, or 0.
        cpus: Its CPUs.
    """

    gpus: float
    cpus: int


@dataclass(frozen=True)
class Cluster:
    """What Ray can run on.

    Attributes:
        machines: How many.
        gpus, cpus: Of all machines.
        most_cpus: Of the machine that has most; where there are GPUs, of those that have one.
    """

    machines: int
    gpus: int
    cpus: int
    most_cpus: int

    @classmethod
    def of(cls, nodes: Sequence[Mapping[str, Any]]) -> Cluster:
        """Of what `ray.nodes()` returns."""
        alive = [node["Resources"] for node in nodes if node["Alive"]]
        with_gpu = [resources for resources in alive if resources.get("GPU", 0) >= 1]
        gpus, cpus = (int(sum(resources.get(key, 0) for resources in alive)) for key in ("GPU", "CPU"))
        most = max((resources.get("CPU", 0) for resources in with_gpu or alive), default=0)
        return cls(len(alive), gpus, cpus, int(most))

    def share(self, jobs: int, cpus: int, *, gpu: bool) -> Share:
        """What each run takes.

        Args:
            jobs: Runs that share a GPU.
            cpus: CPUs of a run.
            gpu: Whether runs take a GPU where there is one.

        Raises:
            ConfigError: No machine has that, so that no run would ever start.
        """
        gpu = gpu and self.gpus > 0
        problems = []
        if not gpu and jobs > 1:
            problems.append(f"--jobs: expected 1 with --ray where runs take no GPU, and --cpus instead, got {jobs}")
        if cpus > self.most_cpus:
            problems.append(f"--cpus: expected at most {self.most_cpus}, what a machine of the cluster has, got {cpus}")
        if problems:
            raise ConfigError(problems)
        return Share(math.floor(1e4 / jobs) / 1e4 if gpu else 0.0, cpus)  # Ray counts in ten-thousandths, rounded

    def said(self, share: Share) -> str:
        """`Ray: 2 machines, 4 GPUs, 32 CPUs; a run takes 0.5 GPU and 2 CPUs`."""
        takes = f"{share.gpus:g} GPU and " if share.gpus else "no GPU, "
        return (
            f"Ray: {counted(self.machines, 'machine')}, {counted(self.gpus, 'GPU')}, {counted(self.cpus, 'CPU')}; "
            f"a run takes {takes}{counted(share.cpus, 'CPU')}"
        )


def check_installed() -> None:
    """Raises ConfigError where Ray is not."""
    try:
        import ray  # noqa: F401
    except ImportError as e:
        raise ConfigError(f"--ray: expected Ray, which cannot be imported ({e}); pip install ray") from e


@contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """The cluster at an address; one of this machine, with all its GPUs, is started for `local` and stopped after.

    Args:
        address: As Ray takes it. When None, that which this process is connected to already, and stays so; else
            RAY_ADDRESS, and `local` where that is not set.

    Raises:
        ConfigError: It cannot be reached.
    """
    import ray

    if address is None and ray.is_initialized():
        yield Cluster.of(ray.nodes())
        return
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    local = {"include_dashboard": False, "object_store_memory": STORE} if address == LOCAL else {}
    with interruptible():  # which also puts back the answer to SIGTERM that Ray replaces
        try:
            if address not in (LOCAL, "auto") and "://" not in address:
                _check_listens(address)  # Ray itself would try for minutes
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **local)
        except (OSError, RuntimeError, ValueError) as e:
            raise ConfigError(f"--ray: {address} cannot be reached ({_last_line(e)})") from e
        try:
            yield Cluster.of(ray.nodes())
        finally:
            ray.shutdown()


def execute(runs: Sequence[Run], share: Share, event: Event) -> list[Run]:
    """Run them on the cluster that is connected, in Ray's order; one that fails does not stop the others.

    Args:
        runs: What is to be run.
        share: What each takes.
        event: Told what happens.

    Returns:
        Those that failed, also by the loss of their machine.

    Raises:
        KeyboardInterrupt: After the runs under way were ended.
    """
    import ray

    place = ray.remote(Place).options(num_gpus=share.gpus, num_cpus=share.cpus, max_concurrency=2)
    places: dict[Run, Any] = {}
    since: dict[Run, float] = {}
    awaited: dict[Any, Run] = {}  # by reference to an answer
    failed = []

    def start(run: Run) -> None:
        run.prepare()
        since[run] = time.monotonic()
        event("started", run, 0.0)

    with interruptible():
        try:
            for run in runs:
                places[run] = place.remote()
                awaited[places[run].machine.remote()] = run
            while awaited:
                for answer in ray.wait(list(awaited), timeout=0.5)[0]:
                    run = awaited.pop(answer)
                    try:
                        said = ray.get(answer)
                        if run not in since:
                            start(run)
                            awaited[places[run].train.remote(run, os.getcwd())] = run
                            continue
                        reason = said if said is not None else _missing(run)
                    except ray.exceptions.RayError as e:
                        if run not in since:
                            start(run)
                        wrong = isinstance(e, ray.exceptions.RayTaskError)
                        what = "it could not be started on a machine of the cluster" if wrong else "its worker was lost"
                        reason = f"{what} ({_last_line(e)})"
                    ray.kill(places.pop(run))
                    if reason:
                        run.note(reason)
                    if reason is not None:
                        failed.append(run)
                    event("finished" if reason is None else "failed", run, time.monotonic() - since[run])
        finally:
            ended = [places[run].end.remote() for run in places if run in since]
            if ended:
                ray.wait(ended, num_returns=len(ended), timeout=PATIENCE + 5)
            for remaining in places.values():
                ray.kill(remaining)
    return failed


class Place:
    """Where a run is, an actor of Ray's: starts it there, waits for it and ends it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._ended, self._lock = False, threading.Lock()

    def machine(self) -> str:
        """Its name; an answer means that the place is free."""
        return socket.gethostname()

    def train(self, run: Run, cwd: str) -> str | None:
        """Run it.

        Args:
            run: Prepared.
            cwd: Folder that its paths start from.

        Returns:
            None when it ended well, why it failed where its log does not say so, or an empty text.
        """
        elsewhere = f"expected on storage that all machines share, but {self.machine()} does not have it"
        try:
            os.chdir(cwd)
        except OSError:
            return f"{cwd}: {elsewhere}"
        if not _appears(run.folder, lambda: (run.folder / CONFIG).read_text(encoding="utf-8") == run.text):
            return f"{run.folder.absolute()}: {elsewhere}"
        with self._lock:
            if self._ended:
                return ""
            self._child, log = run.start()
        with log, _guarded(self._child):
            return None if self._child.wait() == 0 else ""

    def end(self) -> None:
        """End what runs here; nothing is started here after."""
        with self._lock:
            self._ended = True
        if self._child is not None:
            end([self._child])


@contextmanager
def _guarded(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have the child end when this process is lost, as a worker of Ray's is that runs out of memory."""
    if os.name != "posix":
        yield
        return
    guard = subprocess.Popen(
        ["sh", "-c", GUARD, str(child.pid), str(PATIENCE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.communicate(b"\n")


def _check_listens(address: str) -> None:
    """Raises OSError where nothing answers at `host:port`, ConfigError for what is none."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise ConfigError(f"--ray: expected the address of a cluster such as 10.0.0.1:6379, got {address}")
    socket.create_connection((host, int(port)), timeout=10).close()


def _missing(run: Run) -> str | None:
    """Why a run that ended well has failed all the same."""
    if _appears(run.folder, lambda: run.finished):
        return None
    return f"it ended well, but its files are not in {run.folder.absolute()}: expected on storage all machines share"


def _appears(folder: Path, there: Callable[[], bool]) -> bool:
    """Whether something is seen in a folder; on a network file system that may take a while."""
    until = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError, UnicodeDecodeError):
            os.listdir(folder)  # has it looked at anew
            if there():
                return True
        if time.monotonic() > until:
            return False
        time.sleep(0.2)


def _last_line(error: BaseException) -> str:
    """What an error of Ray's comes to: it ends with the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:200] if lines else type(error).__name__
