"""Findings: the figures that will cost recall, as sentences, most important first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from yolo_balance.analysis.box_sizes import TINY
from yolo_balance.analysis.duplicates import Duplicates
from yolo_balance.analysis.pixels import remarks
from yolo_balance.analysis.split import SplitFigures
from yolo_balance.analysis.val_needs import Need
from yolo_balance.recall.evidence.needs import HALF_WIDTH, RECALL, boxes_for_half_width, boxes_to_show
from yolo_balance.text import counted, listed, percent, plain

FEW_TRAIN = 10  # boxes below which a class is nearly empty
ONE_IMAGE = 0.2  # share of a class's boxes that should not come from a single image
IMBALANCE = 10.0  # boxes of the largest class for one of the smallest; 46:1 was measured to cost recall, 3:1 was not
BACKGROUND = 0.7  # four mosaic tiles are then all background about every fourth time
TINY_SHARE = 0.1  # share of a class's boxes below TINY that is worth a word
MEASURED_COST = (
    "On other data (NEU-DET, 46:1, YOLOv5n, 30 epochs, seeds 0 to 4), stock training found .15 of the objects of rare "
    "classes at 0.1 false boxes per image and .38 at 1 false box. With `balance: auto` the same training found .39 and "
    ".62. The commands are in examples/benchmarks/RESULTS.md."
)
Splits = Mapping[str, SplitFigures]


@dataclass(frozen=True)
class Finding:
    """Finding about the data set.

    Attributes:
        kind: A fixed word for pipelines.
        classes: Classes concerned; empty for a finding about the whole set.
        text: Message for people.
    """

    kind: str
    classes: tuple[str, ...]
    text: str


def find(
    splits: Splits, needs: Mapping[str, Need], duplicates: Duplicates, *, task: str, imgsz: int
) -> tuple[Finding, ...]:
    """Return every finding, most important first."""
    detects = task != "classify"
    found = [
        *_ignored(splits),
        *_pixels(splits),
        *_absent(splits),
        *_shared(duplicates),
        *_few_in_val(splits, needs),
        *_nearly_empty(splits),
        *_imbalanced(splits),
    ]
    if detects:
        found += [*_one_image(splits), *_inseparable(splits), *_tiny(splits, imgsz), *_background(splits)]
    return (*found, *_copies_within(splits, duplicates), *_unlabelled(splits))


def _pixels(splits: Splits) -> Iterator[Finding]:
    for kind, text in remarks({s: figures.pixels for s, figures in splits.items() if figures.pixels is not None}):
        yield _about(kind, (), text)


def _absent(splits: Splits) -> Iterator[Finding]:
    if absent := splits["train"].absent:
        yield _about(
            "absent_in_train",
            absent,
            f"{_names(absent)} {_has(absent)} no example in train: the model cannot learn a class without examples. "
            "Add images or remove the class.",
        )
    if "val" not in splits:
        yield _about("no_val", (), "There is no val split: recall cannot be measured.")
    elif absent := splits["val"].absent:
        yield _about(
            "absent_in_val",
            absent,
            f"{_names(absent)} {_has(absent)} no example in val: recall cannot be measured, and a model that never "
            "reports the class loses no score. Add images to val.",
        )


def _shared(duplicates: Duplicates) -> Iterator[Finding]:
    for pair, count in duplicates.across.items():
        if count:
            first, second = pair.split("/")
            groups = [g for g in duplicates.groups if {first, second} <= {copy.split for copy in g}]
            classes = dict.fromkeys(name for g in groups for copy in g if copy.split == second for name in copy.classes)
            content = f"The copies hold {_names(list(classes))}." if classes else "All copies are background."
            yield _about(
                "duplicates_across_splits",
                classes,
                f"{counted(count, 'image')} of {second} {'is' if count == 1 else 'are'} also in {first}, byte for "
                f"byte. Recall on a copy says nothing about new images. {content}",
            )
    if otherwise := duplicates.labelled_otherwise():
        yield _about(
            "duplicates_labelled_otherwise",
            (),
            f"Copies of one image have labels of different classes: {counted(otherwise, 'case')}. Correct the labels.",
        )


def _few_in_val(splits: Splits, needs: Mapping[str, Need]) -> Iterator[Finding]:
    few = sorted((name for name, need in needs.items() if 0 < need.n < boxes_to_show()), key=lambda x: needs[x].n)
    if few:
        texts = [f"{plain(name)} {needs[name].n} (add {needs[name].more_to_show})" for name in few]
        yield _about(
            "few_in_val",
            few,
            f"Too few objects in val: {listed(texts)}. You need {boxes_to_show()} of a class to show a recall of "
            f"{RECALL:g}, even if the model finds every one. You need {boxes_for_half_width()} for an interval within "
            f"±{HALF_WIDTH:g}.",
        )


def _nearly_empty(splits: Splits) -> Iterator[Finding]:
    train = splits["train"].classes
    few = sorted((name for name, c in train.items() if 0 < c.boxes < FEW_TRAIN), key=lambda name: train[name].boxes)
    if few:
        yield _about(
            "nearly_empty",
            few,
            f"Fewer than {FEW_TRAIN} objects in train: "
            f"{listed([f'{plain(name)} {train[name].boxes}' for name in few])}. Repeating them shows the same pixels "
            "again. Add images of the class.",
        )


def _imbalanced(splits: Splits) -> Iterator[Finding]:
    train = splits["train"]
    ratio = train.imbalance_of_boxes
    if ratio is not None and ratio >= IMBALANCE:
        present = {name: c.boxes for name, c in train.classes.items() if c.boxes}
        common, rare = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
        yield _about(
            "imbalance",
            (rare,),
            f"Imbalance of {ratio:.0f}:1 in train: {plain(rare)} is the rarest class with "
            f"{counted(present[rare], 'example')}, {plain(common)} has {present[common]}. {MEASURED_COST}",
        )


def _one_image(splits: Splits) -> Iterator[Finding]:
    train = splits["train"].classes
    dominated = {
        name: c
        for name, c in train.items()
        if c.most_in_one_image > 1 and c.images > 1 and c.most_in_one_image > ONE_IMAGE * c.boxes
    }
    if dominated:
        texts = [f"{plain(name)} {c.most_in_one_image} of {c.boxes}" for name, c in dominated.items()]
        yield _about(
            "one_image",
            dominated,
            f"One image supplies more than {ONE_IMAGE:.0%} of the train boxes of a class: {listed(texts)}. Sampling "
            "repeats this image most. Collect more images of the class.",
        )
    single = [name for name, c in train.items() if c.images == 1]
    if single:
        yield _about(
            "single_image",
            single,
            f"All boxes of a class come from one train image: {_names(single)}. Collect more images of the class.",
        )


def _inseparable(splits: Splits) -> Iterator[Finding]:
    train = splits["train"]
    pairs = []
    for a, b, images in train.together:
        for name, other in ((a, b), (b, a)):
            if 1 < train.classes[name].images == images:
                pairs.append((name, other))
    if pairs:
        texts = [f"{plain(name)} with {plain(other)}" for name, other in pairs]
        yield _about(
            "always_together",
            dict.fromkeys(name for name, _ in pairs),
            f"Never without another class in train: {listed(texts)}. Sampling repeats whole images, so both classes "
            "get more frequent together.",
        )


def _tiny(splits: Splits, imgsz: int) -> Iterator[Finding]:
    tiny = {
        name: c.sizes.tiny
        for name, c in splits["train"].classes.items()
        if c.sizes is not None and c.sizes.tiny >= TINY_SHARE
    }
    if tiny:
        texts = [f"{plain(name)} {percent(share)}" for name, share in sorted(tiny.items(), key=lambda x: -x[1])]
        yield _about(
            "tiny_boxes",
            tiny,
            f"Smaller than {TINY} px (one cell of the finest grid) at imgsz {imgsz}: {listed(texts)} of the train "
            "boxes. Raise imgsz or cut the images into tiles.",
        )


def _background(splits: Splits) -> Iterator[Finding]:
    train, val = splits["train"], splits.get("val")
    share = train.background_share
    if share > BACKGROUND:
        yield _about(
            "background",
            (),
            f"{percent(share)} of the train images are background: {percent(share**4)} of the Mosaics have no object "
            "in any of the four tiles. balance.sampling.foreground_mosaic gives each Mosaic one.",
        )
    if val is not None and not val.background:
        yield _about(
            "no_background_in_val",
            (),
            "No background image in val: false boxes are counted per image with objects and not per defect-free image. "
            "Add defect-free images to val.",
        )


def _copies_within(splits: Splits, duplicates: Duplicates) -> Iterator[Finding]:
    for split, count in duplicates.within.items():
        if not count:
            continue
        several = [g for g in duplicates.groups if sum(copy.split == split for copy in g) > 1]
        classes = dict.fromkeys(name for g in several for copy in g if copy.split == split for name in copy.classes)
        scarce = [name for name in classes if splits[split].classes[name].boxes < boxes_to_show()]
        if split == "train":
            cost = "Each epoch shows these images more often, with or without sampling."
        elif scarce:
            cost = f"{_names(scarce)} {_has(scarce)} fewer distinct objects than the counts say."
        else:
            cost = "The true intervals are wider than the reported ones."
        yield _about(
            "duplicates_within_a_split",
            classes,
            f"{counted(count, 'image')} of {split} {'is a copy' if count == 1 else 'are copies'} of another one "
            f"there, byte for byte. {cost}",
        )


def _ignored(splits: Splits) -> Iterator[Finding]:
    for split, figures in splits.items():
        if figures.ignored:
            yield _about(
                "ignored",
                (),
                f"Ultralytics ignores {counted(figures.ignored, 'image')} of {split}. The log of the scan says which "
                "and why.",
            )


def _unlabelled(splits: Splits) -> Iterator[Finding]:
    for split, figures in splits.items():
        if figures.unlabelled:
            yield _about(
                "unlabelled",
                (),
                f"{counted(figures.unlabelled, 'image')} of {split} {'has' if figures.unlabelled == 1 else 'have'} no "
                f"label file and {'counts' if figures.unlabelled == 1 else 'count'} as background. If such an "
                "image shows an object, the model learns to miss it.",
            )


def _about(kind: str, classes: Sequence[str] | Mapping[str, object], text: str) -> Finding:
    return Finding(kind, tuple(classes), text)


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _names(names: Sequence[str]) -> str:
    return listed([plain(name) for name in names])
