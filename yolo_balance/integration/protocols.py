"""The surface of Ultralytics that this package touches, as types: each attribute and method once.

Each name was seen in releases 8.4.0, 8.4.20, 8.4.40, 8.4.60, 8.4.100 and 8.4.190, unless `Releases` stand beside its
type. Parameters have the names and the order that Ultralytics gives them; those behind a `*` are passed by name.
`python -m yolo_balance.integration.contract` compares this list with the installed release.

The Protocols exist for type checkers and for that comparison: an object of Ultralytics is never made one of them, since
a Protocol's empty methods would hide those of Ultralytics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from yolo_balance.arrays import Floats32

OURS = ("drawn",)
"""Keys that this package adds to an object of Ultralytics."""

Images = Sequence[npt.NDArray[np.uint8]]
Callback = Callable[..., object]
Checkpoint: TypeAlias = dict[str, Any]
"""Content of a checkpoint by key: epoch, optimizer, train_args, train_results, ..."""


class Releases(NamedTuple):
    """First and last release of those tried that have an attribute."""

    first: str = "8.4.0"
    last: str = "999"


# Training ------------------------------------------------------------------------------------------------------------


class Arguments(Protocol):
    """A run's arguments, a trainer's, validator's or predictor's `args`."""

    task: str
    mode: str
    model: str
    data: str
    classes: list[int] | int | None
    single_cls: bool
    split: str
    imgsz: int
    multi_scale: float
    copy_paste: float
    nbs: int
    time: float | None
    seed: int
    plots: bool
    conf: float  # validators and predictors fill in their own default
    iou: float
    rect: bool
    embed: list[int] | None
    resume: str | bool
    save_dir: str


class Network(Protocol):
    """A model as a trainer and a validator hold it."""

    model: Sequence[nn.Module]  # the layers, the head last

    def init_criterion(self) -> object: ...


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


class Batch(TypedDict, total=False):
    """A collated batch, or one sample of it."""

    img: Tensor
    cls: Tensor
    im_file: Sequence[str]
    drawn: Sequence[Any]  # ours: the images that a sample was made of


class Loader(Sized, Iterable[Batch], Protocol):
    """A train loader, which Ultralytics builds once and iterates again at each epoch."""

    dataset: Dataset
    sampler: Sized
    batch_sampler: object
    batch_size: int
    drop_last: bool
    num_workers: int
    generator: torch.Generator
    iterator: Iterator[Batch] | None

    def reset(self) -> None: ...  # drops the workers, which start again with the next epoch


class Dataset(Sized, Protocol):
    """A data set of labelled images."""

    augment: bool
    cache: str | bool | None
    data: DataContent
    im_files: list[str]  # those that are used
    img_path: str | list[str]
    label_files: list[str]  # of all images, the refused ones too
    labels: list[ImageLabels]
    max_buffer_length: int
    single_cls: bool
    transforms: object
    use_keypoints: bool

    def __getitem__(self, index: int) -> dict[str, object]: ...
    def get_image_and_label(self, index: int) -> dict[str, object]: ...  # before any transform
    def get_img_files(self, img_path: str | list[str]) -> list[str]: ...  # all, the refused ones too
    def build_transforms(self, hyp: object) -> object: ...
    def collate_fn(self, batch: list[dict[str, object]]) -> Batch: ...


class DataContent(TypedDict, total=False):
    """A data YAML as Ultralytics completes it: each split is a folder, a list file or several of them."""

    train: str | list[str]
    val: str | list[str]
    test: str | list[str] | None
    names: dict[int, str]
    kpt_shape: list[int]


class ImageLabels(TypedDict):
    """An image's objects in the file, boxes as shares of the image (n, 4) and classes (n, 1)."""

    im_file: str
    shape: tuple[int, int]
    cls: Floats32
    bboxes: Floats32
    segments: Sequence[Floats32]  # outlines, none where labels are boxes


class FolderTree(Protocol):
    """The reader of an image folder, torchvision's ImageFolder."""

    classes: list[str]

    def __len__(self) -> int: ...


class ImageFolder(Protocol):
    """A data set of one class folder for each class."""

    base: FolderTree
    root: str
    samples: list[Sequence[Any]]  # file, class, and what Ultralytics adds


class Transforms(Protocol):
    """A list of transforms, `Compose`."""

    transforms: list[object]


class MixTransform(Protocol):
    """A transform that mixes an image with others."""

    pre_transform: object

    def get_indexes(self) -> int | list[int]: ...


class MosaicTransform(MixTransform, Protocol):
    """A mix transform that tiles images."""

    n: int


# Losses --------------------------------------------------------------------------------------------------------------


