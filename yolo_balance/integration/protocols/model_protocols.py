"""An `ultralytics.YOLO`, the network in it and the last layers of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from yolo_balance.integration.protocols.prediction_protocols import Prediction, Predictor
from yolo_balance.integration.protocols.run_protocols import Callback
from yolo_balance.integration.protocols.training_protocols import Trainer
from yolo_balance.integration.protocols.validation_protocols import Validator


class YOLOModel(Protocol):
    """An `ultralytics.YOLO`."""

    task: str
    names: Mapping[int, str]
    model: nn.Module
    ckpt_path: str | Path | None  # the file that the model was made from
    overrides: dict[str, Any]
    callbacks: dict[str, list[Callback]]
    trainer: Trainer | None
    predictor: Predictor | None

    def add_callback(self, event: str, func: Callback) -> None: ...
    def train(self, trainer: object = None, **kwargs: object) -> object: ...
    def tune(self, use_ray: bool = False, iterations: int = 10, *args: object, **kwargs: object) -> object: ...
    def val(self, validator: object = None, **kwargs: object) -> object: ...
    def predict(self, source: object = None, stream: bool = False, **kwargs: object) -> Iterable[Prediction]: ...
    def _smart_load(self, key: str) -> Callable[..., Validator]: ...  # of the key `validator`; a trainer of `trainer`


class Network(Protocol):
    """A model as a trainer and a validator hold it."""

    model: Sequence[nn.Module]  # the layers, the head last

    def init_criterion(self) -> object: ...


class DenseHead(Protocol):
    """The last layer of a model; an end-to-end one has `one2one_cv3` too."""

    cv3: Sequence[nn.Sequential]
    one2one_cv3: Sequence[nn.Sequential]
    nc: int


class DecoderHead(Protocol):
    """The last layer of RT-DETR."""

    dec_score_head: Iterable[nn.Module]
    nc: int
