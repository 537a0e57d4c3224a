"""Before training, a run names images that val shares with train, copies, and classes that one split lacks."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
from helpers.training import run
from ultralytics.cfg import get_cfg
from ultralytics.data.dataset import ClassificationDataset

from yolo_balance import RecallReport
from yolo_balance.integration.training.absent_classes import absent_remarks
from yolo_balance.integration.training.split_remarks import folder_remarks


def test_a_run_names_before_training_what_val_holds(make_data, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    file = make_data([[0], [0], [1], [], [2], []], [[0], [2], []])
    (file.parent / "labels" / "train" / "00004.txt").write_text("2 0.5 0.5 1.2 0.2\n")
    (file.parent / "labels" / "train" / "00005.txt").unlink()
    images = file.parent / "images"
    shutil.copy(images / "train" / "00000.png", images / "val" / "a.png")
    shutil.copy(images / "val" / "00001.png", images / "val" / "b.png")
    trainer = run(file, tmp_path, "run", way="attach", balance={"auto": True}, epochs=1).trainer
    warned = [r.message.removeprefix("WARNING ⚠️ ") for r in caplog.records if r.levelno == logging.WARNING]
    reason = next(line for line in warned if "of train could not be used" in line).partition("(")[2].rstrip(")")
    assert reason.startswith("00004.png: ")
    for line in (
        "1 of 5 images are copies of another one, and identical images count once",
        "No label file for 1 of 4 images, which count as defect-free",
        "1 of 4 images of val are also in train: what is read is memory",
        "b.png is a copy of 00001.png and labelled otherwise: the labels with more objects count",
        f"1 of 6 images of train could not be used ({reason})",
        "No label file for 1 of 5 images of train, which count as background",
        f"data: crack has 1 box in val and none in train (Ultralytics cannot use 1 image of train with it, {reason}): "
        "the model cannot learn it",
        "data: pit has 1 box in train and none in val (no label file of val has it): its recall is not measured",
    ):
        assert warned.count(line) == 1, line
    read = RecallReport.load(Path(trainer.save_dir) / "recall.json")
    assert (read.images, read.copies, read.in_train, read.unlabelled) == (4, 1, 1, 1)


def test_image_folders_are_compared_too(tmp_path):
    rng = np.random.default_rng(0)
    for split, names in {"train": ("dent", "ok", "rust"), "val": ("crack", "dent", "ok")}.items():
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(4):
                cv2.imwrite(
                    str(tmp_path / split / name / f"{i}.png"), rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                )
    shutil.copy(tmp_path / "train" / "ok" / "0.png", tmp_path / "val" / "ok" / "other.png")
    shutil.copy(tmp_path / "val" / "ok" / "1.png", tmp_path / "val" / "ok" / "again.png")
    args = get_cfg(overrides={"cache": False, "fraction": 0.5, "imgsz": 32})
    train, val = (ClassificationDataset(tmp_path / split, args, augment=split == "train") for split in ("train", "val"))
    assert folder_remarks(train, val, "val") == [
        "1 of 14 images of val are also in train: what is read is memory",
        "1 of 14 images of val are copies of another one, and each of them counts",
    ]
    lines = absent_remarks(train, val, ["dent", "ok", "rust"])
    assert lines[0] == "data: crack has 4 images in val and none in train: the model cannot learn it"
    assert [line for line in lines if "rust" in line]
