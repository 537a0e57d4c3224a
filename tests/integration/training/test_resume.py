"""Runs that were interrupted: which run `resume` means, and what is said before it goes on."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from helpers.training import Interrupted, rows
from ultralytics import YOLO

from yolo_balance import attach
from yolo_balance.cli import main
from yolo_balance.errors import ConfigError
from yolo_balance.run_folder.names import LOCK, STATE

NET = {
    "nc": 3,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[2], 1, "Detect", ["nc"]]],
}
BALANCE = {"losses": {"eqlv2": {}}}


@pytest.fixture
def settings(tiny_data, tmp_path):
    """A YAML's content whose runs lie in `tmp_path/runs`, on a copy of the data."""
    shutil.copytree(tiny_data.parent, tmp_path / "data")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(NET))
    return {
        **{
            "model": str(tmp_path / "tiny.yaml"),
            "data": str(tmp_path / "data" / "data.yaml"),
            "epochs": 2,
            "imgsz": 32,
        },
        **{"batch": 8, "nbs": 8, "plots": False, "device": "cpu", "verbose": False, "project": str(tmp_path / "runs")},
        "balance": BALANCE,
    }


@pytest.fixture
def file(settings, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def interrupt(settings, event="on_train_epoch_start", epoch=1):
    """Train until an event of an epoch, and return the run's folder."""

    def cut(trainer):
        if trainer.epoch == epoch:
            raise Interrupted

    model = attach(YOLO(settings["model"]), settings["balance"])
    model.add_callback(event, cut)
    with pytest.raises(Interrupted):
        model.train(**{k: v for k, v in settings.items() if k not in ("balance", "model")})
    return Path(model.trainer.save_dir)


def resumed(folder, settings):
    """Resume up to the first epoch, and return what the losses have learnt."""
    found = {}
    model = attach(YOLO(folder / "weights" / "last.pt"), settings["balance"])

    def look(trainer):
        found.update(trainer.losses.state()["gradients"][""])
        raise Interrupted

    model.add_callback("on_train_start", look)
    with pytest.raises(Interrupted):
        model.train(resume=True)
    return found


def is_whole(folder):
    state = json.loads((folder / "weights" / STATE).read_text())
    return (
        [row["epoch"] for row in rows(folder)] == ["1", "2"]
        and (folder / "recall.json").exists()
        and (state["epoch"], state["stage"]) == (2, "finished")
        and not (folder / LOCK).exists()
    )


@pytest.mark.parametrize("given", ["true", "folder"])
def test_resume_finds_the_run_of_the_same_yaml(settings, file, given, capsys, caplog):
    folder = interrupt(settings)
    caplog.clear()
    assert main(["train", file, f"resume={folder if given == 'folder' else 'true'}"]) == 0
    assert is_whole(folder)
    for word in ("changed", "moved", "damaged", "anew"):
        assert word not in caplog.text
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    capsys.readouterr()
    assert main(["train", file, "resume=true"]) == 1
    assert capsys.readouterr().err.endswith("last.pt is of a finished run, there is nothing to resume\n")


def test_resume_of_another_yaml_names_the_difference(settings, file, capsys):
    folder = interrupt(settings)
    for words, said in (
        (["epochs=3"], "epochs: 2, not 3"),
        (["balance.losses.eqlv2.mu=0.5"], "another section balance"),
        (["model=yolo11n.yaml"], "not yolo11n.yaml"),
    ):
        assert main(["train", file, "resume=true", *words]) == 1
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert line.startswith("error: resume: expected a run of this YAML")
        assert said in line
        assert f"resume={folder} goes on with that run" in line


def test_a_run_that_ended_before_its_first_checkpoint_starts_anew_and_says_so(settings, file, caplog):
    """Also where the folder has the checkpoint of an earlier run."""
    folder = interrupt(settings)
    again = {**settings, "name": folder.name, "exist_ok": True}
    assert interrupt(again, epoch=0) == folder
    assert (folder / "weights" / "last.pt").exists()
    model = attach(YOLO(folder / "weights" / "last.pt"), settings["balance"])
    with pytest.raises(ConfigError, match="whose last run ended before its first checkpoint"):
        model.train(resume=True)
    assert main(["train", file, "resume=true"]) == 0
    assert f"the run in {folder} ended before its first checkpoint, so it starts anew there" in caplog.text
    assert is_whole(folder)


def test_a_checkpoint_that_is_gone_is_named(settings, file, capsys):
    folder = interrupt(settings)
    last = folder / "weights" / "last.pt"
    last.unlink()
    assert main(["train", file, "resume=true"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: resume: expected the checkpoint of epoch 1 at {last}, which is not there"
    )


def test_without_any_run_a_new_one_starts_and_says_so(settings, file, tmp_path, caplog):
    assert main(["train", file, "resume=true", "epochs=1"]) == 0
    assert "no run of this YAML is in its place yet" in caplog.text
    assert (tmp_path / "runs" / "train" / "recall.json").exists()


@pytest.mark.parametrize("way", ["train", "attach"])
def test_a_moved_run_goes_on_where_it_is_now(settings, file, tmp_path, caplog, way):
    before = interrupt(settings)
    now = tmp_path / "elsewhere" / "run"
    shutil.move(before, now)
    if way == "train":
        assert main(["train", file, f"resume={now}"]) == 0
    else:
        attach(YOLO(now / "weights" / "last.pt"), settings["balance"]).train(resume=True)
    assert f"the run was moved from {before} to {now}" in caplog.text
    assert is_whole(now)
    assert not before.exists()


@pytest.mark.parametrize("way", ["train", "attach"])
def test_a_trained_run_goes_on_with_its_report(settings, file, way):
    folder = interrupt(settings, "on_fit_epoch_end", epoch=2)  # Ultralytics logs the last validation as one more epoch
    state = json.loads((folder / "weights" / STATE).read_text())
    assert (state["epoch"], state["stage"]) == (2, "trained")
    assert torch.load(folder / "weights" / "last.pt", weights_only=False)["epoch"] == -1  # stripped
    if way == "train":
        assert main(["train", file, "resume=true"]) == 0
    else:
        attach(YOLO(folder / "weights" / "last.pt"), settings["balance"]).train(resume=True)
    assert is_whole(folder)
    assert json.loads((folder / "run.json").read_text())["steps"] == state["steps"] > 0


def changed(data, kind):
    if kind == "names":
        content = yaml.safe_load(data.read_text())
        data.write_text(yaml.safe_dump({**content, "names": {0: "scratch", 1: "pit", 2: "dent"}}))
    elif kind == "labels":
        (data.parent / "labels" / "train" / "00000.txt").write_text("1 0.5 0.5 0.2 0.2\n")
    elif kind == "images":
        shutil.copy(data.parent / "images" / "val" / "00000.png", data.parent / "images" / "val" / "more.png")
    elif kind == "content":
        shutil.copy(data.parent / "images" / "val" / "00000.png", data.parent / "images" / "train" / "00000.png")
    for cache in data.parent.rglob("*.cache"):
        cache.unlink()


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["names", "labels"], "names of classes (dent, then crack); labels in train"),
        (["images", "content"], "the content of images in train; val has 13 images, 12 then"),
    ],
    ids=["labels", "images"],
)
def test_data_that_changed_since_the_run_began_is_named(settings, kinds, said, caplog):
    folder, data = interrupt(settings), Path(settings["data"])
    for kind in kinds:
        changed(data, kind)
    resumed(folder, settings)
    assert f"data: {data} changed since the run began: {said}" in caplog.text


