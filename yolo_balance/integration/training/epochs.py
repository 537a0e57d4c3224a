"""Callbacks of a balanced trainer at the start and the end of an epoch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from ultralytics.utils import LOGGER, RANK

from yolo_balance.integration.hooks.loader import start_epoch
from yolo_balance.run_folder.history import append_exposure, keep_epochs
from yolo_balance.views.training_console import deviation_line

if TYPE_CHECKING:
    from yolo_balance.integration.training.trainer import BalancedTrainerMixin


@dataclass
class EpochClock:
    """The epoch that started last, and the time that epochs took.

    Attributes:
        epoch: The epoch that started last, None before the first.
        since: Start of that epoch, by `time.perf_counter`.
        seconds: Spent in the epochs' batches so far, validation aside.
    """

    epoch: int | None = None
    since: float = 0.0
    seconds: float = 0.0


def _start_epoch(trainer: BalancedTrainerMixin) -> None:
    again = trainer.epoch == trainer.clock.epoch  # after running out of memory, or after a loss that was no number
    trainer.clock.epoch = trainer.epoch
    if again and RANK in (-1, 0):
        keep_epochs(trainer.save_dir, trainer.epoch)
    if again and trainer.selection is not None:
        trainer.selection.start_again()
    plan = None if trainer.sampling is None else trainer.sampling.plan(trainer, again=again)
    trainer.exposure.start_epoch(plan, again=again)
    start_epoch(trainer.train_loader, trainer.epoch, plan)
    trainer.clock.since = time.perf_counter()


def _end_epoch(trainer: BalancedTrainerMixin) -> None:
    trainer.clock.seconds += time.perf_counter() - trainer.clock.since
    exposure = trainer.exposure
    if dist.is_initialized():  # once per epoch, after its last step
        counts = torch.as_tensor(exposure.counts(), device=trainer.device)
        dist.all_reduce(counts)
        exposure.set_counts(counts.cpu().numpy())
    if RANK in (-1, 0):
        append_exposure(trainer.save_dir, trainer.epoch + 1, exposure)
        options = trainer.resolved.config.sampling
        planned = len(trainer.train_loader.sampler) * max(trainer.world_size, 1)
        if line := deviation_line(exposure, trainer.epoch + 1, options, planned):
            LOGGER.warning(line)


def _end_batch(trainer: BalancedTrainerMixin) -> None:
    if trainer.watch is not None:
        trainer.watch.step()


EPOCH_HOOKS = {"on_train_batch_end": _end_batch, "on_train_epoch_start": _start_epoch, "on_train_epoch_end": _end_epoch}
