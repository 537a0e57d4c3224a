"""Pastes in Ultralytics' data set: labels agree with pixels, caches stay clean, and the draw is free of workers."""

from __future__ import annotations

import pickle
from collections import Counter
from copy import deepcopy

import cv2
import numpy as np
import pytest
from helpers.loading import run_epochs, trainer
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset

from yolo_balance.config import BalanceConfig
from yolo_balance.errors import DataError
from yolo_balance.integration.arguments import complete
from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.data import box_classes
from yolo_balance.integration.hooks.dataset import DRAWN, CountingMixin, PickedImages
from yolo_balance.integration.hooks.paste import EpochIndex
from yolo_balance.integration.training.made_images import boxes_by_class, made_images
from yolo_balance.integration.training.run_pastes import paste_remarks, pasteable, run_pasting
from yolo_balance.resolution import resolve
from yolo_balance.sampling import ClassStatistics

BALANCE = {"sampling": {"strategy": "inverse_frequency", "power": 1.0}, "synthesis": {"paste": {"p": 1.0}}}


@pytest.fixture(scope="module")
def tail(make_data):
    """300 images of 64 px: classes on 150, 25 and 12 of them, and 113 of background."""
    images = [[0]] * 150 + [[1]] * 25 + [[2]] * 12 + [[]] * 113
    order = np.random.default_rng(0).permutation(300)
    return make_data([images[i] for i in order], [[0], [1], [2], []], size=64, box=0.2)


def built(data, tmp_path, balance=BALANCE, **arguments):
    return trainer(data, tmp_path, balance["sampling"], synthesis=balance["synthesis"], imgsz=64, **arguments)


def loaded(dataset, index, epoch=0):
    """Return an image with its labels as loaded, before any transform."""
    dataset._picked, dataset._epoch = PickedImages(), epoch
    return dataset.get_image_and_label(index)


@pytest.fixture(scope="module")
def pasting(tail, tmp_path_factory):
    """A trainer whose loader pastes, images in memory, no Mosaic."""
    return built(tail, tmp_path_factory.mktemp("pasting"), cache="ram", mosaic=0.0, epochs=10)


def test_drawn_shares_are_those_requested_and_the_cache_stays_clean(pasting):
    t, plan, dataset = pasting, pasting.sampling.schedule.shown, pasting.train_loader.dataset
    images, labels = [dataset.ims[i].copy() for i in range(300)], deepcopy(dataset.labels)
    assert plan.pasted[0] == 0
    assert (plan.pasted[1:] > 20).all()
    main = run_epochs(t, 5)
    assert [sum(files.values()) for files in main] == [300] * 5
    np.testing.assert_allclose(t.exposure.drawn / t.exposure.drawn.sum(), t.exposure.requested, atol=0.01)
    pasted = t.exposure.pasted / t.exposure.drawn
    assert pasted[0] == 0
    np.testing.assert_allclose(pasted[1:], 0.5, atol=0.02)
    assert all(np.array_equal(a, dataset.ims[i]) for i, a in enumerate(images))
    for a, b in zip(labels, dataset.labels, strict=True):
        np.testing.assert_array_equal(a["bboxes"], b["bboxes"])


