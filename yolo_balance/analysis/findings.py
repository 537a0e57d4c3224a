"""Findings: the figures that will cost recall, as sentences, most important first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from yolo_balance.analysis.box_sizes import TINY
from yolo_balance.analysis.duplicates import Duplicates
from yolo_balance.analysis.split import SplitFigures
from yolo_balance.analysis.val_needs import HALF_WIDTH, RECALL, Need, boxes_for_half_width, boxes_to_show
from yolo_balance.text import counted, listed, percent, plain

FEW_TRAIN = 10  # boxes below which a class is nearly empty
ONE_IMAGE = 0.2  # share of a class's boxes that should not come from a single image
BACKGROUND = 0.7  # four mosaic tiles are then all background about every fourth time
TINY_SHARE = 0.1  # share of a class's boxes below TINY that is worth a word
Splits = Mapping[str, SplitFigures]


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes:
        kind: A fixed word for pipelines.
        classes: Classes concerned; empty where it is about the whole set.
        text: The sentence for people.
    """

    kind: str
    classes: tuple[str, ...]
    text: str


def find(
    splits: Splits, needs: Mapping[str, Need], duplicates: Duplicates, *, task: str, imgsz: int
) -> tuple[Finding, ...]:
    """Return every finding, most important first."""
    detects = task != "classify"
    found = [*_absent(splits), *_shared(duplicates), *_few_in_val(splits, needs), *_nearly_empty(splits)]
    if detects:
        found += [*_one_image(splits), *_inseparable(splits), *_tiny(splits, imgsz), *_background(splits)]
    return (*found, *_copies_within(splits, duplicates), *_unread(splits))


def _absent(splits: Splits) -> Iterator[Finding]:
    if absent := splits["train"].absent:
        yield _about(
            "absent_in_train",
            absent,
            f"Absent in train: {_names(absent)}. What is not shown cannot be learnt.",
        )
    if "val" not in splits:
        yield _about("no_val", (), "There is no val split: no recall can be read.")
    elif absent := splits["val"].absent:
        yield _about(
            "absent_in_val",
            absent,
            f"Absent in val: {_names(absent)}. Its recall cannot be read, and a model that never reports it loses "
            "nothing there."
            if len(absent) == 1
            else f"Absent in val: {_names(absent)}. Their recall cannot be read, and a model that never reports them "
            "loses nothing there.",
        )


def _shared(duplicates: Duplicates) -> Iterator[Finding]:
    for pair, count in duplicates.across.items():
        if count:
            first, second = pair.split("/")
            groups = [g for g in duplicates.groups if {first, second} <= {copy.split for copy in g}]
            classes = dict.fromkeys(name for g in groups for copy in g if copy.split == second for name in copy.classes)
            holding = f" They hold {_names(list(classes))}." if classes else " All of them are background."
            yield _about(
                "duplicates_across_splits",
                classes,
                f"{counted(count, 'image')} of {second} {'is' if count == 1 else 'are'} also in {first}, byte for "
                f"byte: what {second} reads on {'it' if count == 1 else 'them'} is memory.{holding}",
            )
    if otherwise := duplicates.labelled_otherwise():
        yield _about(
            "duplicates_labelled_otherwise",
            (),
            f"Copies of one image are labelled with different classes: {counted(otherwise, 'case')}.",
        )


def _few_in_val(splits: Splits, needs: Mapping[str, Need]) -> Iterator[Finding]:
    few = sorted((name for name, need in needs.items() if 0 < need.n < boxes_to_show()), key=lambda x: needs[x].n)
    if few:
        texts = [f"{plain(name)} {needs[name].n} ({needs[name].more_to_show} more)" for name in few]
        yield _about(
            "few_in_val",
            few,
            f"Under {boxes_to_show()} in val: {listed(texts)}. With fewer than {boxes_to_show()}, a recall of "
            f"{RECALL:g} cannot be shown even if every one is found ({RECALL:g}^{boxes_to_show()} < .05); an interval "
            f"within ±{HALF_WIDTH:g} at that recall takes {boxes_for_half_width()}.",
        )


def _nearly_empty(splits: Splits) -> Iterator[Finding]:
    train = splits["train"].classes
    few = sorted((name for name, c in train.items() if 0 < c.boxes < FEW_TRAIN), key=lambda name: train[name].boxes)
    if few:
        yield _about(
            "nearly_empty",
            few,
            f"Under {FEW_TRAIN} in train: {listed([f'{plain(name)} {train[name].boxes}' for name in few])}. Repeating "
            "so few shows the same pixels again; what helps is more of them.",
        )


