"""Classes that one split has and the other lacks, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from ultralytics.data.utils import img2label_paths

from yolo_balance.arrays import Ints
from yolo_balance.integration.data import box_classes, refusal
from yolo_balance.integration.protocols import Dataset, ImageFolder
from yolo_balance.integration.split_images import cut_off
from yolo_balance.text import counted, plain

MOST = 5  # classes named; a data set may have a thousand
SHORTER = "balance.sampling.epoch_size makes an epoch shorter and keeps every image"


def absent_remarks(
    train: Dataset | ImageFolder,
    val: Dataset | ImageFolder,
    names: Sequence[str],
    classes: list[int] | int | None = None,
) -> list[str]:
    """Return a line per class that train or val lacks while the other has it, or that `fraction` takes from train.

    Args:
        train: Ultralytics' data set of train.
        val: The same of val.
        names: Class names by class id.
        classes: Ultralytics' argument `classes`: the others are absent on purpose.
    """
    if hasattr(train, "samples") and hasattr(val, "samples"):
        lines = _absent_folders(cast(ImageFolder, train), cast(ImageFolder, val))
    elif hasattr(train, "label_files") and hasattr(val, "label_files") and not getattr(train, "single_cls", False):
        lines = _absent_boxes(cast(Dataset, train), cast(Dataset, val), names, classes)
    else:  # a data set of a user's own, or all classes made one
        return []
    more = len(lines) - MOST
    return lines[:MOST] + [f"data: {counted(more, 'class', 'classes')} more are absent in train or val"] * (more > 0)


def _absent_boxes(train: Dataset, val: Dataset, names: Sequence[str], classes: list[int] | int | None) -> list[str]:
    in_train, in_val = (_boxes(dataset, len(names)) for dataset in (train, val))
    chosen = np.ones(len(names), bool) if classes is None else np.isin(np.arange(len(names)), classes)
    lines = []
    if (lacking := chosen & (in_train == 0)).any():
        why = _reasons(train, "train", np.flatnonzero(lacking).tolist())
        for c in np.flatnonzero(lacking & ((in_val > 0) | [c in why for c in range(len(names))])).tolist():
            there = f"{counted(int(in_val[c]), 'box', 'boxes')} in val and none in train"
            reason = why.get(c, "no label file of train has it")
            lines.append(f"data: {plain(names[c])} has {there} ({reason}): the model cannot learn it")
    if (lacking := (in_train > 0) & (in_val == 0)).any():
        why = _reasons(val, "val", np.flatnonzero(lacking).tolist())
        for c in np.flatnonzero(lacking).tolist():
            there = f"{counted(int(in_train[c]), 'box', 'boxes')} in train and none in val"
            reason = why.get(c, "no label file of val has it")
            lines.append(f"data: {plain(names[c])} has {there} ({reason}): its recall is not measured")
    return lines


def _boxes(dataset: Dataset, num_classes: int) -> Ints:
    classes = np.concatenate([np.zeros(0), *box_classes(dataset)]).astype(np.int64)
    return np.bincount(classes, minlength=num_classes)


def _reasons(dataset: Dataset, split: str, absent: Sequence[int]) -> dict[int, str]:
    """Return why a split lacks classes that the label files of its images have."""
    used, cut = {*dataset.im_files}, cut_off(dataset)
    refused = []
    if len(dataset.label_files) > len(dataset.labels):
        refused = [image for image in dataset.get_img_files(dataset.img_path) if image not in used]
    beyond, unusable = _holding(cut), _holding(refused)
    reasons = {}
    for c in absent:
        if images := unusable.get(c):
            first = f"{plain(Path(images[0]).name)}: {refusal(dataset, images[0])}"
            reasons[c] = f"Ultralytics cannot use {counted(len(images), 'image')} of {split} with it, {first}"
        if images := beyond.get(c):
            left = f"fraction={dataset.fraction} leaves out {counted(len(images), 'image')} of {split} with it"
            reasons[c] = f"{left}; {SHORTER}" if split == "train" else left
    return reasons


def _holding(images: Iterable[str]) -> dict[int, list[str]]:
    """Return the images whose label files have a row of a class, by class id; rows may be wrong in any way."""
    found: dict[int, list[str]] = {}
    for image in images:
        try:
            text = Path(img2label_paths([image])[0]).read_text(encoding="utf-8-sig", errors="replace")
        except OSError:
            continue
        for first in dict.fromkeys(row.replace(",", " ").split()[0] for row in text.splitlines() if row.strip(" ,")):
            try:
                found.setdefault(int(float(first)), []).append(image)
            except (ValueError, OverflowError):  # a name, nan, inf
                continue
    return found


def _absent_folders(train: ImageFolder, val: ImageFolder) -> list[str]:
    in_train, in_val = (_folders(dataset, [sample[0] for sample in dataset.samples]) for dataset in (train, val))
    whole = _folders(train, [sample[0] for sample in train.base.samples])
    lines = []
    for name in sorted({*whole, *in_val} - {*in_train}):
        there = f"{counted(in_val[name], 'image')} in val and none in train"
        reason = f" (fraction leaves out {counted(whole[name], 'image')} of it; {SHORTER})" if whole[name] else ""
        lines.append(f"data: {plain(name)} has {there}{reason}: the model cannot learn it")
    for name in sorted({*in_train} - {*in_val}):
        lines.append(f"data: {plain(name)} has {counted(in_train[name], 'image')} in train and none in val")
    return lines


def _folders(dataset: ImageFolder, files: Iterable[str]) -> Counter[str]:
    return Counter(Path(file).relative_to(dataset.root).parts[0] for file in files)