def test_a_pasted_label_lies_on_changed_pixels_and_nothing_else_changes(pasting):
    dataset = pasting.train_loader.dataset
    table = dataset.pasting.policy.table(0)
    seen = 0
    for index in list(table)[:40]:
        sample = loaded(dataset, index)
        own = len(dataset.labels[index]["cls"])
        instances = sample["instances"]
        instances.convert_bbox("xyxy")
        boxes = instances.bboxes * 64
        changed = (sample["img"] != dataset.ims[index]).any(2)
        dark = np.abs(sample["img"].astype(int) - dataset.ims[index]).max(2) > 30  # squares are bright or dark
        for box in boxes[own:]:
            seen += 1
            x1, y1, x2, y2 = np.rint(box).astype(int)
            assert dark[y1:y2, x1:x2].mean() > 0.6  # a square that may be turned
            dark[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = False
        assert dark.sum() <= 2  # of a soft edge
        assert changed.any()
        assert sorted(dataset._picked.pasted) == sorted((False, int(c)) for c in sample["cls"].ravel()[own:])
    assert seen > 30


def test_the_same_image_in_the_same_epoch_is_pasted_alike_by_everyone(pasting, tail, tmp_path):
    one, two = pasting.train_loader.dataset, built(tail, tmp_path, batch=8).train_loader.dataset
    twin = pickle.loads(pickle.dumps(two))
    order = list(one.pasting.policy.table(1))[:15]
    first = {i: loaded(one, i, 1) for i in order}
    for dataset in (two, twin):
        for i in reversed(order):
            other = loaded(dataset, i, 1)
            np.testing.assert_array_equal(first[i]["img"], other["img"])
            np.testing.assert_array_equal(first[i]["cls"], other["cls"])
    assert any(not np.array_equal(loaded(one, i, 2)["img"], first[i]["img"]) for i in order)


@pytest.mark.parametrize("start_method", ["fork", pytest.param("spawn", marks=pytest.mark.long)])
def test_workers_paste_by_the_plan(tail, tmp_path, start_method):
    t = built(tail, tmp_path, workers=2, mosaic=0.0)
    t.train_loader.multiprocessing_context = start_method
    policy, found = t.train_loader.dataset.pasting.policy, Counter()
    for epoch in range(2):
        t.epoch = epoch
        for batch in t.train_loader:
            for picked in batch[DRAWN]:
                found[epoch, picked[0]] += len(picked.pasted)
    wanted = Counter()
    for epoch in range(2):
        for image in t.sampling.schedule.shown.epoch(epoch):
            wanted[epoch, int(image)] += len(policy.draws(int(image), epoch))
    assert sum(found.values()) >= 0.97 * sum(wanted.values())  # one or another has no place
    assert all(found[key] <= wanted[key] for key in found)


def test_the_last_epochs_and_other_readers_have_no_pastes(pasting):
    t, schedule = pasting, pasting.sampling.schedule
    plans = [schedule.plan(epoch, 10) for epoch in range(10)]
    assert [plan.pasted is None for plan in plans] == [False] * 8 + [True] * 2
    assert plans[-1] is schedule.balanced
    run_epochs(t, 1, first=9)
    assert t.exposure.pasted.sum() == 0
    assert getattr(t.test_loader.dataset, "pasting", None) is None


def test_without_the_section_no_index_and_no_image_changes(tail, tmp_path):
    t = trainer(tail, tmp_path, BALANCE["sampling"], imgsz=64)
    assert t.train_loader.dataset.pasting is None
    assert all(type(image) is int for image in next(iter(t.train_loader.batch_sampler)))
    assert t.sampling.schedule.shown is t.sampling.schedule.balanced


# ---------------------------------------------------------------------------------------------------------------------
# Tasks, and what the data may be
# ---------------------------------------------------------------------------------------------------------------------


def labelled(task, x, y):
    """One label of a disc of radius 0.1: its box, outline, rotated box, or box with two key points."""
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outline = np.stack([x + 0.1 * np.cos(turns), y + 0.1 * np.sin(turns)], 1)
    diamond = [[x + 0.15, y], [x, y + 0.15], [x - 0.15, y], [x, y - 0.15]]
    box = f"{x:.5f} {y:.5f} 0.2 0.2"
    polygons = {"segment": outline, "obb": diamond}
    if task in polygons:
        return f"1 {' '.join(f'{v:.5f}' for v in np.ravel(polygons[task]))}"
    return f"1 {box} {x - 0.1:.5f} {y:.5f} 2 {x + 0.1:.5f} {y:.5f} 2" if task == "pose" else f"1 {box}"


def disc_data(root, task):
    """Write 30 images of 80 x 64 px of which four have a dark disc, and no val."""
    rng = np.random.default_rng(0)
    (root / "images" / "train").mkdir(parents=True)
    (root / "labels" / "train").mkdir(parents=True)
    for i in range(30):
        pixels = np.repeat(rng.integers(118, 122, (64, 80, 1), dtype=np.uint8), 3, 2)
        x, y = rng.uniform(0.3, 0.7, 2)
        if i < 4:
            cv2.ellipse(pixels, (int(x * 80), int(y * 64)), (8, 6), 0, 0, 360, (20, 20, 20), -1)
        cv2.imwrite(str(root / "images" / "train" / f"{i:02d}.png"), pixels)
        (root / "labels" / "train" / f"{i:02d}.txt").write_text(labelled(task, x, y) if i < 4 else "")
    data = {"path": str(root), "train": "images/train", "val": "images/train", "names": {0: "pit", 1: "crack"}}
    return {**data, "channels": 3, "kpt_shape": [2, 3], "flip_idx": [1, 0]}


def pasted_data(root, task, *, folder=None, units=None, **paste):
    """Return the data set of a task with pastes, as a run has it."""
    data = disc_data(root, task)
    arguments = complete({"task": task, "imgsz": 80, "data": "", "seed": 0, "cache": False, "epochs": 10})
    cfg = get_cfg(overrides={**arguments, "data": None})
    dataset = build_yolo_dataset(cfg, str(root / "images" / "train"), batch=4, data=data, mode="train")
    names = ["pit", "crack"]
    options = {"p": 1.0, "onto_background": 1.0, "share": 0.8, **paste}
    asked = BalanceConfig.load({"synthesis": {"paste": options, "folder": folder}, "recall": {"units": units}})
    objects = pasteable(dataset, asked, 2)
    statistics = ClassStatistics.of(box_classes(dataset), 2)
    made = boxes_by_class(made_images(asked.made, cfg, data, dataset.im_files), 2)
    resolved = resolve(asked, statistics, names, arguments, objects=objects, made=made)
    pasting = run_pasting(dataset, resolved, cfg)
    dataset = mix_in(dataset, CountingMixin)
    dataset.pasting = pasting
    return dataset


@pytest.mark.parametrize("task", ["detect", "segment", "pose", "obb"])
def test_labels_of_every_task_move_with_the_pixels(task, tmp_path):
    dataset = pasted_data(tmp_path, task, max_objects=1)
    seen = 0
    for index, chosen in dataset.pasting.policy.table(0).items():
        if index < 4:
            continue
        sample = loaded(dataset, index)
        rows, columns = np.nonzero(sample["img"].max(2) < 70)
        instances = sample["instances"]
        assert len(instances) == len(sample["cls"]) <= len(chosen)
        assert sample["cls"].dtype == np.float32
        if len(instances) != 1:
            continue
        seen += 1
        pixels = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        instances.convert_bbox("xyxy")
        box = instances.bboxes[0] * [80, 64, 80, 64]
        if task != "obb":  # a rotated box is wider than its disc
            np.testing.assert_allclose(box, pixels, atol=2.5)
        if task in ("segment", "obb"):
            outline = instances.segments[0] * [80, 64]
            np.testing.assert_allclose([*outline.min(0), *outline.max(0)], box, atol=0.01)
            np.testing.assert_allclose(outline.mean(0), (pixels[:2] + pixels[2:]) / 2, atol=2)
        if task == "pose":
            points = instances.keypoints[0] * [80, 64, 1]
            assert points[0, 0] < points[1, 0]
            np.testing.assert_allclose(points[:, :2].mean(0), (pixels[:2] + pixels[2:]) / 2, atol=1.5)
            assert points[:, 2].tolist() == [2, 2]
    assert seen >= 3
    for index in range(6):  # and Ultralytics' transforms take them
        assert dataset[EpochIndex(index, 0)]["img"].shape == (3, 80, 80)


def test_a_mask_image_of_another_size_is_one_line(tmp_path):
    (tmp_path / "masks" / "train").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "masks" / "train" / "02.png"), np.zeros((64, 60), np.uint8))
    with pytest.raises(DataError, match=r"02\.png: expected a mask of 80 x 64 px, as its image, got 60 x 64$"):
        pasted_data(tmp_path, "detect")


