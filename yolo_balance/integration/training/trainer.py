"""The balanced trainer: the host's, with its loader, criterion and validator balanced in place.

The same methods serve `YOLO(...).train(trainer=BalancedDetectionTrainer.configured(...))` and `attach`, which turns a
trainer that is already set up into a balanced one of its own type (`callbacks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance import recipe
from yolo_balance.arrays import Floats
from yolo_balance.config import BalanceConfig, LossesConfig
from yolo_balance.errors import ConfigError
from yolo_balance.integration.arguments import (
    calibration_problems,
    loss_problems,
    sampling_problems,
    selection_problems,
)
from yolo_balance.integration.data import box_classes, check_names, class_names, image_files, resolve_data
from yolo_balance.integration.finished import final_files, recall_files
from yolo_balance.integration.finished.class_shifts import UNCALIBRATED, Calibrated, calibrate, class_layers
from yolo_balance.integration.hooks.criterion import balance_criterion, gain_ratio, heads, without_part
from yolo_balance.integration.hooks.dataset import DRAWN
from yolo_balance.integration.hooks.loader import balance_loader
from yolo_balance.integration.hooks.validator import balance_validator
from yolo_balance.integration.training import resume_state
from yolo_balance.integration.training.best_checkpoint import BEST_FITNESS, RunSelection
from yolo_balance.integration.training.epochs import EPOCH_HOOKS
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.run_sampling import RunSampling
from yolo_balance.recall import RecallReport
from yolo_balance.recall.report import COLUMNS as RECALL_COLUMNS
from yolo_balance.run_folder import records
from yolo_balance.sampling import ClassStatistics, Exposure
from yolo_balance.views import training_console

T = TypeVar("T", bound="BalancedTrainerMixin")


class BalancedTrainerMixin:
    """What a balanced trainer does beyond the host's; each override calls the host's first.

    Attributes:
        balance: The configuration, the class's as asked, an instance's with what `auto` stands for on its data; every
            term off unless `configured`.
        statistics: The train split's labels.
        sampling: What `balance.sampling` is while the run lasts, None without.
        losses: What `balance.losses` is while the run lasts, None without.
        selection: What `balance.recall.best` is while the run lasts, None where that is the host's fitness.
        baseline: The report that the run's is compared with, None without.
        started: Epoch that started last, None before the first.
        train_seconds: Spent in the epochs' batches so far, validation aside.
        batches_since: When the epoch at hand began, by `time.perf_counter`.
        exposure: Boxes per class of the epoch at hand.
    """

    balance: BalanceConfig = BalanceConfig()
    exposure: Exposure
    statistics: ClassStatistics
    sampling: RunSampling | None = None
    losses: RunLosses | None = None
    selection: RunSelection | None = None
    baseline: RecallReport | None = None
    started: int | None = None
    train_seconds: float = 0.0
    batches_since: float = 0.0

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
        """A trainer class bound to a balance, for `YOLO(...).train(trainer=...)`.

        Args:
            balance: Anything `BalanceConfig.load` accepts.

        Raises:
            ConfigError: With every problem of the configuration.
        """
        return type(cls.__name__, (cls,), {"balance": BalanceConfig.load(balance), "__module__": cls.__module__})

    # -----------------------------------------------------------------------------------------------------------------
    # Building: the host's methods, and ours that balance what they built
    # -----------------------------------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """The host's data dictionary; `data: demo` is drawn first."""
        self.args.data = resolve_data(self.args.data, self.args.task)
        data: dict[str, Any] = super().get_dataset()  # type: ignore[misc]
        return data

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """The host's loader; the train loader follows the plan."""
        loader = super().get_dataloader(dataset_path, batch_size=batch_size, rank=rank, mode=mode)  # type: ignore[misc]
        if mode == "train":
            self.balance_loader(loader)
        return loader

    def get_validator(self) -> Any:
        """The host's validator, reporting recall."""
        return self.balance_validator(super().get_validator())  # type: ignore[misc]

    def _setup_train(self) -> None:
        super()._setup_train()  # type: ignore[misc]
        self.start_balance()

    def balance_loader(self, loader: Any) -> None:
        """Resolve the sampling section on the loader's labels and make the loader follow it."""
        names, dataset = class_names(self.data["names"]), loader.dataset
        self.statistics = ClassStatistics.of(box_classes(dataset), len(names))
        self.balance = recipe.resolve(type(self).balance, self.statistics)
        check_names(self.balance, self.data["names"])
        recall, given = self.balance.recall, vars(self.args)
        if problems := selection_problems(recall, given) + calibration_problems(recall, given):
            raise ConfigError(problems)
        options = self.balance.sampling
        self.exposure = Exposure(names, self.statistics)
        if options is None:
            balance_loader(loader, None, epoch=0)
            return
        if problems := sampling_problems(options, vars(self.args)):
            raise ConfigError(problems)
        if self.sampling is None:  # a loader built again, as after running out of memory, goes on with what was learnt
            self.sampling = RunSampling(options, self.statistics, names, self.args.seed)
        epoch = getattr(self, "epoch", 0)
        plan = self.sampling.schedule.plan(epoch, self.epochs)
        self.exposure.start_epoch(plan)
        foreground = ~self.statistics.background
        balance_loader(
            loader,
            plan,
            epoch=epoch,
            partners=options.partners,
            foreground=foreground if options.foreground_mosaic and foreground.any() else None,
            changing=self.sampling.changing,
        )

    def balance_validator(self, validator: Any) -> Any:
        """Make the validator report recall."""
        return balance_validator(validator, self.balance.recall)

    def start_balance(self) -> None:
        """What has to wait until the host has set everything up: criteria, records, the epochs' hooks."""
        if self.balance.recall.calibration is not None:
            class_layers(self.ema.ema)  # raises where there are none
        if self.balance.losses is not None:
            self.balance_losses(self.balance.losses.resolved())
        self.selection = RunSelection.of(self)
        self.baseline = recall_files.read_baseline(self.balance.recall)
        for event, hook in EPOCH_HOOKS.items():
            self.add_callback(event, hook)  # type: ignore[attr-defined]
        if self.resume:  # type: ignore[attr-defined]
            files = image_files(self.train_loader.dataset)
            resume_state.restore(self.wdir, self.sampling, self.losses, self.selection, files)
        if RANK in (-1, 0):
            self._start_records()

    @property
    def shown(self) -> Floats:
        """(C,) share of a balanced epoch's boxes by class."""
        return self.statistics.box_shares(
            None if self.sampling is None else self.sampling.schedule.balanced.expectation
        )

    def balance_losses(self, options: LossesConfig) -> None:
        """Resolve the losses section on what an epoch shows and put its terms into both criteria."""
        if problems := loss_problems(options, vars(self.args)):
            raise ConfigError(problems)
        # training asks the model's criterion, validation the EMA model's; both are otherwise built lazily
        models = unwrap_model(self.model), self.ema.ema
        criteria = [getattr(model, "criterion", None) or model.init_criterion() for model in models]
        dropped = without_part(criteria[0], options)
        kept = options.model_copy(update=dict.fromkeys(dropped))
        self.losses = RunLosses(kept, self.statistics, self.exposure.names, self.shown, gain_ratio(criteria[0]))
        self.losses.check_heads(heads(criteria[0]))
        if RANK in (-1, 0):
            for line in (*dropped.values(), *self.losses.remarks()):
                LOGGER.warning(line)
        for model, criterion in zip(models, criteria, strict=True):
            model.criterion = balance_criterion(criterion, self.losses.terms)

    def _start_records(self) -> None:
        resumed_at = self.start_epoch if self.resume else 0  # type: ignore[attr-defined]
        for name in records.BY_EPOCH:
            if resumed_at:
                records.keep_epochs(self.save_dir / name, resumed_at)
            else:
                (self.save_dir / name).unlink(missing_ok=True)
        if not resumed_at:  # of a run before in the same folder
            for name in (resume_state.FILE, BEST_FITNESS, UNCALIBRATED):
                (self.wdir / name).unlink(missing_ok=True)
        for name in final_files.FILES:
            (self.save_dir / name).unlink(missing_ok=True)
        files = image_files(self.train_loader.dataset)
        if chosen := recipe.explained(type(self).balance, self.statistics):
            LOGGER.info("\n".join(["balance: auto, on this data:", *(f"  {line}" for line in chosen)]))
        schedule = None
        if self.sampling is not None:
            schedule = self.sampling.schedule
            for line in training_console.remarks(schedule, self.exposure.names, files):
                LOGGER.warning(line)
        factors = None if self.losses is None else self.losses.factors
        resolution = records.resolved(self.balance, self.statistics, self.exposure.names, schedule, factors)
        records.write_balance(self.save_dir / records.BALANCE, type(self).balance, resolution)
        LOGGER.info(f"\n{training_console.plan_table(resolution)}\n{training_console.factors_table(resolution)}")

    # -----------------------------------------------------------------------------------------------------------------
    # Running
    # -----------------------------------------------------------------------------------------------------------------

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Count the batch while it is still in host memory, then the host's preprocessing."""
        self.count(batch)
        prepared: dict[str, Any] = super().preprocess_batch(batch)  # type: ignore[misc]
        return prepared

    def count(self, batch: dict[str, Any]) -> None:
        """Add a batch to the exposure."""
        drawn = batch.pop(DRAWN, None)
        if drawn is not None:
            self.exposure.add(self.statistics.picked(drawn), batch["cls"].numpy(), len(batch["img"]))

    def validate(self) -> Any:
        """The host's validation, its recall appended to recall.csv; by another rule than fitness, that rule's score."""
        validate = super().validate  # type: ignore[misc]
        answer = validate() if self.selection is None else self.selection.validate(self, validate)
        report = getattr(self.validator, "recall_report", None)
        if report is not None and RANK in (-1, 0):
            epoch: int = self.epoch + 1  # type: ignore[attr-defined]
            records.append_csv(self.save_dir / records.RECALL_ROWS, RECALL_COLUMNS, report.rows(epoch))
            if self.sampling is not None:
                self.sampling.observe(report, self.save_dir, epoch)
        return answer

    def save_model(self) -> Any:
        """The host's checkpoint, without the EMA model's criterion: no class of ours may be needed to load it."""
        ema = self.ema.ema
        criterion, ema.criterion = getattr(ema, "criterion", None), None
        try:
            saved = super().save_model()  # type: ignore[misc]
        finally:
            ema.criterion = criterion
        if self.selection is not None and saved is not False:  # some releases skip weights that are no numbers
            self.selection.save(self)
        epoch, files = self.epoch + 1, image_files(self.train_loader.dataset)  # type: ignore[attr-defined]
        resume_state.save(self.wdir, epoch, self.sampling, self.losses, self.selection, files)
        return saved

    def final_eval(self) -> None:
        """The host's validation of best.pt and the files of its recall, after what the run was shown.

        A calibration comes between two such validations: the first is what it is worked out on, the second of the
        calibrated best.pt. Every rank takes part in both, and in the second waits for the first rank as in the host.

        With `plots` this validation's prime samples are drawn too.
        """
        first = RANK in (-1, 0)
        if first:
            LOGGER.info(f"\n{training_console.exposure_table(self.exposure)}\n")
            if self.args.plots:
                from yolo_balance.views import feedback_plot  # matplotlib is needed here only

                feedback_plot.feedback(self.save_dir / records.FEEDBACK)
        super().final_eval()  # type: ignore[misc]
        calibrated = Calibrated()
        if self.balance.recall.calibration is not None and self.best.exists():
            if first:
                calibrated = calibrate(
                    self.best,
                    self.validator.outcomes,
                    self.balance.recall.calibration,
                    names=self.exposure.names,
                    counts=self.statistics.boxes,
                    split=self.args.split or "val",
                    seed=self.args.seed,
                    plan=self.save_dir / records.BALANCE,
                )
            super().final_eval()  # type: ignore[misc]
        if first and getattr(self.validator, "outcomes", None) is not None:
            final_files.write(
                self.save_dir,
                self.validator,
                self.balance.recall,
                task=self.args.task,
                names=self.exposure.names,
                steps=int(self.ema.updates),  # one per optimiser step, kept in checkpoints
                train_seconds=self.train_seconds,
                calibrated=calibrated,
                baseline=self.baseline,
            )
        if self.selection is not None and first:
            self.selection.finish(self)
