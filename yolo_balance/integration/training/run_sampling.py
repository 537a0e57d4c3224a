"""Sampling of a run: the schedule, and what it learns from validations and from false alarms on clean images."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Subset
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import autocast

from yolo_balance.arrays import Bools, Floats
from yolo_balance.integration.compat import ranks
from yolo_balance.integration.protocols import Trainer
from yolo_balance.integration.training.resolved_trainer import ResolvedTrainer
from yolo_balance.recall import RecallReport
from yolo_balance.run_folder.history import append_feedback
from yolo_balance.sampling import RecallFeedback, SamplingPlan, SamplingSchedule
from yolo_balance.sampling.group_exposure import GroupExposure

T = TypeVar("T")


class RunSampling:
    """`balance.sampling` while a run lasts.

    Attributes:
        schedule: Plan of each epoch.
        feedback: Multipliers from measured recall, None without.
        files: Image files of the train split, by index.
        hard: (num_images,) clean images that raised false alarms when they were last read.
        threshold: Confidence at the first budget in the last validation, None before it and on other ranks than 0.
    """

    def __init__(self, schedule: SamplingSchedule, names: list[str], files: list[str]):
        """Start with the resolved schedule, which stays as it is: this run's own follows what is learnt."""
        self.options, self.schedule = schedule.options, copy(schedule)
        self.names, self.files = names, files
        f = self.options.feedback
        self.feedback = (
            None if f is None else RecallFeedback(len(names), gain=f.gain, smoothing=f.smoothing, floor=f.floor)
        )
        self.hard: Bools = np.zeros(schedule.statistics.num_images, bool)
        self.threshold: float | None = None
        self._recall: Floats = np.full(len(names), np.nan)

    @property
    def groups(self) -> GroupExposure | None:
        """A new count of the images by group; None without `groups`."""
        weights = self.schedule.weights
        return None if weights is None or not weights.grouped else GroupExposure(weights)

    @property
    def foreground(self) -> Bools | None:
        """(num_images,) images with an object, where every Mosaic is to hold one of them; else None."""
        foreground = ~self.schedule.statistics.background
        return foreground if self.options.foreground_mosaic and foreground.any() else None

    @property
    def changing(self) -> bool:
        """Whether any epoch may bring another plan."""
        background = self.options.background
        return self.feedback is not None or (background is not None and background.hard)

    def plan(self, trainer: ResolvedTrainer, *, again: bool = False) -> SamplingPlan:
        """Return the plan of the epoch that starts, or is run `again`. Every rank calls this and gets the same plan."""
        if self.feedback is not None:
            if again:  # the recall of its first pass is not counted twice
                self.feedback.recall = self._recall
            self._recall = self.feedback.recall
        if self.changing:
            self._read_background(trainer)
            multipliers = np.ones(len(self.names)) if self.feedback is None else self.feedback.multipliers()
            self.schedule.follow(*_of_first_rank((multipliers, self.hard)))
        return self.schedule.plan(trainer.epoch, trainer.epochs)

    def observe(self, report: RecallReport, folder: Path, epoch: int) -> None:
        """Feed a validation back, with a row per class in feedback.csv; rank 0 only, `plan` tells the other ranks."""
        self.threshold = report.budgets[0].threshold
        if self.feedback is None:
            return
        moved = self.feedback.observe(report)
        factors = self.schedule.with_multipliers(self.feedback.multipliers())
        smoothed = self.feedback.recall
        append_feedback(folder, epoch, self.names, report, smoothed=smoothed, factors=factors, moved=moved)

    def state(self) -> dict[str, object]:
        """Return smoothed recall by class, hard images by file and the threshold; empty if the plan stays the same."""
        if not self.changing:
            return {}
        return {
            "recall": {} if self.feedback is None else self.feedback.state(self.names),
            "hard": [self.files[i] for i in np.flatnonzero(self.hard)],
            "threshold": self.threshold,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take smoothed recall, hard images and the threshold from a saved state."""
        hard, self.threshold = set(state["hard"]), state.get("threshold")
        if self.feedback is not None:
            self.feedback.restore(dict(state["recall"]), self.names)
        self.hard = np.array([file in hard for file in self.files], bool)

    def _read_background(self, trainer: ResolvedTrainer) -> None:
        background = self.options.background
        if background is None or not background.hard or trainer.epoch % background.every:
            return
        threshold = _of_first_rank(self.threshold)
        if threshold is None or self.schedule.natural(trainer.epoch, trainer.epochs):
            return  # nothing is validated yet, or the plan is the natural one
        clean = self.schedule.statistics.background
        self.hard = false_alarms(trainer, clean, threshold)
        LOGGER.info(
            f"Background: {self.hard.sum()} of {clean.sum()} clean train images raise a false alarm at confidence "
            f"{threshold:.3f}"
        )


def _of_first_rank(value: T) -> T:
    """Return the value of rank 0 on every rank."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def false_alarms(trainer: Trainer, clean: Bools, threshold: float) -> Bools:
    """Return (num_images,) train images among the clean ones on which the EMA model reports a box.

    A box counts from a confidence of `threshold` on. The images are prepared as for validation, so one has to have
    run. Every rank reads its share, and all ranks return the whole answer.
    """
    rank, world_size = ranks()
    images = np.flatnonzero(clean)[rank::world_size]
    alarmed = torch.zeros(len(clean), dtype=torch.uint8, device=trainer.device)
    dataset: Any = copy(trainer.train_loader.dataset)  # labels and cached images are shared
    dataset.augment, dataset.partners, dataset.pasting = False, None, None
    dataset.transforms = dataset.build_transforms(hyp=copy(trainer.args))
    loader = DataLoader(
        Subset(dataset, images.tolist()),
        batch_size=trainer.test_loader.batch_size,
        num_workers=trainer.train_loader.num_workers,
        collate_fn=dataset.collate_fn,
        generator=torch.Generator().manual_seed(0),  # draws nothing from the run's own generator
    )
    at = 0
    with torch.no_grad(), autocast(trainer.amp, device=trainer.device.type):
        for batch in loader:
            predictions = trainer.ema.ema(batch["img"].to(trainer.device).float() / 255)
            for i, found in enumerate(trainer.validator.postprocess(predictions)):
                alarmed[int(images[at + i])] = (found["conf"] >= threshold).any()
            at += len(batch["img"])
    if world_size > 1:
        dist.all_reduce(alarmed, dist.ReduceOp.MAX)
    answer: Bools = alarmed.bool().cpu().numpy()
    return answer
