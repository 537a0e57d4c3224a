"""Trainers of Ultralytics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from yolo_balance.integration.protocols.data_protocols import Batch, Loader
from yolo_balance.integration.protocols.run_protocols import Arguments, Callback
from yolo_balance.integration.protocols.validation_protocols import Validator

Checkpoint: TypeAlias = dict[str, Any]
"""Content of a checkpoint by key: epoch, optimizer, train_args, train_results, ..."""


class Average(Protocol):
    """The exponential moving average of a model."""

    ema: nn.Module
    updates: int  # one per optimiser step, kept in checkpoints


class Trainer(Protocol):
    """A trainer, from its construction to the last validation."""

    args: Arguments
    data: dict[str, Any]
    model: nn.Module
    ema: Average
    device: torch.device
    amp: bool
    world_size: int
    ddp: bool  # whether `train` starts a process per device
    train_loader: Loader
    test_loader: Loader
    validator: Validator
    batch_size: int
    epochs: int
    epoch: int  # from the first epoch on
    start_epoch: int
    resume: bool
    stop: bool  # whether the epoch at hand is the last
    accumulate: int
    stride: int
    best_fitness: float | None
    save_dir: Path
    wdir: Path
    last: Path
    best: Path

    def add_callback(self, event: str, callback: Callback) -> None: ...
    def train(self) -> object: ...
    def check_resume(self, overrides: dict[str, object]) -> None: ...  # puts a checkpoint's arguments into `args`
    def resume_training(self, ckpt: Checkpoint | None) -> None: ...
    def run_callbacks(self, event: str) -> None: ...
    def plot_metrics(self) -> None: ...
    def _do_train(self) -> None: ...  # set-up, epochs, last validation
    def _setup_ddp(self) -> None: ...
    def get_dataset(self) -> dict[str, object]: ...
    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Loader: ...
    def get_validator(self) -> Validator: ...
    def _setup_train(self) -> None: ...
    def preprocess_batch(self, batch: Batch) -> Batch: ...
    def validate(self) -> tuple[dict[str, float] | None, float | None]: ...
    def save_model(self) -> bool | None: ...  # last.pt, best.pt too at the best fitness; false where some refuse to
    def final_eval(self) -> None: ...
    def read_results_csv(self) -> dict[str, object]: ...
