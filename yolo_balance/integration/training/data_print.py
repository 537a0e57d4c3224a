"""A print of the data set of a run, by which a run that resumes on changed data says so."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from yolo_balance.integration.data import box_classes, class_names, image_files
from yolo_balance.integration.protocols import Dataset, ImageFolder, Trainer
from yolo_balance.text import counted, listed, plain


class SplitPrint(BaseModel):
    """One split: the number of its images, and hashes of their names, the sizes of their files and their labels."""

    images: int
    files: str
    sizes: str
    labels: str

    @classmethod
    def of(cls, dataset: Dataset | ImageFolder) -> SplitPrint:
        """Read a data set. An image counts by its name and its folder's, so that the data may be moved."""
        files, labels = image_files(dataset), _labels(dataset)
        names = ["/".join(Path(file).parts[-2:]) for file in files]
        order = sorted(range(len(files)), key=names.__getitem__)
        return cls(
            images=len(files),
            files=_hash(names[i].encode("utf-8", "surrogateescape") for i in order),
            sizes=_hash(str(_size(files[i])).encode() for i in order),
            labels=_hash(labels[i] for i in order),
        )

    def differences(self, before: SplitPrint, split: str) -> Iterator[str]:
        """Yield a phrase for each difference from an earlier print; other images have other labels."""
        if self.images != before.images:
            yield f"{split} has {counted(self.images, 'image')}, {before.images} then"
        elif self.files != before.files:
            yield f"other image files in {split}"
        else:
            if self.sizes != before.sizes:
                yield f"the content of images in {split}"
            if self.labels != before.labels:
                yield f"labels in {split}"


class DataPrint(BaseModel):
    """A data set: class names in class-id order, and the splits that a run reads."""

    names: list[str]
    splits: dict[str, SplitPrint]

    @classmethod
    def of(cls, trainer: Trainer) -> DataPrint:
        """Read the data set of a trainer whose loaders are built."""
        loaders = {"train": trainer.train_loader, trainer.args.split or "val": trainer.test_loader}
        splits = {split: SplitPrint.of(loader.dataset) for split, loader in loaders.items()}
        return cls(names=class_names(trainer.data["names"]), splits=splits)

    def differences(self, before: DataPrint) -> Iterator[str]:
        """Yield a phrase for each difference from an earlier print."""
        now, then = self.names, before.names
        if len(now) != len(then):
            yield f"{counted(len(now), 'class', 'classes')}, {len(then)} then"
        elif renamed := [f"{plain(a)}, then {plain(b)}" for a, b in zip(now, then, strict=True) if a != b]:
            yield f"names of classes ({listed(renamed)})"
        for split, found in self.splits.items():
            if split in before.splits:
                yield from found.differences(before.splits[split], split)
            else:
                yield f"the split {split}, then {listed(list(before.splits))}"


def _labels(dataset: Dataset | ImageFolder) -> list[bytes]:
    """Return the labels of each image as bytes: classes, boxes and outlines."""
    classes = [_bytes(c) for c in box_classes(dataset)]
    if hasattr(dataset, "samples"):
        return classes
    places = (b"".join(map(_bytes, (label["bboxes"], *label.get("segments", ())))) for label in dataset.labels)
    return [c + place for c, place in zip(classes, places, strict=True)]


def _size(file: str) -> int:
    return os.stat(file).st_size if os.path.exists(file) else 0  # a data set of a user's own may read no files


def _bytes(values: object) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