def _one_image(splits: Splits) -> Iterator[Finding]:
    train = splits["train"].classes
    held = {
        name: c
        for name, c in train.items()
        if c.most_in_one_image > 1 and c.images > 1 and c.most_in_one_image > ONE_IMAGE * c.boxes
    }
    if held:
        texts = [f"{plain(name)} {c.most_in_one_image} of {c.boxes}" for name, c in held.items()]
        yield _about(
            "one_image",
            held,
            f"A single image supplies more than {ONE_IMAGE:.0%} of a class's train boxes: {listed(texts)}. Repeating "
            "the class repeats that image above all.",
        )
    single = [name for name, c in train.items() if c.images == 1]
    if single:
        yield _about(
            "single_image",
            single,
            f"In one train image only: {_names(single)}. Whatever is learnt of the class is learnt of that image.",
        )


def _inseparable(splits: Splits) -> Iterator[Finding]:
    train = splits["train"]
    bound = []
    for a, b, images in train.together:
        for name, other in ((a, b), (b, a)):
            if 1 < train.classes[name].images == images:
                bound.append((name, other))
    if bound:
        texts = [f"{plain(name)} with {plain(other)}" for name, other in bound]
        yield _about(
            "always_together",
            dict.fromkeys(name for name, _ in bound),
            f"Never without another class in train: {listed(texts)}. Sampling whole images cannot separate them.",
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
            f"Smaller than {TINY} px once images are scaled to {imgsz}, one cell of the finest grid: {listed(texts)} "
            "of the train boxes. A larger imgsz or cutting images into tiles shows them.",
        )


def _background(splits: Splits) -> Iterator[Finding]:
    train, val = splits["train"], splits.get("val")
    share = train.background_share
    if share > BACKGROUND:
        yield _about(
            "background",
            (),
            f"{percent(share)} of the train images are background: four Mosaic tiles are all background in "
            f"{percent(share**4)} of the draws, and the network then sees no object.",
        )
    if val is not None and not val.background:
        yield _about(
            "no_background_in_val",
            (),
            "No background image in val: false alarms can only be counted per image with objects, so a budget is per "
            "image and not per defect-free image.",
        )


def _copies_within(splits: Splits, duplicates: Duplicates) -> Iterator[Finding]:
    for split, count in duplicates.within.items():
        if not count:
            continue
        several = [g for g in duplicates.groups if sum(copy.split == split for copy in g) > 1]
        classes = dict.fromkeys(name for g in several for copy in g if copy.split == split for name in copy.classes)
        scarce = [name for name in classes if splits[split].classes[name].boxes < boxes_to_show()]
        if split == "train":
            cost = "these images are repeated in every epoch, whatever the sampling says."
        elif scarce:
            cost = f"{_names(scarce)} {'has' if len(scarce) == 1 else 'have'} even less to show than the counts say."
        else:
            cost = "intervals are wider than the counts say."
        yield _about(
            "duplicates_within_a_split",
            classes,
            f"{counted(count, 'image')} of {split} {'is a copy' if count == 1 else 'are copies'} of another one "
            f"there, byte for byte: {cost}",
        )


def _unread(splits: Splits) -> Iterator[Finding]:
    for split, figures in splits.items():
        if figures.ignored:
            yield _about(
                "ignored",
                (),
                f"{counted(figures.ignored, 'image')} of {split} cannot be used and "
                f"{'is' if figures.ignored == 1 else 'are'} ignored by Ultralytics, whose scan "
                f"names {'it' if figures.ignored == 1 else 'them'} and says why.",
            )
        if figures.unlabelled:
            yield _about(
                "unlabelled",
                (),
                f"{counted(figures.unlabelled, 'image')} of {split} {'has' if figures.unlabelled == 1 else 'have'} no "
                f"label file and {'counts' if figures.unlabelled == 1 else 'count'} as background: an object there "
                "would be taught as none.",
            )


def _about(kind: str, classes: Sequence[str] | Mapping[str, object], text: str) -> Finding:
    return Finding(kind, tuple(classes), text)


def _names(names: Sequence[str]) -> str:
    return listed([plain(name) for name in names])
