"""Remarks on the images of train and val before training: what is not read, and what both have."""

from __future__ import annotations

from typing import cast

from yolo_balance.analysis.duplicates import find_duplicates
from yolo_balance.integration.data import Scan, image_files
from yolo_balance.integration.protocols import Dataset, ImageFolder
from yolo_balance.integration.training.resolved_trainer import ResolvedTrainer
from yolo_balance.recall.split_counts import SplitCounts
from yolo_balance.text import plain
from yolo_balance.views.recall.report_console import left_out


def split_remarks(trainer: ResolvedTrainer) -> list[str]:
    """Return a line for each kind of images that are not read, or say less than their number, val first."""
    train, name = trainer.train_loader.dataset, trainer.args.split or "val"
    if trainer.args.task == "classify":
        return folder_remarks(cast(ImageFolder, train), cast(ImageFolder, trainer.test_loader.dataset), name)
    split = trainer.validator.split_images(getattr(train, "im_files", None))
    return [*left_out(split.counts, name, split.images), *split.remarks(), *_of_train(train)]


def _of_train(train: Dataset) -> list[str]:
    scan, lines = Scan.of(train), []
    if scan.ignored:
        images = len(train) + scan.ignored
        lines.append(f"{scan.ignored} of {images} images of train could not be used ({plain(scan.first)})")
    if without := len(scan.without_file):
        lines.append(f"No label file for {without} of {len(train)} images of train, which count as background")
    return lines


def folder_remarks(train: ImageFolder, val: ImageFolder, name: str) -> list[str]:
    """Return a line for copies in val, which Ultralytics' validation of image folders counts, and one for train's."""
    files = image_files(val)
    groups = find_duplicates([*files, *image_files(train)], of=len(files))
    own = [sum(i < len(files) for i in group) for group in groups]
    shared = sum(n for n, group in zip(own, groups, strict=True) if group[-1] >= len(files))
    lines = left_out(SplitCounts(in_train=shared), name, len(files))
    if copies := sum(own) - len(groups):
        lines.append(f"{copies} of {len(files)} images of {name} are copies of another one, and each of them counts")
    return lines
