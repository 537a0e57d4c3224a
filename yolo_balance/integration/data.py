"""Data sets as Ultralytics reads them: the YAML, its splits, labels and class names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
from pydantic import AfterValidator
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset, img2label_paths, verify_image_label
from ultralytics.utils import LOGGER, SETTINGS

from yolo_balance import demo
from yolo_balance.arrays import Floats, Floats32, Ints
from yolo_balance.bounded_files import checked
from yolo_balance.config import read_yaml
from yolo_balance.errors import BalanceError, DataError
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.label_lines import misread_names, row_at_fault
from yolo_balance.integration.protocols import DataContent, Dataset, ImageFolder
from yolo_balance.text import counted, distinct, listed, plain

BOX_TASKS = ("detect", "segment", "pose", "obb")
"""Tasks whose labels are boxes; some have more than boxes."""

POLYGON_TASKS = ("segment", "obb")
"""Tasks whose labels are polygons."""
BOX_NUMBERS = 5
"""Numbers in a row that is a box: class, centre and size."""

DEMO = "demo"
MOST_BYTES = 8 << 20
"""Size above which a data YAML is none; the 21,841 classes of ImageNet have 1 MiB."""


def _names(value: object) -> object:
    names = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    if value is not None and (names is None or not all(isinstance(name, (str, int, float)) for name in names)):
        raise ValueError("expected a list of class names, or class names by class id")
    return value


@dataclass(frozen=True)
class _DataFile:
    names: Annotated[object, AfterValidator(_names)] = None


def resolve_data(data: object, task: str) -> str:
    """Return the data YAML's path: `demo` is drawn into Ultralytics' data-set folder, any other name stays."""
    if data != DEMO:
        return str(data)
    if task == "classify":
        raise DataError("data: demo holds boxes; expected a folder of class folders for task classify")
    if task == "pose":
        raise DataError("data: demo holds no keypoints; expected a data YAML with kpt_shape for task pose")
    try:
        return str(demo.generate(Path(SETTINGS["datasets_dir"]) / "yolo_balance_demo"))
    except OSError as e:  # a file by that name, a full disk, no permission
        raise DataError(f"data: demo cannot be written ({one_line(e)})") from e


def read_data(data: str | Path, *, download: bool = True) -> DataContent:
    """Read a data YAML as Ultralytics does; raises DataError in one line. Warns of class names that YAML misreads.

    Args:
        data: Path of the YAML.
        download: Whether Ultralytics may fetch a data set that is not there.
    """
    try:
        if Path(data).exists():  # else a data set that Ultralytics knows or fetches
            checked(_DataFile, read_yaml(data, MOST_BYTES), data)
        found: DataContent = check_det_dataset(str(data), autodownload=download)
    except BalanceError as e:
        raise DataError(f"data: {e}") from e
    except Exception as e:  # FileNotFoundError, SyntaxError, TypeError, YAML errors: whatever a user's file provokes
        raise DataError(f"data: {data} cannot be used ({one_line(e)})") from e
    if sorted(found["names"]) != list(range(len(found["names"]))):  # Ultralytics looks at the largest id only
        raise DataError(f"data: {data} names classes {sorted(found['names'])}; expected ids from 0 on without a gap")
    for line in misread_names(data):
        LOGGER.warning(line)
    return found


def check_labels(arguments: Mapping[str, object], data: DataContent, task: str) -> tuple[Dataset, Dataset]:
    """Scan both splits with Ultralytics' scanner, whose cache the run's own loaders then read.

    Returns:
        Ultralytics' data sets of train and val.

    Raises:
        DataError: A split has no readable image, or the train split no object.
    """
    cfg = get_cfg(overrides={**arguments, "cache": False, "task": task})
    train = scan(cfg, data, "train", "train")
    if not any(map(len, box_classes(train))):
        unusable, rest = Scan.of(train), f"{len(train)} images and no object, all are background"
        if unusable.ignored:
            rest = (
                f"{unusable.ignored + len(train)} images, {unusable.ignored} of them not usable ({unusable.first}), "
                f"the other {len(train)} background"
            )
        raise DataError(f"data: the train split {data['train']} has {rest}; expected at least one labelled box")
    return train, scan(cfg, data, cfg.split or "val", "val")


def scan(cfg: SimpleNamespace, data: Mapping[str, object], split: str, mode: str) -> Dataset:
    """Return Ultralytics' data set of a split, its labels scanned and cached; raises DataError in one line."""
    try:
        dataset: Dataset = build_yolo_dataset(cfg, data[split], batch=1, data=data, mode=mode)
    except Exception as e:  # whatever a user's files provoke
        reason = (_box_rows(cfg, data, split) if cfg.task in POLYGON_TASKS else None) or one_line(e)
        raise DataError(f"data: the {split} split {data[split]} cannot be used ({reason})") from e
    return dataset