def test_a_mask_image_is_the_shape_that_is_pasted(tmp_path):
    (tmp_path / "masks" / "train").mkdir(parents=True)
    for i in range(4):
        mask = np.zeros((64, 80), np.uint8)
        mask[:, ::2] = 255
        cv2.imwrite(str(tmp_path / "masks" / "train" / f"{i:02d}.png"), mask)
    bank = pasted_data(tmp_path, "detect").pasting.paster.bank
    assert bank[0].object.found == "mask"
    assert bank[0].object.solid.any(0).mean() < 0.6


def test_remarks_name_textures_and_classes_of_few_objects(tmp_path):
    dataset = pasted_data(tmp_path, "detect")
    dataset.labels[3]["bboxes"][0] = (0.5, 0.5, 0.9, 0.9)
    asked = BalanceConfig.load({"synthesis": {}})
    arguments, statistics = complete({"task": "detect"}), ClassStatistics.of(box_classes(dataset), 2)
    resolved = resolve(asked, statistics, ["pit", "crack"], arguments, objects=pasteable(dataset, asked, 2))
    assert paste_remarks(resolved, dataset) == [
        "balance.synthesis.paste: boxes over a quarter of the image or at two of its borders are never pasted: crack 1",
        "balance.synthesis.paste: fewer than 5 distinct objects to paste, which the network may learn by heart: crack 3",
    ]


