"""Validators of Ultralytics, and what they compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict

from torch import Tensor, nn

from yolo_balance.integration.protocols.data_protocols import DataContent, Loader
from yolo_balance.integration.protocols.run_protocols import Arguments


class Predicted(TypedDict):
    """The boxes predicted on an image, after non-maximum suppression."""

    bboxes: Tensor
    conf: Tensor
    cls: Tensor


class Labelled(TypedDict):
    """An image's objects, in pixels of the network's input."""

    bboxes: Tensor
    cls: Tensor
    im_file: str
    ori_shape: tuple[int, ...]
    ratio_pad: Any  # ((ratio, ratio), (x, y)), or the two ratios of an image that early releases stretch


class Precision(Protocol):
    """Average precision by class, a task's part of the metrics."""

    ap_class_index: Iterable[int]
    ap50: Sequence[float]


class Metrics(Protocol):
    """A validation's metrics; `seg` and `pose` stand beside `box` where a task has them."""

    results_dict: dict[str, float]
    box: Precision


class Validator(Protocol):
    """A validator of a task whose labels are boxes."""

    args: Arguments
    names: dict[int, str]
    data: DataContent  # from the first validation on
    metrics: Metrics
    dataloader: Loader
    save_dir: Path
    training: bool  # whether a trainer asked for the last validation
    end2end: bool  # from the first validation on

    def __call__(self, trainer: object = None, model: object = None) -> object: ...  # later releases take more
    def get_dataloader(self, dataset_path: str, batch_size: int) -> Loader: ...
    def init_metrics(self, model: nn.Module) -> None: ...
    def match_predictions(
        self, pred_classes: Tensor, true_classes: Tensor, iou: Tensor, use_scipy: bool = False
    ) -> Tensor: ...  # boxes (columns of iou) to objects (rows), at each IoU threshold
    def _process_batch(self, preds: Predicted, batch: Labelled) -> dict[str, object]: ...
    def gather_stats(self) -> None: ...
    def get_stats(self) -> dict[str, object]: ...
    def print_results(self) -> None: ...
    def postprocess(self, preds: Tensor) -> list[Predicted]: ...  # the boxes of each image that suppression keeps
