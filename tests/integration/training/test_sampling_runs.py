"""Whole runs whose sampling changes while they last: schedule, feedback, hard clean images; and image folders."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers.matrices import sampled
from helpers.training import Interrupted, arguments, curves, rows, run, weights
from ultralytics import YOLO

from yolo_balance import BalancedClassificationTrainer, attach
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.integration.training.run_sampling import false_alarms
from yolo_balance.run_folder.names import STATE


@pytest.fixture(scope="module")
def tail_data(make_data):
    """A tail of 36:18:6 boxes and 30 clean images; two classes of 14 objects in val, which can tell, one of 3."""
    train = [[0]] * 36 + [[1]] * 18 + [[2]] * 6 + [[]] * 30
    data = make_data(train, [[0, 1]] * 14 + [[2]] * 3 + [[]] * 4, box=0.4)
    for i in range(60, 90):  # clean images as different as can be, for a detector of three epochs to tell apart
        shade = np.array([i - 60, 90 - i, (7 * i) % 30], np.uint8) * 8
        cv2.imwrite(str(data.parent / "images" / "train" / f"{i:05d}.png"), np.tile(shade, (64, 64, 1)))
    return data


FINDS = {"lr0": 0.01, "optimizer": "AdamW", "conf": 1e-5}  # for a detector of three epochs to report boxes

FEEDBACK = {
    "sampling": {"power": 0.5, "max_repeat": 5.0, "feedback": {"gain": 1.0, "smoothing": 0.5, "floor": 0.05}},
    "recall": {"false_alarms": [1000.0]},  # every box counts: a detector of three epochs finds something
}


@pytest.fixture(scope="module")
def followed(tail_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("feedback")
    seen = []
    watch = {"on_train_epoch_end": lambda t: seen.append((t.epoch, t.exposure.requested.copy()))}
    options = {"way": "attach", "balance": FEEDBACK, "callbacks": watch, "epochs": 5, "plots": True}
    run(tail_data, folder, "run", mosaic=0.0, **FINDS, **options)
    return folder / "run", seen


def test_factors_follow_the_recall_measured(followed):
    """The rule restated from the rows of feedback.csv, epoch by epoch."""
    folder, _ = followed
    table = {}
    for row in rows(folder, "feedback.csv"):
        table.setdefault(row["epoch"], {})[row["class"]] = row
    assert list(table) == ["1", "2", "3", "4", "5"]
    start = {"scratch": 1.0, "pit": 1.0, "crack": (6 / 2) ** 0.5}
    smoothed, moved = {}, False
    for by_class in table.values():
        for name in ("scratch", "pit"):
            low = float(by_class[name]["low"])
            smoothed[name] = low if name not in smoothed else 0.5 * smoothed[name] + 0.5 * low
            assert float(by_class[name]["smoothed"]) == pytest.approx(smoothed[name], abs=1e-4)
        floored = {name: max(s, 0.05) for name, s in smoothed.items()}
        for name in floored:
            factor = min(start[name] * max(floored.values()) / floored[name], 5.0)
            assert float(by_class[name]["factor"]) == pytest.approx(factor, rel=1e-3)
            moved |= factor > 1.01
        assert by_class["crack"]["frozen"] == "1"  # three objects cannot tell
        assert float(by_class["crack"]["factor"]) == pytest.approx(start["crack"], rel=1e-4)
    assert moved


def test_the_next_epoch_is_drawn_from_the_factors_of_the_last_validation(followed):
    folder, seen = followed
    boxes = np.array([36, 18, 6])
    factors = {}
    for row in rows(folder, "feedback.csv"):
        factors.setdefault(int(row["epoch"]), []).append(float(row["factor"]))
    for epoch, requested in seen[1:]:
        expected = boxes * factors[epoch]
        np.testing.assert_allclose(requested, expected / expected.sum(), atol=1e-3)
    exposure = rows(folder, "exposure.csv")
    drawn, asked = (np.array([float(r[column]) for r in exposure]) for column in ("drawn", "requested"))
    assert np.abs(drawn - asked).max() < 0.1  # ninety images per epoch are coarse


def test_feedback_leaves_a_picture_and_its_state(followed):
    folder, _ = followed
    picture = cv2.imread(str(folder / "feedback.png"))
    assert picture.shape[0] > 400
    state = json.loads((folder / "weights" / STATE).read_text())
    assert state["epoch"] == 5
    assert set(state["recall"]) == {"scratch", "pit"}


def test_resume_takes_the_state_up_again(tail_data, tmp_path):
    def cut(trainer):
        if trainer.epoch == 2:
            raise Interrupted

    options = {"way": "attach", "balance": FEEDBACK, "epochs": 4, **FINDS}
    with pytest.raises(Interrupted):
        run(tail_data, tmp_path, "run", callbacks={"on_train_epoch_start": cut}, **options)
    folder = tmp_path / "run"
    before = json.loads((folder / "weights" / STATE).read_text())
    assert before["epoch"] == 2

    seen = {}
    look = {"on_train_epoch_end": lambda t: seen.setdefault(t.epoch, t.sampling.feedback.state(t.exposure.names))}
    run(tail_data, tmp_path, "run", callbacks=look, model=str(folder / "weights" / "last.pt"), resume=True, **options)
    assert seen[2] == before["recall"]
    assert list(dict.fromkeys(r["epoch"] for r in rows(folder, "feedback.csv"))) == ["1", "2", "3", "4"]


def test_resume_without_the_state_says_so_and_goes_on(tail_data, tmp_path, caplog):
    def cut(trainer):
        if trainer.epoch == 1:
            raise Interrupted

    options = {"way": "attach", "balance": FEEDBACK, "epochs": 2}
    with pytest.raises(Interrupted):
        run(tail_data, tmp_path, "run", callbacks={"on_train_epoch_start": cut}, **options)
    weights_folder = tmp_path / "run" / "weights"
    (weights_folder / STATE).write_text("{}")
    run(tail_data, tmp_path, "run", model=str(weights_folder / "last.pt"), resume=True, **options)
    assert f"{weights_folder / STATE}: schema: missing" in caplog.text
    assert "these start anew: recall" in caplog.text
    assert "val is too small to steer by for crack (3): their factors stay" in caplog.text


def test_an_epoch_that_is_run_again_is_counted_once(tail_data, tmp_path):
    """Ultralytics goes back to the last checkpoint after a loss that is no number."""
    totals = []

    def spoil(trainer):
        totals.append(trainer.exposure.total[0].sum())
        if trainer.epoch == 1 and not trainer.nan_recovery_attempts:
            trainer.loss = trainer.loss * float("nan")

    options = {"way": "attach", "balance": FEEDBACK, "epochs": 3, **FINDS}
    run(tail_data, tmp_path, "run", callbacks={"on_train_epoch_end": spoil}, **options)
    folder = tmp_path / "run"
    assert len(totals) == 4
    for name in ("exposure.csv", "recall.csv", "feedback.csv"):
        assert [r["epoch"] for r in rows(folder, name)] == [e for e in "123" for _ in range(3)]
    table = {(r["epoch"], r["class"]): r for r in rows(folder, "feedback.csv")}
    for name in ("scratch", "pit"):
        one, two, three = (table[epoch, name] for epoch in "123")
        for past, now in ((one, two), (two, three)):
            expected = (float(past["smoothed"]) + float(now["low"])) / 2
            assert float(now["smoothed"]) == pytest.approx(expected, abs=1e-4)
    assert totals[2] == pytest.approx(totals[1], rel=0.1)  # two epochs' worth, not three


HARD = {
    "sampling": {"background": {"share": 0.5, "hard": True, "gain": 4.0}},
    "recall": {"false_alarms": [0.5]},
}


def test_clean_images_that_raise_false_alarms_come_more_often(tail_data, tmp_path):
    """And they are the ones on which Ultralytics' own prediction, at that confidence, finds a box."""
    seen = {}

    def look(trainer):
        background = trainer.resolved.statistics.background
        e = trainer.sampling.schedule.balanced.expectation
        seen[trainer.epoch] = (trainer.sampling.hard.copy(), e)
        assert e[background].sum() == pytest.approx(e.sum() / 2)

    def compare(trainer):
        clean, files = trainer.resolved.statistics.background, trainer.train_loader.dataset.im_files
        model = YOLO(trainer.last)
        peaks = {}
        for i in np.flatnonzero(clean):
            found = model.predict(files[i], imgsz=64, conf=1e-5, verbose=False, device="cpu")[0].boxes.conf
            peaks[i] = float(found.max()) if len(found) else 0.0
        ordered = sorted(peaks.values())
        gaps = np.diff(ordered)  # the checkpoint is in half precision: keep clear of its rounding
        threshold = ordered[np.argmax(gaps)] + gaps.max() / 2
        answer = false_alarms(trainer, clean, threshold)
        seen["predicted"] = [i for i, peak in peaks.items() if peak >= threshold]
        seen["read"] = np.flatnonzero(answer).tolist()

    callbacks = {"on_train_epoch_end": look, "on_train_end": compare}
    run(
        tail_data,
        tmp_path,
        "hard",
        way="class",
        balance=HARD,
        callbacks=callbacks,
        epochs=3,
        imgsz=64,
        **FINDS,
    )
    assert seen["read"] == seen["predicted"]
    assert 0 < len(seen["read"]) < 30
    assert not seen[0][0].any()  # nothing was validated before the first epoch
    hard, e = seen[2]
    background = np.arange(90) >= 60
    assert not hard[~background].any()
    if hard.any() and not hard[background].all():
        assert e[hard].min() == pytest.approx(5 * e[background & ~hard].max())
    state = json.loads((tmp_path / "hard" / "weights" / STATE).read_text())
    assert len(state["hard"]) == hard.sum()