def test_data_of_another_number_of_classes_is_refused(settings, file, capsys):
    interrupt(settings)
    data = Path(settings["data"])
    content = yaml.safe_load(data.read_text())
    data.write_text(yaml.safe_dump({**content, "names": ["scratch", "pit", "crack", "dent"]}))
    assert main(["train", file, "resume=true"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: data: {data} changed since the run began: 4 classes, 3 then; ")
    assert line.endswith("a model of other classes cannot be resumed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(epoch=7), "belongs to epoch 7, last.pt is of epoch 1; these start anew: gradients"),
        (lambda s: s.update(checkpoint="0" * 64), "belongs to another checkpoint of that epoch, last.pt is of epoch 1"),
        (lambda s: s["gradients"][""].update(positive=[-1, 0, 0]), "positive.0: expected greater than or equal to 0"),
        (
            lambda s: s["gradients"][""].update(positive=[1, 0], negative=[1, 0]),
            "expected gradients of 3 classes, got 2",
        ),
        (lambda s: s.update(gradients={"head": s["gradients"][""]}), "gradients: expected the heads "),
        (lambda s: s.update(seconds=-1), "seconds: expected greater than or equal to 0, got -1"),
        (lambda s: s.pop("gradients"), "has no gradients; these start anew: gradients"),
    ],
)
def test_a_state_that_does_not_belong_or_cannot_be_is_named(settings, change, said, caplog):
    folder = interrupt(settings)
    state = json.loads((folder / "weights" / STATE).read_text())
    change(state)
    (folder / "weights" / STATE).write_text(json.dumps(state))
    found = resumed(folder, settings)
    assert said in caplog.text
    assert found["positive"] == [0.0, 0.0, 0.0]


def test_a_damaged_table_is_repaired_and_said(settings, file, caplog):
    folder = interrupt(settings)
    (folder / "results.csv").write_bytes(b"")
    with (folder / "exposure.csv").open("ab") as f:
        f.write(b"2,scratch,0.5" + bytes(200))
    assert main(["train", file, "resume=true"]) == 0
    assert f"{folder / 'results.csv'}: was damaged; 0 whole rows kept, 1 restored from the checkpoint" in caplog.text
    assert f"{folder / 'exposure.csv'}: was damaged; 3 whole rows kept" in caplog.text
    assert is_whole(folder)
    assert [row["epoch"] for row in rows(folder, "exposure.csv")] == [e for e in "12" for _ in range(3)]


@pytest.mark.parametrize("words", [["name=train", "exist_ok=true"], ["resume=true"]])
def test_a_second_run_in_a_folder_is_refused_while_the_first_lives(settings, file, capsys, words):
    folder = interrupt(settings)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    (folder / LOCK).write_text(json.dumps({"machine": socket.gethostname(), "pid": process.pid, "started": started}))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(["train", file, *words]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {folder}: process {process.pid} trains in this folder; expected the end of that run, or another "
        "folder for this one"
    )
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    process.communicate()
