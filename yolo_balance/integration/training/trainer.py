"""The balanced trainer: Ultralytics' trainer, with its loader, criterion and validator balanced in place.

The same methods serve `YOLO(...).train(trainer=BalancedDetectionTrainer.configured(...))` and `attach`, which turns a
trainer after its setup into a balanced one of its own type.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.config import BalanceConfig, LossesConfig
from yolo_balance.files import written_together
from yolo_balance.integration import contract, protocols
from yolo_balance.integration.arguments import complete
from yolo_balance.integration.compat import check_devices, stripping_whole
from yolo_balance.integration.data import box_classes, check_units, class_names, image_files, resolve_data
from yolo_balance.integration.finished.class_shifts import class_layers
from yolo_balance.integration.finished.final_files import read_baseline
from yolo_balance.integration.hook_watch import HookWatch
from yolo_balance.integration.hooks.criterion import (
    balance_criterion,
    box_weights_end_at,
    gain_ratio,
    heads,
    without_part,
)
from yolo_balance.integration.hooks.dataset import DRAWN
from yolo_balance.integration.hooks.loader import balance_loader
from yolo_balance.integration.hooks.validator import RecallValidatorMixin, balance_validator
from yolo_balance.integration.split_images import check_labelled
from yolo_balance.integration.training import events
from yolo_balance.integration.training.best_checkpoint import RunSelection, check_rule
from yolo_balance.integration.training.made_images import boxes_by_class, made_images
from yolo_balance.integration.training.process_errors import process_errors
from yolo_balance.integration.training.resumable_trainer import ResumableMixin, checkpoint_of, state_to_resume
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.run_pastes import pasteable, run_pasting
from yolo_balance.integration.training.run_sampling import RunSampling
from yolo_balance.recall import RecallReport
from yolo_balance.resolution import ResolvedBalance, resolve
from yolo_balance.run_folder.history import append_recall
from yolo_balance.run_folder.state import TRAINED
from yolo_balance.sampling import ClassStatistics, Exposure
from yolo_balance.sampling.group_exposure import GroupExposure

T = TypeVar("T", bound="BalancedTrainerMixin")


class BalancedTrainerMixin(ResumableMixin):
    """The balanced part of a trainer; each override calls Ultralytics' method too.

    Attributes:
        asked: The configuration as it was stated; every term off unless `configured` or attached.
        resolved: The configuration on the run's data, from the train loader on.
        exposure: Boxes per class of the epoch at hand.
        sampling: `balance.sampling` while the run lasts, None without.
        groups: Images drawn by group, None without `balance.sampling.groups`.
        losses: `balance.losses` while the run lasts, None without.
        selection: `balance.recall.best` while the run lasts, None where Ultralytics' fitness decides.
        watch: Check that the hooks are called, None where the configuration asks for nothing.
        baseline: The report that the run's is compared with, None without.
        clock: The epoch that started last, and the seconds spent in epochs.
    """

    asked: BalanceConfig = BalanceConfig()
    resolved: ResolvedBalance
    exposure: Exposure
    sampling: RunSampling | None = None
    groups: GroupExposure | None = None
    losses: RunLosses | None = None
    selection: RunSelection | None = None
    watch: HookWatch | None = None
    baseline: RecallReport | None = None
    clock: events.EpochClock

    wdir: Path
    last: Path
    best: Path
    validator: RecallValidatorMixin  # in image classification, Ultralytics' own

    @classmethod
    def configured(cls: type[T], balance: BalanceConfig | str | Path | Mapping[str, object] | None) -> type[T]:
        """Return a trainer class bound to a configuration, for `YOLO(...).train(trainer=...)`.

        Args:
            balance: Anything `BalanceConfig.load` accepts.

        Raises:
            ConfigError: With every problem of the configuration.
        """
        return type(cls.__name__, (cls,), {"asked": BalanceConfig.load(balance), "__module__": cls.__module__})

    def train(self) -> object:
        """Train as Ultralytics does. Raises HostError on several devices that the release trains without balance."""
        check_devices(self)
        with process_errors() if self.ddp else nullcontext():
            return super().train()

    def get_dataset(self) -> dict[str, Any]:
        """Return Ultralytics' data dictionary; `data: demo` is drawn first."""
        self.args.data = resolve_data(self.args.data, self.args.task)
        return super().get_dataset()

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> protocols.Loader:
        """Return Ultralytics' loader; the train loader follows the plan."""
        loader = super().get_dataloader(dataset_path, batch_size=batch_size, rank=rank, mode=mode)
        if mode == "train":
            self.balance_loader(loader)
        return loader

    def get_validator(self) -> protocols.Validator:
        """Return Ultralytics' validator, reporting recall."""
        return self.balance_validator(super().get_validator())

    def _setup_train(self) -> None:
        super()._setup_train()
        self.start_balance()

    def balance_loader(self, loader: protocols.Loader) -> None:
        """Resolve the configuration on the loader's labels, once, and make the loader follow the plan.

        A loader that is built again, as after running out of memory, goes on with what the run has learnt.

        Raises:
            ConfigError: With every problem of the configuration on this data.
        """
        if not hasattr(self, "resolved"):
            names = class_names(self.data["names"])
            statistics = ClassStatistics.of(box_classes(loader.dataset), len(names))
            files = image_files(loader.dataset)
            objects = pasteable(loader.dataset, self.asked, len(names))
            made = boxes_by_class(made_images(self.asked.made, self.args, self.data, files), len(names))
            arguments = complete(vars(self.args))
            self.resolved = resolve(self.asked, statistics, names, arguments, files, objects=objects, made=made)
            if self.resolved.schedule is not None:
                self.sampling = RunSampling(self.resolved.schedule, names, image_files(loader.dataset))
                self.groups = self.sampling.groups
        self.exposure = Exposure(list(self.resolved.names), self.resolved.statistics)
        if (sampling := self.sampling) is None:
            balance_loader(loader, None, epoch=0)
            return
        epoch = getattr(self, "epoch", 0)
        plan = sampling.schedule.plan(epoch, self.epochs)
        self.exposure.start_epoch(plan)
        partners, foreground = sampling.options.partners, sampling.foreground
        balance_loader(
            loader,
            plan,
            epoch=epoch,
            partners=partners,
            foreground=foreground,
            changing=sampling.changing,
            pasting=run_pasting(loader.dataset, self.resolved, self.args),
        )

    def balance_validator(self, validator: protocols.Validator) -> protocols.Validator:
        """Make the validator report recall."""
        return balance_validator(validator, self.resolved.config.recall)

    def start_balance(self) -> None:
        """Balance the criteria, start the records and hook the epochs, once Ultralytics' setup is complete."""
        contract.check()
        config = self.resolved.config
        check_labelled(self.test_loader.dataset, config.recall.unlabelled)
        if config.recall.calibration is not None:
            class_layers(self.ema.ema)  # raises where there are none
        if config.losses is not None:
            self.balance_losses(config.losses)
        if self.asked != BalanceConfig():
            self.watch = HookWatch(None if self.losses is None else unwrap_model(self.model).criterion)
        check_units(config.recall.units, self.args.data, image_files(self.test_loader.dataset))
        self.selection = RunSelection.of(self)
        self.baseline = read_baseline(config.recall)
        self.clock = events.EpochClock()
        for event, hook in events.EPOCH_HOOKS.items():
            self.add_callback(event, hook)
        if self.resume:
            check_rule(self.wdir, self.selection)
            if self.state is None:  # the trainer was built by a function, which no mixin reaches
                path = Path(str(self.args.resume))
                self.state, self.forgotten = state_to_resume(self.wdir, path, checkpoint_of(path))
        events.start(self)

    def balance_losses(self, options: LossesConfig) -> None:
        """Put the terms of the losses section into both criteria."""
        # training asks the model's criterion, validation the EMA model's; both are otherwise built lazily
        models = unwrap_model(self.model), unwrap_model(self.ema.ema)
        criteria = [getattr(model, "criterion", None) or model.init_criterion() for model in models]
        dropped = without_part(criteria[0], options)
        kept = options.model_copy(update=dict.fromkeys(dropped))
        self.losses = RunLosses(
            kept, self.resolved.statistics, self.resolved.names, self.resolved.shown, gain_ratio(criteria[0])
        )
        self.losses.check_heads(heads(criteria[0]))
        if RANK in (-1, 0):
            for line in (*dropped.values(), *box_weights_end_at(criteria[0], kept), *self.losses.remarks()):
                LOGGER.warning(line)
        for model, criterion in zip(models, criteria, strict=True):
            model.criterion = balance_criterion(criterion, self.losses.terms)

    def preprocess_batch(self, batch: protocols.Batch) -> protocols.Batch:
        """Count the batch before it leaves the CPU, then preprocess it as Ultralytics does."""
        if self.watch is not None:
            self.watch.batch(batch, self.train_loader)
        self.count(batch)
        return super().preprocess_batch(batch)

    def count(self, batch: protocols.Batch) -> None:
        """Add a batch to the exposure."""
        drawn = batch.pop(DRAWN, None)
        if drawn is not None:
            outside = sum(picked.stock for picked in drawn)
            if self.groups is not None:
                self.groups.add([picked.sampled for picked in drawn])
            pasted = np.zeros((2, len(self.exposure.names)), np.int64)
            for picked in drawn:
                for partner, label in picked.pasted:
                    pasted[int(partner), label] += 1
            picked_boxes = self.resolved.statistics.picked(drawn)
            self.exposure.add(picked_boxes, batch["cls"].numpy(), len(batch["img"]), outside, pasted)

    def validate(self) -> tuple[dict[str, float] | None, float | None]:
        """Validate as Ultralytics does, and append recall to recall.csv; the rule of `best` replaces the fitness."""
        answer = self._validated() if self.selection is None else self.selection.validate(self, self._validated)
        report = getattr(self.validator, "recall_report", None)
        if report is not None and RANK in (-1, 0):
            append_recall(self.save_dir, self.epoch + 1, report, self.validator.class_scores)
            if self.sampling is not None:
                self.sampling.observe(report, self.save_dir, self.epoch + 1)
        return answer

    def _validated(self) -> tuple[dict[str, float] | None, float | None]:
        answer = super().validate()
        if self.watch is not None and RANK in (-1, 0):
            self.watch.validated(self.validator)
        return answer

    def save_model(self) -> bool | None:
        """Save Ultralytics' checkpoints, whole and together with the state of the run.

        The EMA model's criterion is left out: loading may need no class of this package.
        """
        ema: Any = self.ema.ema
        criterion, ema.criterion = getattr(ema, "criterion", None), None
        places = self.wdir, self.last, self.best
        try:
            with written_together(self.wdir) as fresh:
                self.wdir, self.last, self.best = fresh, fresh / self.last.name, fresh / self.best.name
                saved = super().save_model()
                if self.last.exists():  # some releases skip weights that are no numbers
                    if self.selection is not None:
                        self.selection.save(self)
                    events.save_state(self)
        finally:
            ema.criterion = criterion
            self.wdir, self.last, self.best = places
        return saved

    def final_eval(self) -> None:
        """Log the exposure, validate best.pt as Ultralytics does and write the files of its recall.

        A calibration comes between two such validations. The shifts are fitted on the first; the second reads the
        calibrated best.pt. Every rank takes part in both, and waits for the first rank before the second, as in
        Ultralytics.
        """
        events.note_stage(self, TRAINED)
        events.show_exposure(self)
        with stripping_whole():
            super().final_eval()
            calibrated = events.calibrated(self)
            if calibrated is not None:
                super().final_eval()
        events.end(self, calibrated)
