"""Train images made elsewhere, `balance.synthesis.folder`: read by Ultralytics, checked before a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
from ultralytics.data.build import build_yolo_dataset

from yolo_balance.arrays import Ints
from yolo_balance.config import SECTION
from yolo_balance.errors import DataError
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import box_classes
from yolo_balance.integration.protocols import Arguments, Dataset
from yolo_balance.text import counted, plain

KEY = f"{SECTION}.synthesis.folder"


def made_images(
    folder: str | None, arguments: Arguments, data: Mapping[str, object], known: Sequence[str] = ()
) -> Dataset | None:
    """Return Ultralytics' data set of a folder of made images and their labels; None without a folder.

    Args:
        folder: Folder with `images` and `labels` in it, or with images and label files side by side.
        arguments: Train arguments of the run.
        data: The data YAML, whose classes the labels name.
        known: Files of train and val, of which none may be in the folder.

    Raises:
        DataError: In one line: the folder is missing, has no image or no labelled box, or holds images of the data.
    """
    if folder is None:
        return None
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{KEY}: expected a folder of images and labels, got {plain(folder)}, which is none")
    images = root / "images" if (root / "images").is_dir() else root
    cfg = copy(arguments)
    cfg.cache = False
    try:
        dataset: Dataset = build_yolo_dataset(cfg, str(images.resolve()), batch=1, data=data, mode="val")
    except Exception as e:  # whatever a user's files provoke
        raise DataError(f"{KEY}: {plain(folder)} cannot be used ({one_line(e)})") from e
    if not any(map(len, box_classes(dataset))):
        found = counted(len(dataset), "image")
        raise DataError(f"{KEY}: {plain(folder)} has {found} and no labelled box; expected a label file for each image")
    paths = {os.path.realpath(file) for file in known}
    if shared := [file for file in dataset.im_files if os.path.realpath(file) in paths]:
        raise DataError(f"{KEY}: expected images that are in neither train nor val, got {plain(shared[0])}")
    return dataset


def boxes_by_class(dataset: Dataset | None, num_classes: int) -> Ints | None:
    """Return (C,) boxes of each class in the made images; None without any."""
    if dataset is None:
        return None
    classes = np.concatenate(box_classes(dataset)).astype(np.int64)
    return np.bincount(classes, minlength=num_classes)
