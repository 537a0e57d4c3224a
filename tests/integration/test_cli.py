"""The command line as a user runs it: one whole run, and every error in one line with nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ultralytics import YOLO

from yolo_balance import attach, train
from yolo_balance.cli import main, parse_overrides
from yolo_balance.errors import ConfigError, DataError, HostError
from yolo_balance.recall import Thresholds

RUN = {"model": "yolo11n.yaml", "epochs": 1, "imgsz": 32, "batch": 8, "plots": False, "device": "cpu", "verbose": False}


@pytest.fixture
def write(tmp_path):
    """Writes a run's YAML, its runs going to tmp_path/runs, and returns its path."""

    def write(**content):
        file = tmp_path / "run.yaml"
        file.write_text(yaml.safe_dump({**RUN, "project": str(tmp_path / "runs"), **content}))
        return str(file)

    return write


def test_the_command_trains_and_reports(tiny_data, write, tmp_path):
    file = write(data=str(tiny_data), balance={"sampling": {}, "losses": {"isr": {}}})
    command = [sys.executable, "-m", "yolo_balance", "train", file, "epochs=2", "balance.losses.focal.beta=1.0"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "train"
    left = {
        "balance.yaml",
        "exposure.csv",
        "recall.csv",
        "recall.html",
        "recall.json",
        "results.csv",
        "thresholds.yaml",
    }
    assert {*left, "weights"} <= {p.name for p in folder.iterdir()}
    thresholds = Thresholds.load(folder / "thresholds.yaml")
    assert (list(thresholds.review), thresholds.imgsz) == (["scratch", "pit", "crack"], 32)
    page = (folder / "recall.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("What training was shown", "over the epochs", "What the line decides"))
    assert json.loads((folder / "recall.json").read_text())["schema"] == 1
    assert yaml.safe_load((folder / "balance.yaml").read_text())["balance"]["losses"] == {
        "isr": {},
        "focal": {"beta": 1.0},
    }
    printed = done.stdout + done.stderr
    assert "Recall per class on val" in printed
    assert "no data" in printed
    assert "share asked for" in printed
    assert "Images over three zones" in printed


def test_without_a_file_data_and_model_are_trained_as_auto(tiny_data, tmp_path):
    words = [f"{key}={value}" for key, value in {**RUN, "project": tmp_path / "runs"}.items()]
    assert main(["train", f"data={tiny_data}", *words]) == 0
    kept = yaml.safe_load((tmp_path / "runs" / "train" / "balance.yaml").read_text())
    assert kept["balance"] == {"auto": True}


def test_train_returns_the_report(tiny_data, write):
    report = train(write(data=str(tiny_data)), epochs=1, **{"balance.recall.false_alarms": [2.0]})
    assert [b.false_alarms for b in report.budgets] == [2.0]


def test_a_run_is_compared_with_another(tiny_data, write, tmp_path):
    first = train(write(data=str(tiny_data)), epochs=1)
    folder = tmp_path / "runs" / "train"
    again = train(write(data=str(tiny_data)), epochs=1, **{"balance.recall.baseline": str(folder), "exist_ok": True})
    assert again == first
    assert "Against the baseline" in (folder / "recall.html").read_text(encoding="utf-8")


def fails(file, capsys, *words):
    """The lines `train` prints on its way to exit code 1; nothing may be left behind."""
    assert main(["train", file, *words]) == 1
    assert not (Path(file).parent / "runs").exists()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return [line.removeprefix("error: ") for line in lines]


def test_all_problems_of_both_parts_are_reported_at_once(tiny_data, write, capsys):
    file = write(data=str(tiny_data), epoch=5, lr0="fast", balance={"losses": {"focal": {"beta": -1.0}, "isrr": {}}})
    lines = fails(file, capsys)
    assert "balance.losses.focal.beta: expected greater than or equal to 0, got -1.0" in lines
    assert "balance.losses.isrr: unknown key, the nearest valid one is balance.losses.isr" in lines
    assert "epoch: unknown key, the nearest valid one is epochs" in lines
    assert [line.partition(":")[0] for line in lines] == [
        "balance.losses.focal.beta",
        "balance.losses.isrr",
        "epoch",
        "lr0",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"balanc": {}}, "balanc: unknown key, the nearest valid one is balance"),
        ({"task": "segment"}, "model: expected a model of task segment, got yolo11n.yaml of task detect"),
        ({"rect": True, "balance": {"sampling": {}}}, "rect: expected false with balance.sampling, got true"),
        ({"val": False, "balance": {"sampling": {"feedback": {}}}}, "balance.sampling.feedback: expected val: true, which it follows, got false"),
        ({"val": False, "balance": {"sampling": {"background": {"hard": True}}}}, "balance.sampling.background.hard: expected val: true"),
        ({"balance": {"sampling": {"open": 1, "close": 2}}}, "balance.sampling: open 1 and close 2 leave none of 1 epochs balanced"),
        ({"balance": {"sampling": {"open": 0.6}}}, "balance.sampling: open 0.6 and close 0 leave none of 1 epochs balanced"),
        ({"balance": {"sampling": {"classes": {"dent": 2.0}}}}, "balance.sampling.classes.dent: the data has no class dent, its classes are scratch, pit, crack"),
        ({"device": "cuda:7"}, "device: cuda:7 cannot be used"),
        ({"device": 0}, "device: 0 cannot be used"),
        ({"model": None}, "model: missing, expected"),
        ({"model": "mine.pt"}, "model: mine.pt is not a file"),
        ({"model": "yolo99.yaml"}, "model: yolo99.yaml cannot be loaded"),
        ({"model": "yolo11n-cls.yaml"}, "model: expected a model of a task among detect, segment, pose, obb, got yolo11n-cls.yaml of task classify"),
        ({"data": None}, "data: missing, expected"),
        ({"data": "no/such/data.yaml"}, "data: no/such/data.yaml cannot be used"),
        ({"balance": {"recall": {"targets": {"dent": 0.9}}}}, "balance.recall.targets.dent: the data has no class dent, its classes are scratch, pit, crack"),
        ({"balance": {"recall": {"costs": {"escape": {"dent": 5}}}}}, "balance.recall.costs.escape.dent: the data has no class dent"),
        ({"balance": {"recall": {"baseline": "runs/none"}}}, "balance.recall.baseline: expected a run's folder or recall.json, got runs/none"),
        ({"balance": {"recall": {"units": "(part)"}}}, "balance.recall.units: (part) gives no key to 00000.png and 11 more of 12 images"),
        ({"balance": {"recall": {"units": "meta.csv:tile"}}}, "balance.recall.units: meta.csv does not exist, neither in"),
        ({"balance": {"sampling": {"images": "factors.csv"}}}, "balance.sampling.images: factors.csv does not exist, neither in"),
        ({"balance": {"sampling": {"groups": {"shares": {"cam1": 0.5}}}}}, "balance.sampling.groups.shares.cam1: no train image is of this group, there are train (24 images)"),
        ({"resume": "runs/none.pt"}, "resume: expected the last.pt of an unfinished run, or the run's folder, got runs/none.pt"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line(tiny_data, write, capsys, content, line):
    lines = fails(write(**{"data": str(tiny_data), **content}), capsys)
    assert len(lines) == 1
    assert lines[0].startswith(line)


def broken(make_data, images, **changes):
    file = make_data(images, [[0], []])
    content = {**yaml.safe_load(file.read_text()), **changes}
    file.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return str(file)


@pytest.mark.parametrize(
    ("images", "changes", "message"),
    [
        ([], {}, "the train split"),
        ([[], [], []], {}, "has 3 images and no object, all are background"),
        ([[0]], {"train": "images/nowhere"}, "the train split"),
        ([[0]], {"val": "images/nowhere"}, "cannot be used"),
        ([[0]], {"names": None}, "cannot be used"),
        ([[0]], {"names": {-1: "a", 0: "b"}}, "names classes [-1, 0]; expected ids from 0 on without a gap"),
    ],
    ids=["empty train split", "all background", "no train folder", "no val folder", "no names", "a negative id"],
)
def test_data_that_cannot_be_trained_on_is_one_line(make_data, write, capsys, images, changes, message):
    lines = fails(write(data=broken(make_data, images, **changes)), capsys)
    assert len(lines) == 1
    assert lines[0].startswith("data: ")
    assert message in lines[0]


def test_a_train_split_whose_labels_are_all_refused_names_their_number_and_the_reason(make_data, write, capsys):
    file = make_data([[0], [1], [2], [], []], [[0]])
    for label in (file.parent / "labels" / "train").iterdir():
        label.write_text("".join(f"{row} 0.91\n" for row in label.read_text().splitlines()))  # a confidence column
    (line,) = fails(write(data=str(file)), capsys)
    assert "has 5 images, 3 of them not usable (00000.png: labels require 5 columns" in line
    assert "), the other 2 background; expected at least one labelled box" in line


def test_boxes_among_polygons_are_named_with_file_and_number(make_data, write, capsys):
    file = make_data([[0], [1], [0], [1]], [[0], [1]])
    for label in (file.parent / "labels").rglob("*.txt"):
        label.write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    train = file.parent / "labels" / "train"
    (train / "00001.txt").write_text("1 0.4 0.4 0.2 0.2\n" * 2)
    (train / "00003.txt").write_text("1 0.4 0.4 0.2 0.2\n")
    (line,) = fails(write(data=str(file), model="yolo11n-seg.yaml"), capsys)
    assert "3 rows in 2 label files" in line
    assert "expected a class and the corners of a polygon, got a box of 5 numbers" in line
    assert f"{train / '00001.txt'} has 2 such rows" in line
    assert f"{train / '00003.txt'} has 1 such row" in line


def test_labels_that_are_missing_altogether_are_one_line(make_data, write, capsys):
    file = make_data([[0], [1]], [[0]])
    for label in (file.parent / "labels" / "train").iterdir():
        label.unlink()
    assert len(fails(write(data=str(file)), capsys)) == 1


def test_background_that_is_asked_for_and_not_there_is_one_line(make_data, write, capsys):
    data = make_data([[0], [1]], [[0], [1]])
    (line,) = fails(write(data=str(data), balance={"sampling": {"background": 0.3}}), capsys)
    assert line.startswith("balance.sampling.background: expected background images for a share of 0.3, but all")


def test_a_last_batch_that_cannot_be_normalised_is_one_line(tiny_data, write, capsys):
    file = write(data=str(tiny_data), balance={"sampling": {"epoch_size": 25}})
    assert main(["train", file]) == 1
    said = capsys.readouterr().err
    assert "error: batch: an epoch of 25 images leaves a last batch of 1" in said


def test_everything_sampling_offers_in_one_run(tiny_data, write, tmp_path):
    sampling = {
        **{"strategy": "class_uniform", "classes": {"pit": 1.5}, "max_repeat": 4.0, "epoch_size": "full"},
        **{"background": {"share": 0.2, "hard": True}, "foreground_mosaic": True, "open": 1, "close": 1},
        "feedback": {"gain": 0.5},
    }
    file = write(data=str(tiny_data), epochs=4, mixup=0.5, balance={"sampling": sampling}, imgsz=64)
    assert main(["train", file]) == 0
    folder = tmp_path / "runs" / "train"
    for name in ("exposure.csv", "feedback.csv", "recall.csv", "recall.json", "balance.yaml"):
        assert (folder / name).exists()
    resolved = yaml.safe_load((folder / "balance.yaml").read_text())["resolved"]
    assert resolved["background_share"] == 0.2
    assert resolved["classes"]["crack"]["factor"] == 4.0


def test_a_finished_run_has_nothing_to_resume(tiny_data, write, tmp_path, capsys):
    file = write(data=str(tiny_data))
    assert main(["train", file]) == 0
    last = tmp_path / "runs" / "train" / "weights" / "last.pt"
    capsys.readouterr()
    assert main(["train", file, f"resume={last}"]) == 1
    assert f"resume: {last} is of a finished run" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_where_it_was(tiny_data, write, tmp_path):
    def cut(trainer):
        if trainer.epoch == 2:
            raise KeyboardInterrupt

    file = write(data=str(tiny_data), epochs=4, balance={"sampling": {}})
    model = attach(YOLO(RUN["model"]), file)
    model.add_callback("on_train_epoch_start", cut)
    with pytest.raises(KeyboardInterrupt):
        model.train(data=str(tiny_data), project=str(tmp_path / "runs"), **{**RUN, "epochs": 4})
    folder = tmp_path / "runs" / "train"
    assert main(["train", file, f"resume={folder / 'weights' / 'last.pt'}"]) == 0
    epochs = [line.partition(",")[0] for line in (folder / "exposure.csv").read_text().splitlines()[1:]]
    assert epochs == [e for e in "1234" for _ in range(3)]
    assert (folder / "recall.json").exists()


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    assert fails(str(tmp_path / "none.yaml"), capsys) == [f"{tmp_path / 'none.yaml'}: no such file"]


def test_usage_errors_are_one_line(capsys):
    for words in ([], ["trian", "x.yaml"], ["report"], ["train", "x.yaml", "--epochs"]):
        assert main(words) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_overrides_are_read_as_yaml():
    words = ["epochs=5", "lr0=1e-3", "cache=ram", "x=[1, 2]", "balance.sampling=null", "a=b=c"]
    assert parse_overrides(words) == {
        **{"epochs": 5, "lr0": 0.001, "cache": "ram", "x": [1, 2], "balance.sampling": None, "a": "b=c"}
    }
    with pytest.raises(ConfigError) as e:
        parse_overrides(["epochs", "x=[", "=3"])
    assert len(e.value.problems) == 3


def test_an_unknown_error_is_a_traceback_and_another_code(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("yolo_balance.cli.parse_overrides", lambda words: 1 / 0)
    assert main(["train", str(tmp_path)]) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_library_raises_what_the_command_prints(make_data, write, tmp_path):
    with pytest.raises(DataError, match="all are background"):
        train(write(data=str(make_data([[], []], [[0]]))))
    with pytest.raises(HostError, match=r"mine\.pt"):
        train(write(data=str(make_data([[0]], [[0]]))), model="mine.pt")
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_that_cannot_be_downloaded_is_said_in_one_line(tiny_data, write, caplog, monkeypatch):
    def offline(file):
        raise ConnectionError("no network\nin this test")

    monkeypatch.setattr("yolo_balance.integration.models.attempt_download_asset", offline)
    train(write(data=str(tiny_data), model="yolo26n.pt"))
    said = [line for line in caplog.text.splitlines() if "training starts from scratch" in line]
    assert len(said) == 1
    assert "yolo26n.pt is neither on disk nor downloadable (no network in this test)" in said[0]
    assert "yolo26n.yaml" in said[0]


def test_a_checkpoint_on_disk_is_what_training_starts_from(tiny_data, write, tmp_path, caplog):
    checkpoint = tmp_path / "yolo26n.pt"
    YOLO("yolo26n.yaml").save(checkpoint)
    train(write(data=str(tiny_data), model=str(checkpoint)))
    assert "from scratch" not in caplog.text
    assert "Transferred" in caplog.text  # Ultralytics' word for weights taken over
