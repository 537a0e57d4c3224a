"""Trainers of Ultralytics."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from yolo_balance.integration.protocols.data_protocols import Batch, Loader
from yolo_balance.integration.protocols.run_protocols import Arguments, Callback
from yolo_balance.integration.protocols.validation_protocols import Validator


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
    accumulate: int
    stride: int
    best_fitness: float | None
    save_dir: Path
    wdir: Path
    last: Path
    best: Path

    def add_callback(self, event: str, callback: Callback) -> None: ...
    def train(self) -> object: ...
    def get_dataset(self) -> dict[str, object]: ...
    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Loader: ...
    def get_validator(self) -> Validator: ...
    def _setup_train(self) -> None: ...
    def preprocess_batch(self, batch: Batch) -> Batch: ...
    def validate(self) -> tuple[dict[str, float] | None, float | None]: ...
    def save_model(self) -> bool | None: ...  # last.pt, best.pt too at the best fitness; false where some refuse to
    def final_eval(self) -> None: ...
    def read_results_csv(self) -> dict[str, object]: ...
