"""A run's sampling on the host: the schedule, and what validations feed back into it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from ultralytics.utils import LOGGER, RANK

from yolo_balance.arrays import Bools, Floats
from yolo_balance.integration.training.clean_images import false_alarms
from yolo_balance.recall import RecallReport
from yolo_balance.run_folder import records
from yolo_balance.sampling import RecallFeedback, SamplingPlan, SamplingSchedule


class RunSampling:
    """What `balance.sampling` is while a run lasts.

    Attributes:
        schedule: Which plan each epoch follows.
        feedback: Multipliers from measured recall, None without.
        hard: (num_images,) clean images that raised false alarms when they were last read.
    """

    def __init__(self, schedule: SamplingSchedule, names: list[str]):
        """Start with the resolved schedule, which stays as it is: this run's own follows what is learnt."""
        self.options, self.names, self.schedule = schedule.options, names, copy(schedule)
        f = self.options.feedback
        self.feedback = (
            None if f is None else RecallFeedback(len(names), gain=f.gain, smoothing=f.smoothing, floor=f.floor)
        )
        self.hard: Bools = np.zeros(schedule.statistics.num_images, bool)
        self._recall: Floats = np.full(len(names), np.nan)

    @property
    def reads_background(self) -> bool:
        """Whether clean images are read for false alarms between epochs."""
        return self.options.background is not None and self.options.background.hard

    @property
    def foreground(self) -> Bools | None:
        """(num_images,) images with an object, where every Mosaic is to hold one of them; else None."""
        foreground = ~self.schedule.statistics.background
        return foreground if self.options.foreground_mosaic and foreground.any() else None

    @property
    def changing(self) -> bool:
        """Whether any epoch may bring another plan."""
        return self.feedback is not None or self.reads_background

    def plan(self, trainer: Any, *, again: bool = False) -> SamplingPlan:
        """The plan of the epoch that starts, or is run `again`; called on every rank, which all come to the same."""
        if self.feedback is not None:
            if again:  # what its first pass taught is not to be counted twice
                self.feedback.recall = self._recall
            self._recall = self.feedback.recall
        if self.changing:
            self._read_background(trainer)
            multipliers = np.ones(len(self.names)) if self.feedback is None else self.feedback.multipliers()
            self.schedule.follow(*_of_first_rank((multipliers, self.hard)))
        return self.schedule.plan(trainer.epoch, trainer.epochs)

    def observe(self, report: RecallReport, folder: Path, epoch: int) -> None:
        """Feed a validation back, with a row per class in feedback.csv; rank 0 does, the others hear of it."""
        if self.feedback is None:
            return
        moved = self.feedback.observe(report)
        factors = self.schedule.with_multipliers(self.feedback.multipliers())
        rows = records.feedback_rows(epoch, self.names, report, self.feedback.recall, factors, moved)
        records.append_csv(folder / records.FEEDBACK, records.FEEDBACK_COLUMNS, rows)

    def state(self, files: list[str]) -> dict[str, Any]:
        """What `resume` takes up again, image files by index; empty if nothing was learnt."""
        if not self.changing:
            return {}
        return {
            "recall": {} if self.feedback is None else self.feedback.state(self.names),
            "hard": [files[i] for i in np.flatnonzero(self.hard)],
        }

    def restore(self, state: Mapping[str, Any], files: list[str]) -> None:
        """Take the state up again; raises KeyError, TypeError or ValueError where it does not fit."""
        hard = set(state["hard"])
        if self.feedback is not None:
            self.feedback.restore(dict(state["recall"]), self.names)
        self.hard = np.array([file in hard for file in files], bool)

    def _read_background(self, trainer: Any) -> None:
        background = self.options.background
        if not self.reads_background or background is None or trainer.epoch % background.every:
            return
        report = trainer.validator.recall_report if RANK in (-1, 0) else None
        threshold = _of_first_rank(None if report is None else report.budgets[0].threshold)
        if threshold is None or self.schedule.natural(trainer.epoch, trainer.epochs):
            return  # nothing is validated yet, or nothing follows from it
        clean = self.schedule.statistics.background
        self.hard = false_alarms(trainer, clean, threshold)
        LOGGER.info(
            f"Background: {self.hard.sum()} of {clean.sum()} clean train images raise a false alarm at confidence "
            f"{threshold:.3f}"
        )


def _of_first_rank(value: Any) -> Any:
    """What rank 0 holds, on every rank."""
    if not dist.is_initialized():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
