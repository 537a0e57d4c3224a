"""`attach`: two callbacks that balance an existing script's run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from yolo_balance.config import BalanceConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.data import BOX_TASKS, resolve_data
from yolo_balance.integration.training.classification import BalancedClassificationMixin
from yolo_balance.integration.training.trainer import BalancedTrainerMixin

MIXINS: dict[str, type[BalancedTrainerMixin]] = {
    **dict.fromkeys(BOX_TASKS, BalancedTrainerMixin),
    "classify": BalancedClassificationMixin,
}
"""What a trainer becomes, by task."""


def attach(model: Any, balance: BalanceConfig | str | Path | Mapping[str, Any] | None) -> Any:
    """Balance every later `model.train(...)`; everything else of the script stays.

    The run is the same as with `BalancedDetectionTrainer.configured(balance)`, also for a trainer class of your own.

    Args:
        model: An `ultralytics.YOLO` of any task that knows boxes or classes.
        balance: A YAML file, the `balance:` section as a mapping, or a BalanceConfig.

    Returns:
        The same model.

    Raises:
        ConfigError: With every problem of the configuration.
        HostError: The model's task is another one.

    Example:
        model = attach(YOLO("yolo26n.pt"), {"sampling": {"strategy": "repeat_factor"}})
        model.train(data="defects.yaml", epochs=100)
    """
    config = BalanceConfig.load(balance)
    if model.task not in MIXINS:
        raise HostError(f"attach: expected a model of task {', '.join(MIXINS)}, got {model.task}")
    hooks = {"on_pretrain_routine_start": draw_demo, "on_pretrain_routine_end": partial(adopt, config=config)}
    for event, hook in hooks.items():
        registered = model.callbacks[event]
        registered[:] = [other for other in registered if not _ours(other)]  # attached again: the last one counts
        model.add_callback(event, hook)
    return model


def draw_demo(trainer: Any) -> None:
    """Before the host reads `data`: draw the demo set if that is what it names."""
    trainer.args.data = resolve_data(trainer.args.data, trainer.args.task)


def adopt(trainer: Any, *, config: BalanceConfig) -> None:
    """Turn a trainer that is set up into a balanced one of its own type; runs on every rank.

    From then on it rebuilds its loader, as the host does after running out of memory, as a balanced trainer would.

    Raises:
        HostError: The trainer is balanced already, or its last batch too small.
    """
    if isinstance(trainer, BalancedTrainerMixin):
        raise HostError("attach: the trainer is balanced already; use either attach or trainer=, not both")
    mix_in(trainer, MIXINS[trainer.args.task], balance=config)
    trainer.balance_loader(trainer.train_loader)
    _check_last_batch(trainer)
    if not trainer.args.time:  # the host capped this by the length of an epoch that sampling may have changed
        accumulate = max(round(trainer.args.nbs / trainer.batch_size), 1)
        trainer.accumulate = min(accumulate, len(trainer.train_loader) * trainer.epochs)
    trainer.balance_validator(trainer.validator)
    trainer.start_balance()


def _check_last_batch(trainer: Any) -> None:
    """The host's check, which it made before sampling changed the length of an epoch.

    Raises:
        HostError: The last batch would be one image that is one pixel in the coarsest grid: no statistics to normalise.
    """
    loader = trainer.train_loader
    smallest = int(trainer.args.imgsz * (1 - trainer.args.multi_scale))
    last = len(loader.sampler) % loader.batch_size
    if trainer.sampling is not None and last == 1 and not loader.drop_last and smallest < 2 * trainer.stride:
        raise HostError(
            f"batch: an epoch of {len(loader.sampler)} images leaves a last batch of 1, which cannot be normalised at "
            f"{smallest} px; change batch, balance.sampling.epoch_size or imgsz"
        )


def _ours(callback: Any) -> bool:
    return callback is draw_demo or getattr(callback, "func", None) is adopt
