"""Cost of the loss terms, paired against stock in one process: time, memory and waits for the device.

    python examples/benchmarks/loss_overhead.py [--model yolo26n.yaml] [--imgsz 640] [--batch 16] [--classes 80]

For each number of objects per image and for two sets of terms, `three` (quality focal, ISR-P, CARL) and `everything`,
each round times the loss and its gradient with respect to the head's output for stock and balanced, one after the
other in alternating order, so that a drift of the machine's speed hits both. Printed are the added time, its quartiles
over the rounds, and what share of a whole training step of stock it is (forward, loss, backward, optimizer; the median
of `--steps`). On a GPU everything is timed with the device synchronised, whole steps are paired too, and the waits for
the device that the terms add are counted with `torch.cuda.set_sync_debug_mode`. Peak memory is that of a whole step:
on a GPU the allocator's, on a CPU the resident set of a fresh process each.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import LOGGER

from yolo_balance.config import LossesConfig
from yolo_balance.integration.hooks.criterion import balance_criterion
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.sampling import ClassStatistics

THREE: dict[str, Any] = {"focal": {}, "isr": {}, "carl": {}}
EVERYTHING: dict[str, Any] = {
    "class_weights": "effective_number",
    "focal": {},
    "eqlv2": {},
    "logit_adjustment": {},
    "isr": {"negatives": {}},
    "carl": {},
    "negatives": {"rule": "iou_balanced"},
    "positives": "instance_balanced",
}
ARMS: dict[str, dict[str, Any] | None] = {"stock": None, "three": THREE, "everything": EVERYTHING}


def terms(losses: dict[str, Any] | None, classes: int) -> Callable[[str], Any]:
    """Build a head's terms, on a long tail of classes."""
    if losses is None:
        return lambda head: []
    labels = [np.full(1, c) for c in range(classes) for _ in range(1 + 400 // (c + 1))]
    statistics = ClassStatistics.of(labels, classes)
    names = [str(c) for c in range(classes)]
    run = RunLosses(LossesConfig.model_validate(losses), statistics, names, statistics.box_shares())
    return run.terms


def make_batch(options: argparse.Namespace, objects: int) -> dict[str, Any]:
    """Build noise images with a number of boxes each."""
    g = torch.Generator().manual_seed(0)
    images, imgsz = options.batch, options.imgsz
    n = images * objects
    batch = {
        "img": torch.rand(images, 3, imgsz, imgsz, generator=g),
        "batch_idx": torch.repeat_interleave(torch.arange(images), objects).float(),
        "cls": torch.randint(options.classes, (n, 1), generator=g).float(),
        "bboxes": torch.cat([torch.rand(n, 2, generator=g), 0.03 + 0.2 * torch.rand(n, 2, generator=g)], 1),
    }
    return {key: value.to(options.device) for key, value in batch.items()}


class Bench:
    """A model with its optimizer, and steps of it under different criteria."""

    def __init__(self, options: argparse.Namespace):
        torch.manual_seed(0)
        self.device, self.classes = options.device, options.classes
        self.model: Any = DetectionModel(options.model, nc=self.classes, verbose=False).to(self.device).train()
        self.model.args = get_cfg()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4)
        self.batch: dict[str, Any] = {}

    def criterion(self, arm: str) -> Any:
        """Build a new criterion with an arm's terms."""
        return balance_criterion(self.model.init_criterion(), terms(ARMS[arm], self.classes))

    def step(self, criterion: Any) -> None:
        """Run one whole training step."""
        self.optimizer.zero_grad()
        with torch.autocast("cuda", enabled=self.device == "cuda"):
            loss = criterion(self.model(self.batch["img"]), self.batch)[0].sum()
        loss.backward()
        self.optimizer.step()
        self.wait()

    def output(self) -> Any:
        """Return the head's output as leaves, so that a loss can be taken of it again and again."""
        with torch.no_grad():
            return _leaves(self.model(self.batch["img"]))

    def loss(self, criterion: Any, output: Any) -> None:
        """Compute the loss and its gradient with respect to the head's output."""
        criterion(output, self.batch)[0].sum().backward()
        self.wait()

    def wait(self) -> None:
        """Wait for the device, if it works on its own."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def _leaves(x: Any) -> Any:
    if isinstance(x, torch.Tensor):
        return x.detach().float().requires_grad_()
    if isinstance(x, dict):
        return {key: _leaves(value) for key, value in x.items()}
    return type(x)(map(_leaves, x)) if isinstance(x, (list, tuple)) else x


def timed(call: Callable[[], None]) -> float:
    """Measure one call in milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e3


def paired(stock: Callable[[], None], balanced: Callable[[], None], rounds: int) -> Any:
    """Return (rounds, 2) milliseconds, after a warm-up of each."""
    calls = (stock, balanced)
    for call in calls:
        call()
    times = np.empty((rounds, 2))
    for i in range(rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            times[i, which] = timed(calls[which])
    return times


def waits(call: Callable[[], None]) -> int:
    """Count the times that the CPU waits for the GPU."""
    call()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        call()
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(w.message) for w in seen)


def peak(options: argparse.Namespace, arm: str, objects: int) -> float:
    """Measure the peak memory of a whole step in MB, in a fresh process."""
    words = [sys.executable, __file__, "--model", options.model, "--imgsz", str(options.imgsz)]
    words += ["--batch", str(options.batch), "--device", options.device, "--classes", str(options.classes)]
    words += ["--peak", arm, str(objects)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def print_peak(options: argparse.Namespace) -> None:
    """Print the peak memory of a step; `peak` runs this in a process of its own."""
    arm, objects = options.peak
    bench = Bench(options)
    bench.batch = make_batch(options, int(objects))
    criterion = bench.criterion(arm)
    for _ in range(2):
        bench.step(criterion)
    gpu = options.device == "cuda"
    print(
        torch.cuda.max_memory_allocated() / 2**20 if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    )


def main() -> None:
    """Compare both sets of terms with stock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo26n.yaml")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--peak", nargs=2, metavar=("ARM", "OBJECTS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    if options.peak:
        print_peak(options)
        return
    bench = Bench(options)
    for objects in options.objects:
        bench.batch = make_batch(options, objects)
        step = partial(bench.step, bench.criterion("stock"))
        step()
        took = float(np.median([timed(step) for _ in range(options.steps)]))
        print(f"{objects} objects per image: a training step of stock takes {took:.0f} ms")
        memory = peak(options, "stock", objects)
        for arm in ("three", "everything"):
            compare(bench, arm, took, options)
            print(f"  {'':10} peak memory x {peak(options, arm, objects) / memory:.4f} of {memory:.0f} MB", flush=True)


def compare(bench: Bench, arm: str, took: float, options: argparse.Namespace) -> None:
    """Print the time that an arm's loss adds to a step that takes `took` milliseconds."""
    criteria, output = (bench.criterion("stock"), bench.criterion(arm)), bench.output()
    losses = [partial(bench.loss, criterion, output) for criterion in criteria]
    times = paired(losses[0], losses[1], options.rounds)
    low, middle, high = np.percentile(times[:, 1] - times[:, 0], [25, 50, 75])
    before, after = np.median(times, axis=0)
    print(
        f"  {arm:10} loss {before:.1f} -> {after:.1f} ms, added {middle:.1f} [{low:.1f}, {high:.1f}] ms, "
        f"n = {options.rounds}: step x {1 + middle / took:.4f}"
    )
    if options.device == "cuda":
        steps = [partial(bench.step, criterion) for criterion in criteria]
        whole = paired(steps[0], steps[1], options.rounds)
        low, middle, high = np.percentile(whole[:, 1] / whole[:, 0], [25, 50, 75])
        added = waits(losses[1]) - waits(losses[0])
        print(f"  {'':10} whole steps x {middle:.4f} [{low:.4f}, {high:.4f}], waits added {added}")


if __name__ == "__main__":
    main()
