"""Images of a split: those that count once, those that were left out, those that train has too."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from yolo_balance.analysis.duplicates import find_duplicates
from yolo_balance.errors import DataError
from yolo_balance.integration.compat import quiet
from yolo_balance.integration.data import Scan, has_objects
from yolo_balance.integration.protocols import Dataset, ImageLabels
from yolo_balance.recall import ImageOutcome
from yolo_balance.recall.split_counts import SplitCounts
from yolo_balance.text import counted, plain


@dataclass(frozen=True)
class SplitImages:
    """Images of a split as a validation reads them.

    Of identical files one is read: the one with the most labelled objects, of equal ones the first.

    Attributes:
        images: Images that are read.
        counts: Images that are not read, and those that say less than their number.
        read_for: By file of a group of identical ones, the file that is read.
        labelled_otherwise: Copies whose labels are not those of the file that is read, in order.
    """

    images: int
    counts: SplitCounts = field(default_factory=SplitCounts)
    read_for: Mapping[str, str] = field(default_factory=dict)
    labelled_otherwise: tuple[str, ...] = ()

    @classmethod
    def of(cls, dataset: Dataset, train: Sequence[str] | None, classes: object = None) -> SplitImages:
        """Read the files of a split after Ultralytics' scan; files are opened only where sizes coincide.

        A data set of a user's own that lists no files has nothing to count.

        Args:
            dataset: Ultralytics' data set of the split.
            train: Images of train; None where they were not found.
            classes: Ultralytics' argument `classes`, which the data set was read with.
        """
        if not hasattr(dataset, "im_files") or not hasattr(dataset, "label_files"):
            return cls(len(dataset))
        files, labels = dataset.im_files, {label["im_file"]: label for label in dataset.labels}
        groups = find_duplicates([*files, *(train or ())], of=len(files))
        read_for, shared = {}, set()
        for group in groups:
            own = [files[i] for i in group if i < len(files)]
            read = max(own, key=lambda file: len(labels[file]["cls"]))
            read_for.update(dict.fromkeys(own, read))
            if group[-1] >= len(files):
                shared.add(read)
        distinct = [file for file in dict.fromkeys(files) if read_for.get(file, file) == file]
        foreign = set() if classes is None else {f for f in distinct if not len(labels[f]["cls"]) and has_objects(f)}
        scan, beyond = Scan.of(dataset), len(cut_off(dataset))
        by = [f"classes={classes}"] * bool(foreign) + [f"fraction={dataset.fraction}"] * bool(beyond)
        counts = SplitCounts(
            ignored=scan.ignored,
            first_ignored=scan.first,
            unlabelled=len({*distinct} & {*scan.without_file}),
            filtered=len(foreign) + beyond,
            filtered_by=" and ".join(by),
            copies=len(files) - len(distinct),
            in_train=None if train is None else len(shared - foreign),
        )
        otherwise = [f for f, read in read_for.items() if f != read and not _same(labels[f], labels[read])]
        return cls(len(distinct) - len(foreign), counts, read_for, tuple(otherwise))

    def distinct(self, images: Iterable[ImageOutcome]) -> list[ImageOutcome]:
        """Select the images that are read, in the order given, each once."""
        if not self.counts.copies:
            return list(images)
        kept: dict[str, ImageOutcome] = {}
        for image in images:
            if self.read_for.get(image.file, image.file) == image.file:
                kept.setdefault(image.file, image)
        return list(kept.values())

    def remarks(self) -> list[str]:
        """Return a line where copies are labelled otherwise than the image that is read."""
        if not self.labelled_otherwise:
            return []
        first, others = self.labelled_otherwise[0], len(self.labelled_otherwise) - 1
        more = f", and {counted(others, 'more copy', 'more copies')} likewise" if others else ""
        return [
            f"{plain(Path(first).name)} is a copy of {plain(Path(self.read_for[first]).name)} and labelled otherwise"
            f"{more}: the labels with more objects count"
        ]


def train_images(dataset: Dataset, split: object) -> list[str] | None:
    """Return the image files of train, as the data YAML names it; None where they are not there.

    Args:
        dataset: Ultralytics' data set of any split, whose reader of folders and lists is used.
        split: `train` of the data YAML.
    """
    if not split or not hasattr(dataset, "get_img_files"):
        return None
    try:
        return _listed(dataset, split)
    except FileNotFoundError:  # the YAML was copied to another machine with its val split alone
        return None


def cut_off(dataset: Dataset) -> list[str]:
    """Return the image files that `fraction` cuts off."""
    return [] if dataset.fraction == 1 else _listed(dataset, dataset.img_path)[len(dataset.label_files) :]


def check_labelled(dataset: Dataset, unlabelled: str) -> None:
    """Raise DataError for images without a label file where `balance.recall.unlabelled` is `refuse`."""
    if unlabelled == "refuse" and (files := Scan.of(dataset).without_file):
        raise DataError(
            f"balance.recall.unlabelled: refuse: {counted(len(files), 'image')} of {len(dataset.im_files)} without a "
            f"label file, the first is {plain(files[0])}; expected an empty label file for an image without objects"
        )


def _listed(dataset: Dataset, split: object) -> list[str]:
    reader = copy.copy(dataset)
    reader.fraction = 1.0
    with quiet():  # Ultralytics tells how fast files are
        return reader.get_img_files(split)


def _same(one: ImageLabels, other: ImageLabels) -> bool:
    rows, others = (np.unique(np.hstack([label["cls"], label["bboxes"]]), axis=0) for label in (one, other))
    return np.array_equal(rows, others)