class Assigner(Protocol):
    """Assigns predictions to objects."""

    def __call__(
        self,
        pd_scores: Tensor,
        pd_bboxes: Tensor,
        anc_points: Tensor,
        gt_labels: Tensor,
        gt_bboxes: Tensor,
        mask_gt: Tensor,
        *args: Tensor,  # releases and tasks add more
        **kwargs: Tensor,
    ) -> tuple[Tensor, ...]: ...  # labels, boxes, scores, foreground and object of each anchor


class ElementwiseLoss(Protocol):
    """The classification loss, one value for each logit."""

    def __call__(self, input: Tensor, target: Tensor, /) -> Tensor: ...  # (B, A, C)


class BoxLoss(Protocol):
    """The box losses of the positives, each weighed by the sum of its target scores."""

    def __call__(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor,
        fg_mask: Tensor,
        /,
        *args: Tensor,  # releases add more
    ) -> tuple[Tensor, ...]: ...  # box loss, and DFL or L1 loss


class Gains(Protocol):
    """Multipliers of the losses, `hyp`."""

    box: float
    cls: float


class Criterion(Protocol):
    """The criterion of a dense head; calls its three parts on itself, in this order."""

    assigner: Assigner
    bce: ElementwiseLoss
    bbox_loss: BoxLoss
    hyp: Gains


class EndToEndCriterion(Protocol):
    """The criteria of an end-to-end model's two heads."""

    one2many: Criterion
    one2one: Criterion


class Varifocal(Protocol):
    """RT-DETR's classification loss."""

    gamma: float
    alpha: float


class DETRCriterion(Protocol):
    """RT-DETR's criterion."""

    loss_gain: dict[str, float]
    vfl: Varifocal | None
    matcher: Matcher

    def _get_index(
        self, match_indices: list[tuple[Tensor, Tensor]]
    ) -> tuple[tuple[Tensor, Tensor], Tensor]: ...  # image and query of each matched pair, and its object
    def _get_loss(
        self,
        pred_bboxes: Tensor,
        pred_scores: Tensor,
        gt_bboxes: Tensor,
        gt_cls: Tensor,
        gt_groups: list[int],
        *,
        postfix: str = "",
        match_indices: list[tuple[Tensor, Tensor]] | None = None,
    ) -> dict[str, Tensor]: ...  # early releases have masks before `postfix`
    def _get_loss_class(
        self, pred_scores: Tensor, targets: Tensor, gt_scores: Tensor, num_gts: int, postfix: str = ""
    ) -> dict[str, Tensor]: ...
    def _get_loss_bbox(self, pred_bboxes: Tensor, gt_bboxes: Tensor, postfix: str = "") -> dict[str, Tensor]: ...


class Matcher(Protocol):
    """Matches queries to objects."""

    def __call__(
        self, pred_bboxes: Tensor, pred_scores: Tensor, gt_bboxes: Tensor, gt_cls: Tensor, gt_groups: list[int]
    ) -> list[tuple[Tensor, Tensor]]: ...  # query and object of each matched pair, by image


class DenseHead(Protocol):
    """The last layer of a model; an end-to-end one has `one2one_cv3` too."""

    cv3: Sequence[nn.Sequential]
    one2one_cv3: Sequence[nn.Sequential]
    nc: int


class DecoderHead(Protocol):
    """The last layer of RT-DETR."""

    dec_score_head: Iterable[nn.Module]
    nc: int


# Validation ----------------------------------------------------------------------------------------------------------


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
    metrics: Metrics
    dataloader: Loader
    save_dir: Path

    def init_metrics(self, model: nn.Module) -> None: ...
    def match_predictions(
        self, pred_classes: Tensor, true_classes: Tensor, iou: Tensor, use_scipy: bool = False
    ) -> Tensor: ...  # boxes (columns of iou) to objects (rows), at each IoU threshold
    def _process_batch(self, preds: Predicted, batch: Labelled) -> dict[str, object]: ...
    def gather_stats(self) -> None: ...
    def get_stats(self) -> dict[str, object]: ...
    def print_results(self) -> None: ...
    def postprocess(self, preds: Tensor) -> list[Predicted]: ...  # the boxes of each image that suppression keeps


# Prediction, and the model of a user's script ------------------------------------------------------------------------


class YOLOModel(Protocol):
    """An `ultralytics.YOLO`."""

    task: str
    names: Mapping[int, str]
    model: nn.Module
    ckpt_path: str | Path | None
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
    batch: Sequence[Any]  # paths, images, ...
    results: list[Prediction]
    model: Backend
    callbacks: dict[str, list[Callback]]
    save_dir: Path

    def pre_transform(self, im: Images) -> Images: ...
    def save_predicted_images(self, save_path: Path, frame: int | None = 0) -> None: ...  # the annotated picture


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
