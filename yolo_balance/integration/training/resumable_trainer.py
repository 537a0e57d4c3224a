"""A trainer that owns its run's folder: one process at a time, and a run that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import ValidationError
from ultralytics.cfg import get_save_dir
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.patches import torch_load

from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import PARTIAL, tidy
from yolo_balance.integration import protocols
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.training.data_print import DataPrint
from yolo_balance.run_folder.lock import RunLock
from yolo_balance.run_folder.names import ARGUMENTS, BALANCE, LAST, LOCK, REPORT, STATE, UNCALIBRATED, WEIGHTS
from yolo_balance.run_folder.state import FINISHED, TRAINED, TRAINING, RunState

if TYPE_CHECKING:
    Stock = protocols.Trainer
else:
    Stock = object


class ResumableMixin(Stock):
    """The part of a trainer that takes its folder and goes on with an interrupted run.

    Attributes:
        state: State of the run so far; None before set-up, and on ranks that write no files.
        forgotten: Why a run that resumes has lost what it had learnt; empty where it has not.
        found_data: The data set, from the set-up on.
        results: Columns of results.csv that the checkpoint to resume holds.
        lock: The right to train in the folder, None on ranks that write no files.
    """

    state: RunState | None = None
    forgotten: str = ""
    found_data: DataPrint | None = None
    results: dict[str, list[float]] | None = None
    lock: RunLock | None = None

    def __init__(self, *args: object, **kwargs: object):
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            self._release()
            raise

    def check_resume(self, overrides: dict[str, object]) -> None:
        """Take the run's folder and finish in it what a killed run began, then read the checkpoint's arguments.

        Raises:
            ConfigError: Another process trains in the folder, or there is nothing to resume.
        """
        resume = self.args.resume
        path = Path(str(resume)) if resume and resume is not True else None
        folder = run_folder(path) if path is not None else None
        if folder is not None:
            self._claim(folder)
        super().check_resume(overrides)
        if not self.resume:
            self.args.save_dir = str(get_save_dir(self.args))
            self._claim(Path(self.args.save_dir))
            return
        checkpoint = Path(str(self.args.resume))
        folder = folder or run_folder(checkpoint)
        before = Path(self.args.save_dir) if getattr(self.args, "save_dir", None) else None
        if folder is None:
            folder = before or get_save_dir(self.args)
            LOGGER.warning(f"resume: {checkpoint} is not in the folder of its run; the run goes on in {folder}")
        elif before is not None and before.resolve() != folder.resolve():
            LOGGER.warning(f"resume: the run was moved from {before} to {folder}, where it goes on")
        self.args.save_dir = str(folder.resolve())
        self._claim(folder)
        self.state, self.forgotten = state_to_resume(folder / WEIGHTS, checkpoint, checkpoint_of(checkpoint))

    def _claim(self, folder: Path) -> None:
        if RANK in (-1, 0) and (self.lock is None or self.lock.path.parent.resolve() != folder.resolve()):
            self.lock = claimed(folder)

    def train(self) -> object:
        """Train as Ultralytics does, then give the folder back."""
        try:
            return super().train()
        finally:
            self._release()

    def _release(self) -> None:
        if self.lock is not None:
            self.lock.release()

    def _do_train(self) -> None:
        """Train as Ultralytics does; of a run that is trained, take only the last validation."""
        if self.state is None or self.state.stage != TRAINED:
            super()._do_train()
            return
        if self.world_size > 1:
            self._setup_ddp()
        self._setup_train()
        LOGGER.info(f"resume: all {self.state.epoch} epochs are trained; the last validation and the report follow")
        self.final_eval()
        if RANK in (-1, 0):
            if self.args.plots:
                self.plot_metrics()
            self.run_callbacks("on_train_end")

    def resume_training(self, ckpt: protocols.Checkpoint | None) -> None:
        """Take up the checkpoint as Ultralytics does, and say how the data changed since the run began.

        Raises:
            DataError: The data has another number of classes.
        """
        self.found_data = DataPrint.of(self)
        if self.state is not None and self.state.data:
            self._compare_data(self.found_data, self.state.data)
        if ckpt is not None and self.resume:
            self.results = ckpt.get("train_results")
        if self.state is None or self.state.stage != TRAINED:
            super().resume_training(ckpt)
            return
        self.start_epoch, self.epoch = self.state.epoch, self.state.epoch - 1
        self.ema.updates = self.state.steps
        if RANK in (-1, 0) and (kept := self.wdir / UNCALIBRATED).exists():
            kept.replace(self.best)

    def _compare_data(self, found: DataPrint, saved: Mapping[str, object]) -> None:
        try:
            before = DataPrint.model_validate(saved)
        except ValidationError:
            line = f"{self.wdir / STATE}: data cannot be read; nobody can tell whether it changed since the run began"
        else:
            changed = list(found.differences(before))
            line = f"data: {self.args.data} changed since the run began: {'; '.join(changed)}" if changed else ""
            if len(before.names) != len(found.names):
                raise DataError(f"{line}; a model of other classes cannot be resumed")
        if line and RANK in (-1, 0):
            LOGGER.warning(line)


def resumable(build: Callable[..., protocols.Trainer]) -> Callable[..., protocols.Trainer]:
    """Return a trainer class with `ResumableMixin`; what is no class stays as it is."""
    if not isinstance(build, type) or issubclass(build, ResumableMixin):
        return build
    return cast("Callable[..., protocols.Trainer]", type(build.__name__, (ResumableMixin, build), {}))


def run_folder(checkpoint: Path) -> Path | None:
    """Return the run's folder of a checkpoint in its `weights`; None where it lies elsewhere."""
    weights = checkpoint.absolute().parent
    folder = weights.parent
    ours = any((folder / name).exists() for name in (ARGUMENTS, BALANCE)) or is_bare(folder)
    return folder if ours and weights.name == WEIGHTS else None


