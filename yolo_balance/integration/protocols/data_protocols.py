"""Data sets and loaders of Ultralytics, and what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from yolo_balance.arrays import Floats32

OURS = ("drawn",)
"""Keys that this package adds to an object of Ultralytics."""


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
    fraction: float  # of the images that get_img_files finds, or their number
    im_files: list[str]  # those that are used
    img_path: str | list[str]
    label_files: list[str]  # of all images, the refused ones too
    labels: list[ImageLabels]
    max_buffer_length: int
    rect: bool
    single_cls: bool
    transforms: object
    use_keypoints: bool
    use_obb: bool

    def __getitem__(self, index: int) -> dict[str, object]: ...
    def get_image_and_label(self, index: int) -> dict[str, object]: ...  # before any transform
    def get_img_files(self, img_path: object) -> list[str]: ...  # a folder, a list or several; the refused ones too
    def build_transforms(self, hyp: object) -> object: ...
    def collate_fn(self, batch: list[dict[str, object]]) -> Batch: ...


class DataContent(TypedDict, total=False):
    """A data YAML as Ultralytics completes it: each split is a folder, a list file or several of them."""

    train: str | list[str]
    val: str | list[str]
    test: str | list[str] | None
    names: dict[int, str]
    kpt_shape: list[int]
    flip_idx: list[int]


class ImageSample(TypedDict):
    """An image with its labels, before any transform."""

    img: npt.NDArray[np.uint8]
    cls: Floats32  # (n, 1)
    instances: Any  # Ultralytics' Instances
    ori_shape: tuple[int, int]
    resized_shape: tuple[int, int]


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
    samples: list[Sequence[Any]]  # file and class, whatever fraction cuts off

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
