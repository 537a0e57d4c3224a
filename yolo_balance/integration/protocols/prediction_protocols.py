"""Predictors of Ultralytics, and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from yolo_balance.integration.protocols.releases import Releases
from yolo_balance.integration.protocols.run_protocols import Arguments, Callback

Images = Sequence[npt.NDArray[np.uint8]]


class Backend(Protocol):
    """The model inside a predictor, a checkpoint's or an exported one; pose has `kpt_shape` too, exports `metadata`."""

    names: Mapping[int, str]
    stride: int
    end2end: bool
    dynamic: bool
    format: Annotated[str, Releases(first="8.4.40")]
    pt: Annotated[bool, Releases(last="8.4.20")]

    def register_forward_pre_hook(self, hook: Callback) -> Handle: ...
    def register_forward_hook(self, hook: Callback) -> Handle: ...


class Handle(Protocol):
    """A registered hook of torch."""

    def remove(self) -> None: ...


class Predictor(Protocol):
    """A predictor of a task whose results are boxes."""

    args: Arguments
    imgsz: Sequence[int]
    dataset: Source
    batch: Sequence[Any]  # paths, images, ...
    results: list[Prediction]
    model: Backend
    callbacks: dict[str, list[Callback]]
    save_dir: Path

    def pre_transform(self, im: Images) -> Images: ...
    def save_predicted_images(self, save_path: Path, frame: int | None = 0) -> None: ...  # the annotated picture


class Source(Protocol):
    """Images to predict on, batch by batch."""

    def __next__(self) -> tuple[list[str], Images, list[str]]: ...  # paths, images, beginnings of their log lines


class PredictedBoxes(Protocol):
    """The boxes of one image."""

    conf: Tensor
    cls: Tensor


class Prediction(Protocol):
    """The `Results` of one image."""

    boxes: PredictedBoxes
    obb: PredictedBoxes | None
    names: Mapping[int, str]
    path: str

    def __getitem__(self, idx: Tensor) -> Prediction: ...  # a copy with these boxes
    def new(self) -> Prediction: ...  # an empty copy
