"""The balanced trainer: Ultralytics' trainer, with its loader, criterion and validator balanced in place.

The same methods serve `YOLO(...).train(trainer=BalancedDetectionTrainer.configured(...))` and `attach`, which turns a
trainer after its setup into a balanced one of its own type.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.config import BalanceConfig, LossesConfig
from yolo_balance.integration.arguments import complete
from yolo_balance.integration.data import box_classes, class_names, image_files, resolve_data
from yolo_balance.integration.finished import final_files, recall_files
from yolo_balance.integration.finished.class_shifts import Calibrated, calibrate, class_layers
from yolo_balance.integration.finished.validate_once import reading_of
from yolo_balance.integration.hooks.criterion import balance_criterion, gain_ratio, heads, without_part
from yolo_balance.integration.hooks.dataset import DRAWN
from yolo_balance.integration.hooks.loader import balance_loader
from yolo_balance.integration.hooks.validator import balance_validator
from yolo_balance.integration.training import resume_state
from yolo_balance.integration.training.best_checkpoint import RunSelection, check_rule
from yolo_balance.integration.training.epochs import EPOCH_HOOKS, EpochClock
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.run_sampling import RunSampling
from yolo_balance.recall import RecallReport
from yolo_balance.resolution import ResolvedBalance, resolve
from yolo_balance.run_folder.balance_file import BalanceFile, resolved
from yolo_balance.run_folder.history import append_recall, keep_epochs
from yolo_balance.run_folder.names import BESIDE_WEIGHTS, EPOCH_ROWS, FEEDBACK_PLOT, OF_BEST
from yolo_balance.sampling import ClassStatistics, Exposure
from yolo_balance.views import training_console

T = TypeVar("T", bound="BalancedTrainerMixin")


class BalancedTrainerMixin:
    """The balanced part of a trainer; each override calls Ultralytics' method too.

    Attributes:
        asked: The configuration as it was stated; every term off unless `configured` or attached.
        resolved: The configuration on the run's data, from the train loader on.
        exposure: Boxes per class of the epoch at hand.
        sampling: `balance.sampling` while the run lasts, None without.
        losses: `balance.losses` while the run lasts, None without.
        selection: `balance.recall.best` while the run lasts, None where Ultralytics' fitness decides.
        baseline: The report that the run's is compared with, None without.
        clock: The epoch that started last, and the seconds spent in epochs.
    """

    asked: BalanceConfig = BalanceConfig()
    resolved: ResolvedBalance
    exposure: Exposure
    sampling: RunSampling | None = None
    losses: RunLosses | None = None
    selection: RunSelection | None = None
    baseline: RecallReport | None = None
    clock: EpochClock

    args: Any
    data: dict[str, Any]
    train_loader: Any
    test_loader: Any
    validator: Any
    model: Any
    ema: Any
    save_dir: Path
    wdir: Path
    best: Path
    epochs: int

    @classmethod
    def configured(cls: type[T], balance: BalanceConfig | str | Path | Mapping[str, Any] | None) -> type[T]:
        """Return a trainer class bound to a configuration, for `YOLO(...).train(trainer=...)`.

        Args:
            balance: Anything `BalanceConfig.load` accepts.

        Raises:
            ConfigError: With every problem of the configuration.
        """
        return type(cls.__name__, (cls,), {"asked": BalanceConfig.load(balance), "__module__": cls.__module__})

    # -----------------------------------------------------------------------------------------------------------------
    # Building: Ultralytics' methods, and ours that balance their results
    # -----------------------------------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Return Ultralytics' data dictionary; `data: demo` is drawn first."""
        self.args.data = resolve_data(self.args.data, self.args.task)
        data: dict[str, Any] = super().get_dataset()  # type: ignore[misc]
        return data

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Return Ultralytics' loader; the train loader follows the plan."""
        loader = super().get_dataloader(dataset_path, batch_size=batch_size, rank=rank, mode=mode)  # type: ignore[misc]
        if mode == "train":
            self.balance_loader(loader)
        return loader

    def get_validator(self) -> Any:
        """Return Ultralytics' validator, reporting recall."""
        return self.balance_validator(super().get_validator())  # type: ignore[misc]

    def _setup_train(self) -> None:
        super()._setup_train()  # type: ignore[misc]
        self.start_balance()

    def balance_loader(self, loader: Any) -> None:
        """Resolve the configuration on the loader's labels, once, and make the loader follow the plan.

        A loader that is built again, as after running out of memory, goes on with what the run has learnt.

        Raises:
            ConfigError: With every problem of the configuration on this data.
        """
        if not hasattr(self, "resolved"):
            names = class_names(self.data["names"])
            statistics = ClassStatistics.of(box_classes(loader.dataset), len(names))
            self.resolved = resolve(self.asked, statistics, names, complete(vars(self.args)))
            if self.resolved.schedule is not None:
                self.sampling = RunSampling(self.resolved.schedule, names, image_files(loader.dataset))
        self.exposure = Exposure(list(self.resolved.names), self.resolved.statistics)
        if (sampling := self.sampling) is None:
            balance_loader(loader, None, epoch=0)
            return
        epoch = getattr(self, "epoch", 0)
        plan = sampling.schedule.plan(epoch, self.epochs)
        self.exposure.start_epoch(plan)
        partners, foreground = sampling.options.partners, sampling.foreground
        balance_loader(loader, plan, epoch=epoch, partners=partners, foreground=foreground, changing=sampling.changing)

    def balance_validator(self, validator: Any) -> Any:
        """Make the validator report recall."""
        return balance_validator(validator, self.resolved.config.recall)

    def start_balance(self) -> None:
        """Balance the criteria, start the records and hook the epochs, once Ultralytics' setup is complete."""
        config = self.resolved.config
        if config.recall.calibration is not None:
            class_layers(self.ema.ema)  # raises where there are none
        if config.losses is not None:
            self.balance_losses(config.losses)
        self.selection = RunSelection.of(self)
        self.baseline = recall_files.read_baseline(config.recall)
        self.clock = EpochClock()
        for event, hook in EPOCH_HOOKS.items():
            self.add_callback(event, hook)  # type: ignore[attr-defined]
        if self.resume:  # type: ignore[attr-defined]
            check_rule(self.wdir, self.selection)
            resume_state.restore(self.wdir, self.learning)
        if RANK in (-1, 0):
            self._start_records()

    @property
    def learning(self) -> list[resume_state.Stateful]:
        """Parts of the run with a state, in the order of `balance_state.json`."""
        return [part for part in (self.sampling, self.losses, self.selection) if part is not None]

    def balance_losses(self, options: LossesConfig) -> None:
        """Put the terms of the losses section into both criteria."""
        # training asks the model's criterion, validation the EMA model's; both are otherwise built lazily
        models = unwrap_model(self.model), self.ema.ema
        criteria = [getattr(model, "criterion", None) or model.init_criterion() for model in models]
        dropped = without_part(criteria[0], options)
        kept = options.model_copy(update=dict.fromkeys(dropped))
        self.losses = RunLosses(
            kept, self.resolved.statistics, self.resolved.names, self.resolved.shown, gain_ratio(criteria[0])
        )
        self.losses.check_heads(heads(criteria[0]))
        if RANK in (-1, 0):
            for line in (*dropped.values(), *self.losses.remarks()):
                LOGGER.warning(line)
        for model, criterion in zip(models, criteria, strict=True):
            model.criterion = balance_criterion(criterion, self.losses.terms)

    def _start_records(self) -> None:
        resumed_at = self.start_epoch if self.resume else 0  # type: ignore[attr-defined]
        stale = [self.save_dir / name for name in (*OF_BEST, FEEDBACK_PLOT)]  # of a run before in the same folder
        if resumed_at:
            keep_epochs(self.save_dir, resumed_at)
        else:
            stale += [self.save_dir / name for name in EPOCH_ROWS] + [self.wdir / name for name in BESIDE_WEIGHTS]
        for path in stale:
            path.unlink(missing_ok=True)
        files = image_files(self.train_loader.dataset)
        if lines := self.resolved.explained:
            LOGGER.info("\n".join(["balance: auto, on this data:", *(f"  {line}" for line in lines)]))
        schedule = None
        if self.sampling is not None:
            schedule = self.sampling.schedule
            for line in training_console.remarks(schedule, self.exposure.names, files):
                LOGGER.warning(line)
        factors = None if self.losses is None else self.losses.factors
        r = self.resolved
        resolution = resolved(r.config, r.statistics, r.names, schedule, factors)
        BalanceFile(r.asked.model_dump(exclude_unset=True), resolution).save(self.save_dir)
        LOGGER.info(f"\n{training_console.plan_table(resolution)}\n{training_console.factors_table(resolution)}")

    # -----------------------------------------------------------------------------------------------------------------
    # Running
    # -----------------------------------------------------------------------------------------------------------------

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Count the batch before it leaves the CPU, then preprocess it as Ultralytics does."""
        self.count(batch)
        prepared: dict[str, Any] = super().preprocess_batch(batch)  # type: ignore[misc]
        return prepared

    def count(self, batch: dict[str, Any]) -> None:
        """Add a batch to the exposure."""
        drawn = batch.pop(DRAWN, None)
        if drawn is not None:
            self.exposure.add(self.resolved.statistics.picked(drawn), batch["cls"].numpy(), len(batch["img"]))

    def validate(self) -> Any:
        """Validate as Ultralytics does, and append recall to recall.csv; the rule of `best` replaces the fitness."""
        validate = super().validate  # type: ignore[misc]
        answer = validate() if self.selection is None else self.selection.validate(self, validate)
        report = getattr(self.validator, "recall_report", None)
        if report is not None and RANK in (-1, 0):
            epoch: int = self.epoch + 1  # type: ignore[attr-defined]
            append_recall(self.save_dir, epoch, report)
            if self.sampling is not None:
                self.sampling.observe(report, self.save_dir, epoch)
        return answer

    def save_model(self) -> Any:
        """Save Ultralytics' checkpoint without the EMA model's criterion: loading may need no class of this package."""
        ema = self.ema.ema
        criterion, ema.criterion = getattr(ema, "criterion", None), None
        try:
            saved = super().save_model()  # type: ignore[misc]
        finally:
            ema.criterion = criterion
        if self.selection is not None and saved is not False:  # some releases skip weights that are no numbers
            self.selection.save(self)
        resume_state.save(self.wdir, self.epoch + 1, self.learning)  # type: ignore[attr-defined]
        return saved

    def final_eval(self) -> None:
        """Print the run's exposure, validate best.pt as Ultralytics does and write the files of its recall.

        A calibration comes between two such validations. The shifts are fitted on the first; the second reads the
        calibrated best.pt. Every rank takes part in both, and waits for the first rank before the second, as in
        Ultralytics.

        With `plots` the prime samples of the last validation are drawn too.
        """
        first = RANK in (-1, 0)
        if first:
            LOGGER.info(f"\n{training_console.exposure_table(self.exposure)}\n")
            if self.args.plots:
                from yolo_balance.views import feedback_plot  # matplotlib is needed here only

                feedback_plot.feedback(self.save_dir)
        super().final_eval()  # type: ignore[misc]
        calibrated = Calibrated()
        recall, names = self.resolved.config.recall, list(self.resolved.names)
        if recall.calibration is not None and self.best.exists():
            if first:
                calibrated = calibrate(
                    self.save_dir,
                    self.validator.outcomes,
                    recall.calibration,
                    counts=dict(zip(names, self.resolved.statistics.boxes.tolist(), strict=True)),
                    split=self.args.split or "val",
                    seed=self.args.seed,
                )
            super().final_eval()  # type: ignore[misc]
        if first and getattr(self.validator, "outcomes", None) is not None:
            measures = final_files.measured(
                self.validator.metrics,
                self.args.task,
                names,
                steps=int(self.ema.updates),  # one per optimiser step, kept in checkpoints
                train_seconds=self.clock.seconds,
            )
            reading = reading_of(self.validator, baseline=self.baseline, title=str(self.save_dir), note=calibrated.note)
            plots, held_out = self.args.plots, calibrated.held_out
            final_files.write(self.save_dir, reading, measures, held_out=held_out, plots=plots)
        if self.selection is not None and first:
            self.selection.finish(self)
