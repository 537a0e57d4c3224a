"""The balanced trainer: the host's, with its loader, criterion and validator balanced in place.

The same methods serve `YOLO(...).train(trainer=BalancedDetectionTrainer.configured(...))` and `attach`, which turns a
trainer that is already set up into a balanced one of its own type (`callbacks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.config import BalanceConfig
from yolo_balance.errors import HostError
from yolo_balance.integration import host, records
from yolo_balance.integration.criterion import balance_criterion, loss_terms
from yolo_balance.integration.dataset import DRAWN, balance_loader, start_epoch
from yolo_balance.integration.validator import balance_validator
from yolo_balance.recall.report import COLUMNS as RECALL_COLUMNS
from yolo_balance.sampling import ClassStatistics, Exposure, SamplingPlan, class_repeat_factors
from yolo_balance.sampling.exposure import COLUMNS as EXPOSURE_COLUMNS
from yolo_balance.sampling.statistics import Floats

T = TypeVar("T", bound="BalancedTrainerMixin")


class BalancedTrainerMixin:
    """What a balanced trainer does beyond the host's; each override calls the host's first.

    Attributes:
        balance: The configuration; every term off unless `configured`.
        statistics: The train split's labels.
        class_factors: (C,) repeat factor of each class, ones without sampling.
        plan: What epochs are drawn from, None without sampling.
        exposure: Boxes per class of the epoch at hand.
    """

    balance: ClassVar[BalanceConfig] = BalanceConfig()
    exposure: Exposure
    statistics: ClassStatistics
    class_factors: Floats
    plan: SamplingPlan | None

    args: Any
    data: dict[str, Any]
    train_loader: Any
    validator: Any
    model: Any
    ema: Any
    save_dir: Path

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
        self.args.data = host.resolve_data(self.args.data)
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
        return balance_validator(super().get_validator(), self.balance.recall)  # type: ignore[misc]

    def _setup_train(self) -> None:
        super()._setup_train()  # type: ignore[misc]
        self.start_balance()

    def balance_loader(self, loader: Any) -> None:
        """Resolve the sampling section on the loader's labels and make the loader follow it."""
        names = host.class_names(self.data["names"])
        labels = [label["cls"].ravel() for label in loader.dataset.labels]
        self.statistics = ClassStatistics.of(labels, len(names))
        self.class_factors, self.plan = np.ones(len(names)), None
        if (s := self.balance.sampling) is not None:
            self.class_factors = class_repeat_factors(
                self.statistics, threshold=s.threshold, power=s.power, max_repeat=s.max_repeat
            )
            self.plan = SamplingPlan.of(
                self.statistics, self.class_factors, epoch_size=s.epoch_size, seed=self.args.seed
            )
        requested = self.statistics.box_shares(None if self.plan is None else self.plan.expectation())
        self.exposure = Exposure(names, self.statistics.box_shares(), requested)
        if self.plan is not None and getattr(loader.dataset, "rect", False):
            raise HostError(host.RECT)
        partners = s is not None and s.partners
        balance_loader(loader, len(names), self.plan, partners=partners, epoch=getattr(self, "epoch", 0))

    def start_balance(self) -> None:
        """What has to wait until the host has set everything up: criteria, records, the epochs' hooks."""
        host.check_names(self.balance, self.data["names"])
        terms = loss_terms(self.balance.losses)
        if terms:  # training asks the model's criterion, validation the EMA model's; both are otherwise built lazily
            for model in (unwrap_model(self.model), self.ema.ema):
                criterion = getattr(model, "criterion", None) or model.init_criterion()
                model.criterion = balance_criterion(criterion, terms)
        for event, hook in EPOCH_HOOKS.items():
            self.add_callback(event, hook)  # type: ignore[attr-defined]
        if RANK in (-1, 0):
            self._start_records()

    def _start_records(self) -> None:
        resumed_at = self.start_epoch if self.resume else 0  # type: ignore[attr-defined]
        for name in (records.EXPOSURE, records.RECALL_ROWS):
            if resumed_at:
                records.keep_epochs(self.save_dir / name, resumed_at)
            else:
                (self.save_dir / name).unlink(missing_ok=True)
        (self.save_dir / records.RECALL).unlink(missing_ok=True)
        resolution = records.resolved(self.balance, self.statistics, self.class_factors, self.exposure, self.plan)
        records.write_balance(self.save_dir / records.BALANCE, self.balance, resolution)
        LOGGER.info(f"\n{records.plan_table(resolution)}\n")

    # -----------------------------------------------------------------------------------------------------------------
    # Running
    # -----------------------------------------------------------------------------------------------------------------

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Count the batch while it is still in host memory, then the host's preprocessing."""
        drawn = batch.pop(DRAWN, None)
        if drawn is not None:
            self.exposure.add(sum(drawn), batch["cls"].numpy())
        prepared: dict[str, Any] = super().preprocess_batch(batch)  # type: ignore[misc]
        return prepared

    def validate(self) -> Any:
        """The host's validation, its recall appended to recall.csv."""
        answer = super().validate()  # type: ignore[misc]
        report = self.validator.recall_report
        if report is not None and RANK in (-1, 0):
            epoch: int = self.epoch + 1  # type: ignore[attr-defined]
            records.append_csv(self.save_dir / records.RECALL_ROWS, RECALL_COLUMNS, report.rows(epoch))
        return answer

    def save_model(self) -> Any:
        """The host's checkpoint, without the EMA model's criterion: no class of ours may be needed to load it."""
        ema = self.ema.ema
        criterion, ema.criterion = getattr(ema, "criterion", None), None
        try:
            return super().save_model()  # type: ignore[misc]
        finally:
            ema.criterion = criterion

    def final_eval(self) -> None:
        """The host's validation of best.pt, its recall written to recall.json."""
        super().final_eval()  # type: ignore[misc]
        report = self.validator.recall_report
        if report is not None and RANK in (-1, 0):
            report.save(self.save_dir / records.RECALL)
            LOGGER.info(f"Recall per class saved to {self.save_dir / records.RECALL}")


def _start_epoch(trainer: Any) -> None:
    trainer.exposure.start_epoch()
    start_epoch(trainer.train_loader, trainer.epoch)


def _end_epoch(trainer: Any) -> None:
    exposure = trainer.exposure
    if dist.is_initialized():  # once per epoch, after its last step
        counts = torch.as_tensor(np.stack([exposure.drawn, exposure.reached]), device=trainer.device)
        dist.all_reduce(counts)
        exposure.drawn, exposure.reached = counts.cpu().numpy()
    if RANK in (-1, 0):
        rows = exposure.rows(trainer.epoch + 1)
        records.append_csv(trainer.save_dir / records.EXPOSURE, EXPOSURE_COLUMNS, rows)


EPOCH_HOOKS = {"on_train_epoch_start": _start_epoch, "on_train_epoch_end": _end_epoch}


class BalancedDetectionTrainer(BalancedTrainerMixin, DetectionTrainer):
    """The host's detection trainer with every term off: it trains bit for bit as stock and reports recall.

    Example:
        YOLO("yolo26n.pt").train(trainer=BalancedDetectionTrainer.configured("cfg/defects.yaml"), data="defects.yaml")
    """