def test_open_and_close_are_drawn_as_the_data_is(tail_data, tmp_path, caplog):
    balance = {"sampling": {"power": 1.0, "open": 1, "close": 2}}
    for way in ("class", "attach"):
        run(tail_data, tmp_path, way, way=way, balance=balance, epochs=5)
        crack = [r for r in rows(tmp_path / way, "exposure.csv") if r["class"] == "crack"]
        natural = [r["requested"] == r["natural"] for r in crack]
        assert natural == [True, False, False, True, True]
        assert "epochs drawn as the data is: first 1, last 2" in caplog.text
    assert torch.equal(weights(tmp_path / "class"), weights(tmp_path / "attach"))


def test_an_epoch_off_its_plan_is_said_with_the_reason(make_data, tmp_path, caplog):
    data = make_data([[0]] * 200 + [[1]] * 20, [[0], [1]], size=32, box=0.5)
    sampling = {"strategy": "class_uniform", "partners": False}
    run(
        data,
        tmp_path,
        "off",
        way="attach",
        balance={"sampling": sampling},
        epochs=1,
        batch=32,
        cache="ram",
        close_mosaic=0,
    )
    said = caplog.text
    (line,) = [line for line in said.splitlines() if "off its plan" in line]
    assert "Exposure: epoch 1 is off its plan (tiles and partners are left to Ultralytics (partners: false))" in line
    assert "pit " in line
    assert "50.0% asked for" in line
    assert line.endswith("% lost")
    assert "Exposure: shares of boxes over all epochs" in said

    caplog.clear()
    sampling["partners"] = True
    run(
        data,
        tmp_path,
        "on",
        way="attach",
        balance={"sampling": sampling},
        epochs=1,
        batch=32,
        cache="ram",
        close_mosaic=0,
    )
    assert "off its plan" not in caplog.text


