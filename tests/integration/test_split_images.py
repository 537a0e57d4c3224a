"""What a split holds, as Ultralytics' scan gives it: copies, images of train, images left out, classes that are absent."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from ultralytics.cfg import get_cfg

from yolo_balance.errors import DataError
from yolo_balance.integration.data import read_data, scan
from yolo_balance.integration.split_images import SplitImages, check_labelled, train_images
from yolo_balance.integration.training.absent_classes import absent_remarks
from yolo_balance.recall import ImageOutcome

NAMES = ["scratch", "pit", "crack"]


@pytest.fixture
def data(make_data):
    """Ten different images in train and six in val."""
    return make_data([[0], [0], [1], [2], [0, 1], [1], [2], [0], [], []], [[0], [1], [2], [2], [], []])


def point(file, **splits):
    """Write the data YAML anew with other splits; a list becomes the lines of a file."""
    content = yaml.safe_load(file.read_text())
    for split, value in splits.items():
        if isinstance(value, list):
            (file.parent / f"{split}.txt").write_text("\n".join(map(str, value)) + "\n")
            value = f"{split}.txt"
        content[split] = value if isinstance(value, str) else list(value)
    file.write_text(yaml.safe_dump(content))


def images(file, split="val"):
    return sorted((file.parent / "images" / split).iterdir())


def read(file, split="val", mode="val", **arguments):
    cfg = get_cfg(overrides={"task": "detect", "cache": False, "imgsz": 32, **arguments})
    return scan(cfg, read_data(file), split, mode)


def counted(file, **arguments):
    dataset = read(file, **arguments)
    return SplitImages.of(dataset, train_images(dataset, read_data(file)["train"]), arguments.get("classes"))


def test_different_images_are_all_read(data):
    split = counted(data)
    assert split == SplitImages(6)
    outcomes = [ImageOutcome.of([], [], [], [], file=str(file)) for file in images(data)]
    assert split.distinct(outcomes) == outcomes


def lists(file, way):
    """The files of val, and four times more its first one, in another spelling each."""
    files = images(file)
    again = {
        "repeated": [files[0]] * 4,
        "relative": [f"./images/val/{files[0].name}"] * 4,
        "roundabout": [f"{files[0].parent}/../val/{files[0].name}", *[files[0]] * 3],
    }
    return [*files, *again[way]]


@pytest.mark.parametrize("way", ["repeated", "relative", "roundabout"])
def test_lines_that_a_list_repeats_are_one_image(data, way):
    point(data, val=lists(data, way))
    split = counted(data)
    assert (split.images, split.counts.copies, split.counts.in_train) == (6, 4, 0)


def test_a_folder_named_twice_is_one_folder(data):
    point(data, val=("images/val", "images/val"))
    split = counted(data)
    assert (split.images, split.counts.copies) == (6, 6)


@pytest.mark.parametrize("copied", [shutil.copy, os.symlink, os.link])
def test_a_copy_under_another_name_counts_once_and_its_labels_are_compared(data, copied):
    files, labels = images(data), data.parent / "labels" / "val"
    for i in range(3):
        copied(files[2], files[0].parent / f"0-{i}.png")
        if i:
            shutil.copy(labels / "00002.txt", labels / f"0-{i}.txt")
    split = counted(data)
    assert (split.images, split.counts.copies, split.counts.unlabelled) == (6, 3, 0)
    assert split.labelled_otherwise == (str(files[0].parent / "0-0.png"),)
    assert {Path(f).name for f in split.read_for.values()} == {"0-1.png"}  # the first that has the object
    (line,) = split.remarks()
    assert line == "0-0.png is a copy of 0-1.png and labelled otherwise: the labels with more objects count"
    outcomes = [ImageOutcome.of([], [], [], [], file=str(file)) for file in images(data)]
    read_once = ["0-1.png", "00000.png", "00001.png", "00003.png", "00004.png", "00005.png"]
    assert [Path(outcome.file).name for outcome in split.distinct(outcomes)] == read_once


def test_images_of_one_size_that_differ_at_one_end_are_no_copies(data):
    file = images(data)[0]
    content = file.read_bytes()
    for i in range(2):
        (file.parent / f"b{i}.png").write_bytes(content + bytes([i]))  # what follows the picture is not decoded
    assert counted(data).counts.copies == 0


@pytest.mark.parametrize("way", ["folder", "list", "copies", "links"])
def test_images_that_train_has_too_are_counted_by_path_and_by_content(data, way):
    train, val = images(data, "train"), images(data)
    if way == "folder":
        point(data, val="images/train")
    elif way == "list":
        point(data, val=[*val, *(f"./images/train/{file.name}" for file in train[:3])])
    else:
        for i, file in enumerate(train[:3]):
            (shutil.copy if way == "copies" else os.symlink)(file, val[0].parent / f"other{i}.png")
    split = counted(data)
    assert (split.images, split.counts.in_train) == ((10, 10) if way == "folder" else (9, 3))
    assert split.counts.copies == 0


def test_train_images_that_are_not_there_leave_the_number_open(data):
    shutil.rmtree(data.parent / "images" / "train")
    assert counted(data).counts.in_train is None


def test_classes_and_fraction_leave_images_out(data):
    split = counted(data, classes=[1, 2])
    assert (split.images, split.counts.filtered, split.counts.filtered_by) == (5, 1, "classes=[1, 2]")
    split = counted(data, fraction=[1.0, 0.5])
    assert (split.images, split.counts.filtered, split.counts.filtered_by) == (3, 3, "fraction=0.5")


def test_refuse_names_the_first_image_without_a_label_file(data):
    for i in (1, 4):
        (data.parent / "labels" / "val" / f"0000{i}.txt").unlink()
    dataset = read(data)
    check_labelled(dataset, "clean")
    with pytest.raises(DataError, match=r"^balance.recall.unlabelled: refuse: 2 images of 6 .*val/00001.png; expected"):
        check_labelled(dataset, "refuse")


# Classes that one split lacks ----------------------------------------------------------------------------------------


def absent(file, **arguments):
    train, val = read(file, "train", "train", **arguments), read(file)
    return absent_remarks(train, val, NAMES, arguments.get("classes"))


def test_splits_with_the_same_classes_need_no_remark(data):
    assert absent(data) == []
    assert absent(data, classes=[0]) == []


def test_a_class_of_one_split_alone_is_named(make_data):
    file = make_data([[0], [0, 2], []], [[0], [1], [1], []])
    assert absent(file) == [
        "data: pit has 2 boxes in val and none in train (no label file of train has it): the model cannot learn it",
        "data: crack has 1 box in train and none in val (no label file of val has it): its recall is not measured",
    ]
    assert absent(file, classes=[0, 1]) == absent(file)[:1]


def test_a_class_whose_labels_cannot_be_used_is_named_with_the_reason(data):
    labels = data.parent / "labels" / "train"
    for name in ("00003", "00006"):
        (labels / f"{name}.txt").write_text("2 0.5 0.5 1.7 0.2\n")
    (line,) = absent(data)
    assert line.startswith(
        "data: crack has 2 boxes in val and none in train (Ultralytics cannot use 2 images of train with it, "
        "00003.png: "
    )


def test_a_class_that_fraction_takes_from_train_is_named_with_the_key_to_use(data):
    lost = "balance.sampling.epoch_size makes an epoch shorter and keeps every image): the model cannot learn it"
    assert absent(data, fraction=0.3) == [
        f"data: crack has 2 boxes in val and none in train (fraction=0.3 leaves out 2 images of train with it; {lost}"
    ]
    for name in ("00002", "00003"):  # val lacks it too
        (data.parent / "labels" / "val" / f"{name}.txt").write_text("")
    assert absent(data, fraction=0.3) == [
        f"data: crack has 0 boxes in val and none in train (fraction=0.3 leaves out 2 images of train with it; {lost}"
    ]
