"""Events of a balanced run: its start, its epochs, its saved state and its end, with their files and log."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.distributed as dist
from ultralytics.utils import LOGGER, RANK

from yolo_balance.files import sha256
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import box_classes, image_files, longest_sides
from yolo_balance.integration.finished import final_files
from yolo_balance.integration.finished.class_shifts import Calibrated, calibrate
from yolo_balance.integration.hook_watch import HookWatch
from yolo_balance.integration.hooks.loader import start_epoch
from yolo_balance.integration.training.absent_classes import absent_remarks
from yolo_balance.integration.training.best_checkpoint import RunSelection
from yolo_balance.integration.training.data_print import DataPrint
from yolo_balance.integration.training.other_options import class_factors, option_remarks
from yolo_balance.integration.training.resolved_trainer import ResolvedTrainer
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.run_pastes import paste_remarks
from yolo_balance.integration.training.run_sampling import RunSampling
from yolo_balance.integration.training.split_remarks import split_remarks
from yolo_balance.recall import RecallReport
from yolo_balance.run_folder.balance_file import BalanceFile, resolved
from yolo_balance.run_folder.history import append_exposure
from yolo_balance.run_folder.kept_epochs import keep_epochs
from yolo_balance.run_folder.names import BESIDE_WEIGHTS, EPOCH_ROWS, FEEDBACK_PLOT, OF_BEST, STATE
from yolo_balance.run_folder.state import FINISHED, TRAINED, TRAINING, RunState
from yolo_balance.sampling import ClassStatistics, Exposure
from yolo_balance.sampling.group_exposure import GroupExposure
from yolo_balance.views import training_console


@dataclass
class EpochClock:
    """The epoch that started last, when it started, and the seconds spent in the epochs' batches, validation aside."""

    epoch: int | None = None
    since: float = 0.0
    seconds: float = 0.0


class RunningTrainer(ResolvedTrainer, Protocol):
    """A trainer with the parts of its run; `BalancedTrainerMixin` says what they are."""

    exposure: Exposure
    sampling: RunSampling | None
    groups: GroupExposure | None
    losses: RunLosses | None
    selection: RunSelection | None
    watch: HookWatch | None
    baseline: RecallReport | None
    clock: EpochClock
    state: RunState | None
    forgotten: str
    found_data: DataPrint | None
    results: dict[str, list[float]] | None


def start(trainer: RunningTrainer) -> None:
    """Restore what a run to resume has learnt, remove what is not this run's, write balance.yaml and log the plan."""
    resumed = trainer.state if trainer.resume else None
    if resumed is not None:
        _restore_state(trainer, resumed)
    if RANK not in (-1, 0):
        return
    stale = [trainer.save_dir / name for name in (*OF_BEST, FEEDBACK_PLOT)]
    if resumed is not None:
        for line in keep_epochs(trainer.save_dir, resumed.epoch, trainer.results):
            LOGGER.warning(line)
    else:
        stale += [trainer.save_dir / name for name in EPOCH_ROWS] + [trainer.wdir / name for name in BESIDE_WEIGHTS]
    for path in stale:
        path.unlink(missing_ok=True)
    data = (trainer.found_data or DataPrint.of(trainer)).model_dump()
    trainer.state = RunState(data=data) if resumed is None else replace(resumed, data=resumed.data or data)
    trainer.state.save(trainer.wdir)
    balance = trainer.resolved
    if balance.explained:
        LOGGER.info("\n".join(["balance: auto, on this data:", *(f"  {line}" for line in balance.explained)]))
    schedule = None
    if trainer.sampling is not None:
        schedule = trainer.sampling.schedule
        for line in training_console.remarks(schedule, balance.names, image_files(trainer.train_loader.dataset)):
            LOGGER.warning(line)
        if trainer.sampling.feedback is not None:
            objects = ClassStatistics.of(box_classes(trainer.test_loader.dataset), len(balance.names))
            if steering := training_console.feedback_line(balance.names, objects.boxes, balance.config.recall.level):
                LOGGER.warning(steering)
    for line in paste_remarks(trainer.resolved, trainer.train_loader.dataset):
        LOGGER.warning(line)
    train, val = trainer.train_loader.dataset, trainer.test_loader.dataset
    absent = absent_remarks(train, val, balance.names, trainer.args.classes)
    factors = class_factors(trainer, trainer.losses)
    for line in (*split_remarks(trainer), *absent, *option_remarks(trainer, factors)):
        LOGGER.warning(line)
    resolution = resolved(balance.config, balance.statistics, balance.names, schedule, factors)
    BalanceFile(balance.asked.model_dump(exclude_unset=True), resolution).save(trainer.save_dir)
    LOGGER.info(f"\n{training_console.plan_table(resolution)}\n{training_console.factors_table(resolution)}")


def _start_epoch(trainer: RunningTrainer) -> None:
    again = trainer.epoch == trainer.clock.epoch  # after running out of memory, or after a loss that was no number
    trainer.clock.epoch = trainer.epoch
    if again and RANK in (-1, 0):
        keep_epochs(trainer.save_dir, trainer.epoch)
    if again and trainer.selection is not None:
        trainer.selection.start_again()
    plan = None if trainer.sampling is None else trainer.sampling.plan(trainer, again=again)
    trainer.exposure.start_epoch(plan, again=again)
    if trainer.groups is not None and plan is not None:
        trainer.groups.start_epoch(plan, again=again)
    start_epoch(trainer.train_loader, trainer.epoch, plan)
    trainer.clock.since = time.perf_counter()