def test_a_class_whose_boxes_are_dropped_is_warned_of_once_with_the_cause(make_data, tmp_path, caplog):
    data = make_data([[0]] * 20, [[0]], size=64, box=0.5)
    tiny = data.parent / "labels" / "train"
    for i in range(6):
        (tiny / f"{i:05d}.txt").write_text("2 0.5 0.5 0.04 0.3\n")  # 1.3 px by 9.6 px at imgsz 32
    run(data, tmp_path, "tiny", way="attach", balance={"sampling": {}}, epochs=2, mosaic=0.0, scale=0.0)
    (line,) = [line for line in caplog.text.splitlines() if "none reached the network" in line]
    assert "crack: " in line
    assert "drawn in epoch 1" in line
    assert "at imgsz 32 its boxes are 1.3 px or less" in line
    assert "drops boxes of 2 px or less; raise imgsz or cut the images into tiles" in line


def test_one_image_that_supplies_a_class_is_warned_of(tail_data, tmp_path, caplog):
    balance = {"sampling": {"strategy": "class_uniform", "power": 1.0, "max_repeat": 1.5, "epoch_size": 3.0}}
    balance["sampling"]["max_image_share"] = 0.15
    run(tail_data, tmp_path, "guard", way="attach", balance=balance, epochs=1)
    said = caplog.text
    assert "crack gets 17% of its boxes from one image, 00054.png, more than max_image_share 15%" in said
    assert "it is on 6 images. Collect more images of it." in said
    assert "images are drawn more than max_repeat 1.5 times in an epoch of 270 images" in said
    assert "strategy class_uniform has no use for power" in said
    resolved = yaml.safe_load((tmp_path / "guard" / "balance.yaml").read_text())["resolved"]["classes"]["crack"]
    assert resolved["largest_image_share"] == pytest.approx(1 / 6, abs=1e-4)
    assert resolved["distinct_images_per_epoch"] == 6.0


