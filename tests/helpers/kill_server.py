"""A process that has imported everything and forks one process for each order: it trains, and may be killed.

Run as a program. An order is a line of JSON on standard input, its answer a line of JSON on standard output.
"""

from __future__ import annotations

import builtins
import json
import os
import signal
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from ultralytics import YOLO

from yolo_balance import attach
from yolo_balance.cli import main
from yolo_balance.integration.training.run_sampling import RunSampling
from yolo_balance.run_folder.names import WEIGHTS
from yolo_balance.sampling import RecallFeedback

MOMENTS = {
    "rename": (os, "rename"),  # files written together
    "replace": (os, "replace"),  # a file written whole
    "fsync": (os, "fsync"),
    "mkdir": (os, "mkdir"),
    "unlink": (os, "unlink"),
    "write": (Path, "write_bytes"),  # a checkpoint
    "save": (torch, "save"),  # into memory, and when it is stripped
    "backward": (torch.Tensor, "backward"),  # in the middle of an epoch
    "open": (builtins, "open"),
}
"""Calls before which, or in whose middle, a process is killed."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch(calls: Counter, name: str, at: int | None) -> None:
    """Count the calls of a moment; kill the process at the one of that number."""
    owner, attribute = MOMENTS[name]
    stock = getattr(owner, attribute)

    def counted(*args, **kwargs):
        calls[name] += 1
        if calls[name] == at:
            if name == "write":  # half the bytes
                stock(args[0], args[1][: len(args[1]) // 2])
            die()
        return stock(*args, **kwargs)

    setattr(owner, attribute, counted)


def note_plans(file: Path) -> None:
    """Write each epoch's plan into a file, and let the feedback follow nothing but itself."""
    plan = RunSampling.plan

    def noting(self, trainer, *, again=False):
        found = plan(self, trainer, again=again)
        with file.open("a") as f:
            print(json.dumps([trainer.epoch + 1, found.seed, found.size, found.factors.round(9).tolist()]), file=f)
        return found

    def observe(self, report):
        past = np.nan_to_num(self.recall, nan=0.1)
        self.recall = (past + np.arange(1, len(past) + 1) / 10) / (1.5 + past)
        return np.ones(len(past), bool)

    RunSampling.plan, RecallFeedback.observe = noting, observe


def script(config: dict, folder: Path) -> int:
    """A user's script, as it is written to be started again."""
    arguments = {key: value for key, value in config.items() if key not in ("balance", "model")}
    last = folder / WEIGHTS / "last.pt"
    model = attach(YOLO(last if last.exists() else config["model"]), config["balance"])
    model.train(**arguments, resume=last.exists(), exist_ok=True)
    return 0


def train(order: dict) -> int:
    calls: Counter = Counter()
    for name in MOMENTS:
        watch(calls, name, order["at"] if name == order["moment"] else None)
    note_plans(Path(order["plans"]))
    started = time.monotonic()
    try:
        if order["way"] == "script":
            return script(order["config"], Path(order["folder"]))
        return main(["train", order["file"], *order["words"]])
    finally:
        Path(order["calls"]).write_text(json.dumps({**calls, "seconds": time.monotonic() - started}))


def serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            with open(order["log"], "a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            code = 99
            try:
                code = train(order)
            except BaseException as e:
                print(f"{type(e).__name__}: {e}", flush=True)
            os._exit(code)
        deadline = time.monotonic() + (order["seconds"] or 600)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            time.sleep(0.005)
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
        status = ended[1]
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


EARLY = ("torch._inductor", "polars", "ray", "torchvision", "ultralytics.utils.callbacks.base", "matplotlib.pyplot")
"""What a run imports on its way, imported once for all runs."""

if __name__ == "__main__":
    for module in EARLY:
        import_module(module)
    serve()