def is_bare(folder: Path) -> bool:
    """Whether a folder has no file but a lock and partial ones, as of a run that was killed in its first moment."""
    within = folder.rglob("*")
    return folder.is_dir() and all(p.is_dir() or p.name == LOCK or p.name.endswith(PARTIAL) for p in within)


def is_trained(checkpoint: Path) -> bool:
    """Whether all epochs of a checkpoint's run are trained; its last validation and report may be to come."""
    state = _state_beside(checkpoint)
    return state is not None and state.stage != TRAINING


def has_begun(checkpoint: Path) -> bool:
    """Whether the last run in a checkpoint's folder has come as far as its first one; else this is an earlier run's.

    Raises:
        ConfigError: The run has, but the checkpoint is not there.
    """
    state = _state_beside(checkpoint)
    if state is not None and state.epoch and not checkpoint.is_file():
        raise ConfigError(f"resume: expected the checkpoint of epoch {state.epoch} at {checkpoint}, which is not there")
    return checkpoint.is_file() and (state is None or state.epoch > 0)


def _state_beside(checkpoint: Path) -> RunState | None:
    try:
        return None if run_folder(checkpoint) is None else RunState.load(checkpoint.parent)
    except DataError:
        return None


def claimed(folder: Path) -> RunLock:
    """Take the lock of a folder, and finish there what a killed run began. Raises ConfigError as `RunLock`."""
    try:
        lock = RunLock(folder)
    except OSError as e:
        raise ConfigError(f"{folder}: cannot be written ({e.strerror})") from e
    if lock.other_machine:
        LOGGER.warning(f"{folder}: {lock.other_machine} trained in this folder and may still do so")
    for place in (folder, folder / WEIGHTS):
        tidy(place)
    return lock


def checkpoint_of(path: Path) -> protocols.Checkpoint:
    """Load a checkpoint to resume. Raises ConfigError in one line."""
    if not path.is_file():
        raise ConfigError(f"resume: expected the last.pt of an unfinished run, got {path}")
    try:
        checkpoint = torch_load(path, map_location="cpu")
        assert isinstance(checkpoint, dict), "no checkpoint of a training"
    except Exception as e:
        raise ConfigError(f"resume: {path} cannot be loaded ({one_line(e)})") from e
    return checkpoint


def state_to_resume(weights: Path, path: Path, checkpoint: protocols.Checkpoint) -> tuple[RunState, str]:
    """Return the state with which a checkpoint is resumed, and why what the run had learnt is not in it.

    Args:
        weights: Folder with balance_state.json.
        path: File of the checkpoint.
        checkpoint: Content of the file.

    Raises:
        ConfigError: The run is finished, or was killed before its first checkpoint.
    """
    epoch, results = int(checkpoint.get("epoch", -1)) + 1, checkpoint.get("train_results") or {}
    epochs = int(checkpoint.get("train_args", {}).get("epochs") or 0)
    stripped = not epoch or checkpoint.get("optimizer") is None
    try:
        state, problem = RunState.load(weights), ""
    except DataError as e:
        state, problem = RunState(stage=TRAINED if stripped else TRAINING), str(e)
        reported = all((weights.parent / name).exists() for name in REPORT)
        if stripped and not reported and path.name == LAST:
            state = replace(state, epoch=len(results.get("epoch", ())))
    else:
        if state.epoch == 0:
            raise ConfigError(
                f"resume: {path} is of an earlier run in its folder, whose last run ended before its first checkpoint; "
                "expected resume: false, which starts anew"
            )
    if state.stage == FINISHED or (stripped and (state.stage != TRAINED or not state.epoch)):
        raise ConfigError(f"resume: {path} is of a finished run, there is nothing to resume")
    if stripped:
        return state, problem
    if not problem and not (state.epoch == epoch and state.belongs_to(path)):
        other = "another checkpoint of that epoch" if state.epoch == epoch else f"epoch {state.epoch}"
        problem = f"{weights / STATE} belongs to {other}, {path.name} is of epoch {epoch}"
    if problem:
        steps = int(checkpoint.get("updates") or 0)
        state = RunState(epoch, steps=steps, data=state.data)
    return (replace(state, stage=TRAINED) if epoch >= epochs else state), problem
