"""The host: what differs between Ultralytics releases, and its answers to what a run asks, as our errors.

Supported: ultralytics >= 8.4.0. What differs between releases, and where it is dealt with:

* 8.4.0 starts a loader's workers when the loader is built, later releases at its first epoch: a loader whose sampler
  is exchanged has to be reset (`loader.balance_loader`).
* 8.4.0 pickles the EMA model's criterion into checkpoints, later releases drop it first: we take ours off in either
  (`trainer.BalancedTrainerMixin.save_model`).
* 8.4.0 skips the box loss of a batch without positives, later releases compute a zero: hooks may not rely on being
  called (`criterion`).
* 8.4.0 picks positives in the box loss by a mask, later releases by indices: with CARL, whose weights carry gradient,
  the backward pass of the mask waits for the device once more there.
* The latest releases cap gradient accumulation by the length of the run; we do so on every release when attached.
* Later releases rebuild the loader after running out of memory; 8.4.0 has no such retry.
* Later releases restore an end-to-end model's gain schedule on resume; 8.4.0 starts it anew, and so do we on it.
* 8.4.0 says by `model.pt` that a predictor's model is a checkpoint, later releases by `model.format`
  (`thresholds._padded_least`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch.distributed as dist
from ultralytics.utils import LOGGER


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) unless training is distributed."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def mix_in(instance: Any, mixin: type, **attributes: Any) -> None:
    """Give an instance the subclass of its own type that has `mixin` first, whoever's that type is."""
    base = type(instance)
    if not issubclass(base, mixin):
        instance.__class__ = type(base.__name__, (mixin, base), attributes)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the host says of its progress, its warnings aside."""
    level = LOGGER.level
    LOGGER.setLevel("WARNING")
    try:
        with redirect_stdout(io.StringIO()):  # its bars; its logger has a handler of its own
            yield
    finally:
        LOGGER.setLevel(level)


def one_line(error: BaseException) -> str:
    """An exception's own words in one line, without the host's decoration."""
    text = " ".join(str(error).replace("❌", "").split()) or error.__class__.__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
