"""Differences between releases of Ultralytics, and what every room here needs: ranks, mix_in, quiet, one_line.

`check_release` runs when `yolo_balance.integration` is imported.

Supported: ultralytics >= 8.3.253. The differences, and the place that deals with each:

* 8.3.253 behaves as 8.4.0, but has no YOLO26: the small run of the contract is of YOLOv10, which has two heads too
  (`contract_examples`).
* 8.4.0 starts a loader's workers when the loader is built, later releases at its first epoch: a loader whose sampler
  is exchanged has to be reset (`hooks.loader.balance_loader`).
* 8.4.0 pickles the EMA model's criterion into checkpoints, later releases drop it first: we take ours off in either
  (`training.trainer.BalancedTrainerMixin.save_model`).
* 8.4.0 skips the box loss of a batch without positives, later releases compute a zero: hooks may not rely on being
  called (`hooks.criterion`).
* 8.4.0 picks positives in the box loss by a mask, later releases by indices: with CARL, whose weights carry gradient,
  the backward pass of the mask waits for the device once more there.
* The latest releases cap gradient accumulation by the length of the run; we do so on every release when attached
  (`training.attach.adopt`).
* Up to 8.4.139 the processes of several devices get neither callbacks nor a class made by `configured`: such a run is
  refused there (`check_devices`).
* Later releases rebuild the loader after running out of memory; 8.4.0 has no such retry.
* Later releases restore an end-to-end model's gain schedule on resume; 8.4.0 starts it anew, and so do we on it.
* Up to 8.4.100 the DETR loss of a layer takes masks before `postfix`, later releases do not: it goes by name
  (`hooks.detr`).
* 8.4.0 says by `model.pt` that a predictor's model is a checkpoint, later releases by `model.format`
  (`prediction.attach_thresholds._padded_least`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TypeVar

import torch.distributed as dist
import ultralytics
from ultralytics.engine import trainer as stock_trainer
from ultralytics.utils import LOGGER
from ultralytics.utils.checks import parse_version
from ultralytics.utils.torch_utils import strip_optimizer

from yolo_balance.errors import HostError
from yolo_balance.files import written_whole
from yolo_balance.integration.protocols import Checkpoint, Trainer

T = TypeVar("T")
OLDEST = "8.3.253"
TRACEBACK = "Traceback (most recent call last)"
SEVERAL_DEVICES = "8.4.140"
"""First release whose processes of several devices get callbacks and the trainer's own class."""


def check_release() -> None:
    """Raise HostError unless the installed Ultralytics is supported."""
    if parse_version(ultralytics.__version__) < parse_version(OLDEST):
        raise HostError(f"ultralytics: expected release {OLDEST} or later, got {ultralytics.__version__}")


def check_devices(trainer: Trainer) -> None:
    """Raise HostError where a trainer is about to start processes that would train without balance."""
    if trainer.ddp and parse_version(ultralytics.__version__) < parse_version(SEVERAL_DEVICES):
        raise HostError(
            f"device: expected one device with ultralytics {ultralytics.__version__}, got {trainer.world_size}; "
            f"several need ultralytics {SEVERAL_DEVICES} or later, earlier releases would train them without balance"
        )


def ranks() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) unless training is distributed."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def mix_in(instance: object, mixin: type[T], **attributes: object) -> T:
    """Give an instance the subclass of its own type that has `mixin` first, whoever wrote that type; return it."""
    base = type(instance)
    if not issubclass(base, mixin):
        instance.__class__ = type(base.__name__, (mixin, base), attributes)
    assert isinstance(instance, mixin)
    return instance


def strip_whole(f: str | Path, s: str | Path = "", updates: Checkpoint | None = None) -> Checkpoint:
    """Strip a checkpoint as Ultralytics' `strip_optimizer`, which writes in place, but whole or not at all."""
    with written_whole(Path(s or f)) as partial:
        stripped: Checkpoint = strip_optimizer(f, s=str(partial), updates=updates)
    return stripped


@contextmanager
def stripping_whole() -> Iterator[None]:
    """Let Ultralytics' trainers strip checkpoints by `strip_whole`, in this process."""
    stock_trainer.strip_optimizer = strip_whole
    try:
        yield
    finally:
        stock_trainer.strip_optimizer = strip_optimizer


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Ultralytics' progress; warnings still show."""
    level = LOGGER.level
    LOGGER.setLevel("WARNING")
    try:
        with redirect_stdout(io.StringIO()):  # progress bars; the logger has a handler of its own
            yield
    finally:
        LOGGER.setLevel(level)


def one_line(error: BaseException) -> str:
    """Return an exception's own words in one line, without Ultralytics' decoration or another process's traceback."""
    text = str(error).replace("❌", "").strip()
    if TRACEBACK in text:  # of a worker of a loader
        text = text.splitlines()[-1]
    text = " ".join(text.split()) or error.__class__.__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