def _end_epoch(trainer: RunningTrainer) -> None:
    trainer.clock.seconds += time.perf_counter() - trainer.clock.since
    exposure = trainer.exposure
    if dist.is_initialized():  # once per epoch, after its last step
        counts = torch.as_tensor(exposure.counts(), device=trainer.device)
        dist.all_reduce(counts)
        exposure.set_counts(counts.cpu().numpy())
        if trainer.groups is not None:
            drawn = torch.as_tensor(trainer.groups.drawn, device=trainer.device)
            dist.all_reduce(drawn)
            trainer.groups.drawn = drawn.cpu().numpy()
    if RANK in (-1, 0):
        append_exposure(trainer.save_dir, trainer.epoch + 1, exposure)
        options = trainer.resolved.config.sampling
        planned = len(trainer.train_loader.sampler) * max(trainer.world_size, 1)
        if line := training_console.deviation_line(exposure, trainer.epoch + 1, options, planned):
            LOGGER.warning(line)
        if (classes := exposure.unreached()).size:
            imgsz = trainer.args.imgsz
            sides = longest_sides(trainer.train_loader.dataset, imgsz, len(exposure.names))
            for line in training_console.unreached_lines(exposure, classes, sides[classes], trainer.epoch + 1, imgsz):
                LOGGER.warning(line)


def _end_batch(trainer: RunningTrainer) -> None:
    if trainer.watch is not None:
        trainer.watch.step()


def _end_run(trainer: RunningTrainer) -> None:
    note_stage(trainer, FINISHED)


EPOCH_HOOKS = {
    "on_train_batch_end": _end_batch,
    "on_train_epoch_start": _start_epoch,
    "on_train_epoch_end": _end_epoch,
    "on_train_end": _end_run,
}


def save_state(trainer: RunningTrainer) -> None:
    """Write how far the run is and what it has learnt beside the checkpoint, of which Ultralytics stores nothing."""
    assert trainer.state is not None  # since the start
    trainer.state = RunState(
        epoch=trainer.epoch + 1,
        stage=TRAINED if trainer.stop else TRAINING,
        checkpoint=sha256(trainer.last),
        steps=int(trainer.ema.updates),
        seconds=trainer.clock.seconds,
        data=trainer.state.data,
        learnt={key: value for part in _learning(trainer) for key, value in part.state().items()},
    )
    trainer.state.save(trainer.wdir)


def note_stage(trainer: RunningTrainer, stage: str) -> None:
    """Write that the run has reached a stage."""
    if RANK in (-1, 0) and trainer.state is not None and trainer.state.stage != stage:
        trainer.state = replace(trainer.state, stage=stage)
        trainer.state.save(trainer.wdir)


def _restore_state(trainer: RunningTrainer, state: RunState) -> None:
    """Restore each part that learns; a part whose state is not there or out of range starts anew, with a warning."""
    trainer.clock.seconds = state.seconds
    for part in _learning(trainer):
        if keys := list(part.state()):
            problem = trainer.forgotten
            try:
                if not problem and (missing := [key for key in keys if key not in state.learnt]):
                    problem = f"{trainer.wdir / STATE} has no {', '.join(missing)}"
                if not problem:
                    part.restore(state.learnt)
            except (ValueError, TypeError, KeyError) as e:  # of other classes or heads
                problem = f"{trainer.wdir / STATE} cannot be read ({one_line(e)})"
            if problem and RANK in (-1, 0):
                LOGGER.warning(f"balance: {problem}; these start anew: {', '.join(keys)}")


def _learning(trainer: RunningTrainer) -> list[RunSampling | RunLosses | RunSelection]:
    """Return the parts of the run that have a state, in the order of `balance_state.json`."""
    return [part for part in (trainer.sampling, trainer.losses, trainer.selection) if part is not None]


def show_exposure(trainer: RunningTrainer) -> None:
    """Log the boxes that training was shown, and draw the feedback with `plots`."""
    if RANK not in (-1, 0):
        return
    if trainer.exposure.epochs:  # none where every epoch was trained before the run was resumed
        LOGGER.info(f"\n{training_console.exposure_table(trainer.exposure, trainer.epoch + 1)}\n")
    if trainer.groups is not None and trainer.groups.total.any():  # image classification does not count them
        LOGGER.info(f"{training_console.groups_table(trainer.groups)}\n")
    if trainer.args.plots:
        from yolo_balance.views import feedback_plot  # matplotlib is needed here only

        feedback_plot.feedback(trainer.save_dir)


def calibrated(trainer: RunningTrainer) -> Calibrated | None:
    """Calibrate best.pt on the last validation; return None where no calibration is asked for."""
    options, balance = trainer.resolved.config.recall.calibration, trainer.resolved
    if options is None or not trainer.best.exists():
        return None
    outcomes = trainer.validator.outcomes
    if outcomes is None:  # on ranks that gather nothing
        return Calibrated()
    counts = dict(zip(balance.names, balance.statistics.boxes.tolist(), strict=True))
    split, seed = trainer.args.split or "val", trainer.args.seed
    return calibrate(trainer.save_dir, outcomes, options, counts=counts, split=split, seed=seed)


def end(trainer: RunningTrainer, calibrated: Calibrated | None) -> None:
    """Write the files of best.pt, and log the epochs that were kept."""
    if RANK not in (-1, 0):
        return
    if getattr(trainer.validator, "outcomes", None) is not None:
        final_files.write_run(
            trainer.save_dir,
            trainer.validator,
            steps=int(trainer.ema.updates),
            train_seconds=trainer.clock.seconds,
            baseline=trainer.baseline,
            calibrated=calibrated,
        )
    if trainer.selection is not None:
        trainer.selection.finish(trainer)