def made_folder(root, *, labels=True):
    """Write four white images, each with a label of class 1."""
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for i in range(4):
        cv2.imwrite(str(root / "images" / f"made{i}.png"), np.full((64, 80, 3), 250, np.uint8))
        if labels:
            (root / "labels" / f"made{i}.txt").write_text("1 0.5 0.5 0.2 0.2")
    return str(root)


def test_images_made_elsewhere_are_shown_and_counted_as_pasted(tmp_path):
    dataset = pasted_data(tmp_path / "data", "detect", folder=made_folder(tmp_path / "made"))
    policy = dataset.pasting.policy
    replaced = [i for i in range(30) if policy.replacement(i, 0) is not None]
    assert len(replaced) >= 4
    assert min(replaced) >= 4  # the first four have an object
    for i in replaced:
        sample = loaded(dataset, i)
        assert (sample["img"] == 250).all()
        assert sample["cls"].tolist() == [[1]]
        assert dataset._picked.pasted == [(False, 1)]
    assert dataset[EpochIndex(replaced[0], 0)]["img"].shape == (3, 80, 80)


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path):
    cases = {
        str(tmp_path / "none"): r"expected a folder of images and labels, got .*none, which is none$",
        made_folder(tmp_path / "bare", labels=False): r"bare has 4 images and no labelled box; expected a label file",
    }
    for i, (folder, line) in enumerate(cases.items()):
        with pytest.raises(DataError, match=rf"^balance\.synthesis\.folder: .*{line}" if "bare" in line else line):
            pasted_data(tmp_path / f"data{i}", "detect", folder=folder)
    with pytest.raises(DataError, match="in neither train nor val"):
        pasted_data(tmp_path / "same", "detect", folder=str(tmp_path / "same" / "images" / "train"))


def test_a_group_is_a_unit_of_the_section_or_else_the_first_word(tmp_path):
    own = pasted_data(tmp_path / "words", "detect", context="same_group")  # 00.png, 01.png, ...: each a word of its own
    assert all(images.tolist() == [i] for i, images in enumerate(own.pasting.policy.receivers))
    asked = BalanceConfig.load({"synthesis": {"paste": {"context": "same_group"}}})
    resolved = resolve(asked, ClassStatistics.of(box_classes(own), 2), ["pit", "crack"], complete({"task": "detect"}))
    assert (
        "balance.synthesis.paste: no other image fits the context same_group of these objects: crack 4"
        in paste_remarks(resolved, own)
    )
    units = pasted_data(tmp_path / "units", "detect", context="same_group", units=r"(\d)\d.png")
    assert all(images.tolist() == list(range(10)) for images in units.pasting.policy.receivers)
