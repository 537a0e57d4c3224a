"""`attach`: balances the runs of an existing script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from yolo_balance.config import BalanceConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.compat import check_devices, mix_in
from yolo_balance.integration.data import BOX_TASKS, resolve_data
from yolo_balance.integration.protocols import Callback, Trainer, YOLOModel
from yolo_balance.integration.training.classification import BalancedClassificationMixin
from yolo_balance.integration.training.process_errors import in_one_line
from yolo_balance.integration.training.resumable_trainer import is_trained, resumable
from yolo_balance.integration.training.trainer import BalancedTrainerMixin

MIXINS: dict[str, type[BalancedTrainerMixin]] = {
    **dict.fromkeys(BOX_TASKS, BalancedTrainerMixin),
    "classify": BalancedClassificationMixin,
}
"""Mixin of a balanced trainer by task."""

SET_UP = "on_pretrain_routine_end"
"""Event after a trainer's setup, on every rank."""

if TYPE_CHECKING:
    Stock = YOLOModel
else:
    Stock = object


class AttachedModel(Stock):
    """A model whose runs `attach` balances; it draws the demo set, and refuses the runs that are out of its reach.

    The configuration is the model's own and no callback's, so that it outlives `reset_callbacks`, which Ray Tune calls.

    Attributes:
        balance: The configuration.
    """

    balance: BalanceConfig

    def train(self, trainer: object = None, **kwargs: object) -> object:
        """Train as Ultralytics does. Raises HostError on several devices that the release trains without balance."""
        build = resumable(cast("Callable[..., Trainer]", trainer or self._smart_load("trainer")))
        if kwargs.get("resume") is True and self.ckpt_path and is_trained(Path(self.ckpt_path)):
            kwargs["resume"] = str(self.ckpt_path)  # of true, without an optimiser, Ultralytics makes a new training

        def checked(*, overrides: dict[str, object], _callbacks: dict[str, list[Callback]]) -> Trainer:
            if overrides.get("data"):  # before the trainer starts processes, which all read `data`
                overrides["data"] = resolve_data(overrides["data"], self.task)
            hooked = {**_callbacks, SET_UP: [*_callbacks[SET_UP], partial(adopt, config=self.balance)]}
            built = build(overrides=overrides, _callbacks=hooked)
            check_devices(built)
            in_one_line(built)
            return built

        return super().train(checked, **kwargs)

    def tune(self, use_ray: bool = False, iterations: int = 10, *args: object, **kwargs: object) -> object:
        """Raise HostError: Ultralytics trains each trial in another process, or without callbacks under Ray."""
        raise HostError(
            "attach: model.tune() does not hand attach on to its trials, each of which would be trained without "
            "balance; call model.train() for each trial, or tune a model without attach"
        )


def attach(model: YOLOModel, balance: BalanceConfig | str | Path | Mapping[str, object] | None) -> YOLOModel:
    """Balance every later `model.train(...)`; the rest of the script stays.

    The run is the same as with `BalancedDetectionTrainer.configured(balance)`, also for a trainer class of your own.
    `model.tune(...)` raises HostError before its first trial, because trials would be trained without balance.

    Args:
        model: An `ultralytics.YOLO` of a task with boxes or of image classification.
        balance: A YAML file, the `balance:` section as a mapping, or a BalanceConfig.

    Returns:
        The same model.

    Raises:
        ConfigError: With every problem of the configuration.
        HostError: The model has another task. `model.train(...)` raises it on several devices with a release of
            Ultralytics before 8.4.140.

    Example:
        model = attach(YOLO("yolo26n.pt"), {"sampling": {"strategy": "repeat_factor"}})
        model.train(data="defects.yaml", epochs=100)
    """
    config = BalanceConfig.load(balance)
    if model.task not in MIXINS:
        raise HostError(f"attach: expected a model of task {', '.join(MIXINS)}, got {model.task}")
    attached = mix_in(model, AttachedModel)
    attached.balance = config  # attached again: the last one counts
    return attached


def adopt(trainer: Trainer, *, config: BalanceConfig) -> None:
    """Turn a trainer after its setup into a balanced one of its own type; runs on every rank.

    A loader that Ultralytics rebuilds later, as after running out of memory, is balanced too.

    Raises:
        ConfigError: With every problem of the configuration on the trainer's data.
        HostError: The trainer is balanced already, or its last batch is too small.
    """
    if isinstance(trainer, BalancedTrainerMixin):
        raise HostError("attach: the trainer is balanced already; use either attach or trainer=, not both")
    balanced = mix_in(trainer, MIXINS[trainer.args.task], asked=config)
    balanced.balance_loader(balanced.train_loader)
    _check_last_batch(balanced)
    if not trainer.args.time:  # Ultralytics capped this by the length of an epoch that sampling may have changed
        accumulate = max(round(trainer.args.nbs / trainer.batch_size), 1)
        trainer.accumulate = min(accumulate, len(trainer.train_loader) * trainer.epochs)
    balanced.balance_validator(balanced.validator)
    balanced.start_balance()


def _check_last_batch(trainer: BalancedTrainerMixin) -> None:
    """Repeat Ultralytics' check that the last batch can be normalised, which sampling may have made one image."""
    loader = trainer.train_loader
    smallest = int(trainer.args.imgsz * (1 - trainer.args.multi_scale))
    last = len(loader.sampler) % loader.batch_size
    if trainer.sampling is not None and last == 1 and not loader.drop_last and smallest < 2 * trainer.stride:
        raise HostError(
            f"batch: an epoch of {len(loader.sampler)} images leaves a last batch of 1, which cannot be normalised at "
            f"{smallest} px; change batch, balance.sampling.epoch_size or imgsz"
        )