# ---------------------------------------------------------------------------------------------------------------------
# Image folders
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Class folders of 24, 9 and 3 train images and 4 val images each."""
    root, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)
    for split, counts in (("train", (24, 9, 3)), ("val", (4, 4, 4))):
        for c, (name, count) in enumerate(zip(("good", "pit", "crack"), counts, strict=True)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 80, (32, 32, 3), dtype=np.uint8) + np.uint8(60 * c)
                cv2.imwrite(str(root / split / name / f"{i}.png"), pixels)
    return root


def classify(folders, tmp_path, name, trainer=None, balance=None, **more):
    model = YOLO("yolo11n-cls.yaml")
    if balance is not None:
        attach(model, balance)
    model.train(trainer=trainer, **arguments(folders, tmp_path, name, epochs=2, **more))
    return tmp_path / name


@pytest.mark.parametrize(
    "strategy", sampled(["repeat_factor", "inverse_frequency", "effective_number", "class_uniform"], ["class_uniform"])
)
def test_image_folders_follow_every_strategy(folders, tmp_path, strategy):
    balance = {"sampling": {"strategy": strategy, "power": 1.0, "beta": 0.99}}
    folder = classify(folders, tmp_path, "run", BalancedClassificationTrainer.configured(balance))
    for row in rows(folder, "exposure.csv"):
        assert float(row["drawn"]) == pytest.approx(float(row["requested"]), abs=1 / 36 + 1e-9)  # one image of 36
        assert row["reached"] == row["drawn"]
    crack = rows(folder, "exposure.csv")[0]
    assert crack["class"] == "crack"
    assert float(crack["natural"]) == pytest.approx(3 / 36, abs=1e-5)
    assert float(crack["requested"]) > 0.15


def test_image_folders_both_ways_in_and_off_is_stock(folders, tmp_path):
    balance = {"sampling": {"strategy": "class_uniform"}}
    one = classify(folders, tmp_path, "class", BalancedClassificationTrainer.configured(balance))
    two = classify(folders, tmp_path, "attach", balance=balance)
    assert rows(one, "exposure.csv") == rows(two, "exposure.csv")
    assert torch.equal(weights(one), weights(two))
    stock = classify(folders, tmp_path, "stock")
    for off in (
        classify(folders, tmp_path, "plain", BalancedClassificationTrainer),
        classify(folders, tmp_path, "off", balance={}),
    ):
        assert curves(off) == curves(stock)
        assert torch.equal(weights(off), weights(stock))
    assert not torch.equal(weights(one), weights(stock))


def test_what_speaks_of_boxes_is_refused_for_image_folders(folders, tmp_path):
    balance = {"sampling": {"feedback": {}, "background": 0.3}}
    with pytest.raises(ConfigError) as caught:
        classify(folders, tmp_path, "refused", balance=balance)
    assert caught.value.problems == [
        "balance.sampling.background: not for task classify",
        "balance.sampling.feedback: not for task classify",
    ]
    with pytest.raises(DataError, match="data: demo holds boxes"):
        classify("demo", tmp_path, "demo", balance={})


def test_a_run_draws_the_groups_that_were_asked_for_and_says_so(tiny_data, tmp_path, caplog):
    """Images 00000 to 00009 are one group, the rest the other; the first image is left out."""
    caplog.set_level("INFO")
    (tiny_data.parent / "factors.csv").write_text("image,factor\n00000.png,0\n")
    groups = {"by": r"^000(\d)", "shares": {"0": 0.75}}
    drawn = []
    seen = {"on_train_batch_end": lambda t: drawn.append(t.groups.drawn.copy())}
    balance = {"sampling": {"groups": groups, "images": "factors.csv"}}
    run(tiny_data, tmp_path, "run", way="attach", balance=balance, epochs=1, mosaic=0.0, callbacks=seen)
    assert drawn[-1].sum() == 24
    assert abs(drawn[-1][0] - 18) <= 3
    written = yaml.safe_load((tmp_path / "run" / "balance.yaml").read_text())
    assert written["balance"]["sampling"] == balance["sampling"]
    shares = {name: (row["images"], row["requested"]) for name, row in written["resolved"]["groups"].items()}
    assert shares == {"0": (10, 0.75), "1": (10, 0.17857), "2": (4, 0.07143)}  # 10 and 4 of 14 share a quarter
    assert "share asked for" in caplog.text
    line = caplog.text.split("shares of the images that the loader drew")[1].splitlines()[2]
    assert line.split() == ["0", "41.67%", "75.00%", f"{drawn[-1][0] / 24:.2%}"]