@dataclass(frozen=True)
class Scan:
    """Images of a split that have no usable label.

    Attributes:
        ignored: Images that Ultralytics left out of the split, because the image or its label file is not usable.
        first: Name of the first such image and the reason; empty without any.
        without_file: Images of the split without a label file; Ultralytics takes them for background.
    """

    ignored: int
    first: str
    without_file: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Scan:
        """Count the images of a data set after Ultralytics' scan; the reason is that of Ultralytics' own check.

        A data set of a user's own that reads no label files has no such images.
        """
        if not hasattr(dataset, "label_files"):
            return cls(0, "", ())
        empty = [label["im_file"] for label in dataset.labels if not len(label["cls"])]
        without_file = tuple(
            image for image, file in zip(empty, img2label_paths(empty), strict=True) if not os.path.isfile(file)
        )
        ignored = len(dataset.label_files) - len(dataset.labels)
        if not ignored:
            return cls(0, "", without_file)
        used = set(dataset.im_files)
        image = next((file for file in dataset.get_img_files(dataset.img_path) if file not in used), "")
        return cls(ignored, f"{Path(image).name}: {refusal(dataset, image)}", without_file)


def refusal(dataset: Dataset, image: str) -> str:
    """Return the reason of Ultralytics' own check against an image that is not used."""
    keypoints, dimensions = dataset.data.get("kpt_shape") or (0, 0)
    classes, label = len(dataset.data["names"]), img2label_paths([image])[0]
    options = dataset.use_keypoints, classes, keypoints, dimensions, dataset.single_cls
    message = str(verify_image_label((image, label, "", *options))[-1])
    reason = " ".join(message.rpartition("ignoring corrupt image/label: ")[2].split())
    line = row_at_fault(Path(label), classes, 5 + keypoints * dimensions * dataset.use_keypoints, dimensions)
    return reason if line is None else f"{reason}, line {line} of {Path(label).name}"


def has_objects(image: str) -> bool:
    """Return whether the label file of an image has a line, whatever `classes` keeps of it."""
    label = Path(img2label_paths([image])[0])
    return label.is_file() and bool(label.read_text(encoding="utf-8-sig", errors="replace").strip())


def _box_rows(cfg: SimpleNamespace, data: Mapping[str, object], split: str) -> str | None:
    """Name the label files of a split with rows that are boxes and not polygons; None where there is none."""
    detection = SimpleNamespace(**{**vars(cfg), "task": "detect"})  # takes rows of both kinds
    try:
        files = build_yolo_dataset(detection, data[split], batch=1, data=data, mode="val").label_files
    except Exception:  # another fault, which the caller reports
        return None
    boxes = {}
    for file in map(Path, files):
        rows = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        if found := sum(len(row.split()) == BOX_NUMBERS for row in rows):
            boxes[file] = found
    if not boxes:
        return None
    places = [f"{plain(str(file))} has {counted(count, 'such row')}" for file, count in boxes.items()]
    return (
        f"{counted(sum(boxes.values()), 'row')} in {counted(len(boxes), 'label file')}: expected a class and the "
        f"corners of a polygon, got a box of {BOX_NUMBERS} numbers; {listed(places, 3)}"
    )


def class_names(names: Mapping[int, str]) -> list[str]:
    """Return names by class id; a name that several classes share gets the class's id behind it (`distinct`)."""
    return distinct([str(names[i]) for i in range(len(names))])


def box_classes(dataset: Dataset | ImageFolder) -> list[Floats32 | Ints]:
    """Return the classes of each image's boxes; in an image folder, each image's one class."""
    if hasattr(dataset, "samples"):
        return [np.array([sample[1]]) for sample in dataset.samples]
    return [label["cls"].ravel() for label in dataset.labels]


def longest_sides(dataset: Dataset, imgsz: int, num_classes: int) -> Floats:
    """Compute (C,) the largest shorter side of a class's boxes in px, images scaled to `imgsz`; 0 without a box."""
    sides = np.zeros(num_classes)
    for label in dataset.labels:
        height, width = label["shape"]
        shorter = (label["bboxes"][:, 2:4] * (width, height)).min(1) * imgsz / max(height, width)
        np.maximum.at(sides, label["cls"].ravel().astype(np.int64), shorter)
    return sides


def image_files(dataset: Dataset | ImageFolder) -> list[str]:
    """Return image files by index."""
    return [sample[0] for sample in dataset.samples] if hasattr(dataset, "samples") else list(dataset.im_files)
