"""`report` on real models: what it writes and prints, and every mistake in one line with nothing left behind."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.generated_images import write_split
from helpers.validations import lively
from ultralytics import YOLO

from yolo_balance import RecallReport
from yolo_balance.cli import main
from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError
from yolo_balance.integration.finished.report_model import report
from yolo_balance.integration.finished.validate_once import validated
from yolo_balance.recall.split_counts import COUNTS

QUICK = {"imgsz": 32, "batch": 8, "plots": False, "device": "cpu", "verbose": False}


@pytest.fixture(scope="module")
def data(make_data):
    """A train, a val and a test split; of test's ten images six are clean."""
    file = make_data([[0], [1], [2], []], [[0], [1], [], []])
    write_split(file.parent, "test", [[0], [0, 1], [2], [2], [], [], [], [], [], []])
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "test": "images/test"}))
    return file


@pytest.fixture(scope="module")
def weights(data, tmp_path_factory):
    """A model that Ultralytics alone trained."""
    model = YOLO("yolo11n.yaml")
    folder = tmp_path_factory.mktemp("stock")
    model.train(data=str(data), epochs=1, project=str(folder), **QUICK)
    return folder / "train" / "weights" / "best.pt"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Whatever a run writes by a relative path is seen to be written."""
    monkeypatch.chdir(tmp_path)


def words(*given, **options):
    return [*map(str, given), *(f"{key}={value}" for key, value in {**QUICK, **options}.items())]


def test_the_command_reads_a_split_and_writes_what_it_prints(weights, data, tmp_path, caplog):
    out = tmp_path / "new" / "out"
    caplog.set_level(logging.INFO)
    given = words(weights, "--out", out, data=data, split="test", **{"balance.recall.targets.crack": 0.9})
    assert main(["report", *given]) == 0
    written = RecallReport.load(out / "recall.json")
    assert (written.split, written.images, written.clean_images) == ("test", 10, 6)
    assert {name: c.n for name, c in written.budgets[0].classes.items()} == {"scratch": 2, "pit": 1, "crack": 2}
    assert written.budgets[0].classes["crack"].target == 0.9
    assert caplog.text.count(str(written)) == 1
    assert f"Recall per class saved to {out / 'recall.json'}" in caplog.text
    assert sorted(p.name for p in out.iterdir()) == ["recall.html", "recall.json", "thresholds.yaml"]
    assert [p.name for p in tmp_path.iterdir()] == ["new"]  # Ultralytics' folder is ours


def test_without_a_folder_the_files_go_to_ultralytics_s(weights, data, tmp_path):
    answer = report(weights, data=str(data), project=str(tmp_path / "runs"), name="mine", **QUICK)
    assert answer.split == "val"
    assert RecallReport.load(tmp_path / "runs" / "mine" / "recall.json") == answer


def test_the_report_of_a_run_is_read_again(data, tmp_path):
    """What `train` wrote of best.pt, from best.pt."""
    from yolo_balance import train

    run = {"model": "yolo11n.yaml", "data": str(data), "epochs": 1, "project": str(tmp_path / "runs"), **QUICK}
    trained = train({**run, "balance": {"recall": {"targets": {"pit": 0.5}, "false_alarms": [1.0]}}})
    folder = tmp_path / "runs" / "train"
    best, cfg = folder / "weights" / "best.pt", folder / "balance.yaml"
    again = report(best, recall=cfg, data=str(data), out=tmp_path / "again", **QUICK)
    assert [b.false_alarms for b in again.budgets] == [1.0]
    assert {name: c.target for name, c in again.budgets[0].classes.items()}["pit"] == 0.5
    assert again.images == trained.images
    assert {name: c.n for name, c in again.budgets[0].classes.items()} == {
        name: c.n for name, c in trained.budgets[0].classes.items()
    }


def test_options_come_from_a_file_a_mapping_or_the_command_line(weights, data, tmp_path):
    cfg = tmp_path / "run.yaml"
    recall = {"iou": 0.75, "false_alarms": [0.5], "level": 0.9}
    cfg.write_text(yaml.safe_dump({"model": "x.pt", "epochs": 3, "balance": {"losses": {"isr": {}}, "recall": recall}}))
    override = {"balance.recall.iou": 0.6}
    for given in (cfg, str(cfg), recall, RecallConfig(**recall)):
        answer = report(weights, recall=given, data=str(data), out=tmp_path / "out", **QUICK, **override)
        assert (answer.iou, answer.confidence, [b.false_alarms for b in answer.budgets]) == (0.6, 0.9, [0.5])
    given = words(weights, "--config", cfg, "--out", tmp_path / "cli", data=data, **override)
    assert main(["report", *given]) == 0
    assert RecallReport.load(tmp_path / "cli" / "recall.json") == answer


def test_an_onnx_model_is_read_like_any_other(weights, data, tmp_path):
    exported = YOLO(weights).export(format="onnx", imgsz=32, simplify=False)
    answer = report(exported, data=str(data), split="test", out=tmp_path / "out", **QUICK)
    assert answer.images == 10
    assert list(answer.budgets[0].classes) == ["scratch", "pit", "crack"]
    assert json.loads((tmp_path / "out" / "recall.json").read_text())["schema"] == 1


def test_one_class_for_all(weights, data, tmp_path, capsys):
    model = YOLO("yolo11n.yaml")
    model.train(data=str(data), epochs=1, single_cls=True, project=str(tmp_path / "runs"), **QUICK)
    one = tmp_path / "runs" / "train" / "weights" / "best.pt"  # it remembers single_cls
    answer = report(one, data=str(data), split="test", out=tmp_path / "out", **QUICK)
    assert {name: c.n for name, c in answer.budgets[0].classes.items()} == {"item": 5}
    (line,) = fails(capsys, *words(weights, data=data, single_cls=True))
    assert line.endswith(f"expected those of {data} with single_cls in their order, item")


@pytest.mark.parametrize("kept", [[1, 2], [0], 2], ids=str)
def test_some_classes_are_read_as_among_all(make_data, tmp_path, kept):
    """Boxes of other classes do not count, and an image that holds objects of other classes only is not read."""
    labels = [[0], [0], [1], [0, 2], [2], [1, 2], [], [], []]
    file = make_data([[0]], labels)
    model, ids = lively("yolo11n.yaml", tmp_path), np.atleast_1d(kept).tolist()
    every, some = (
        validated(model, RecallConfig(), data=str(file), **QUICK, **more).outcomes for more in ({}, {"classes": kept})
    )
    assert set(every.predicted.tolist()) == {0, 1, 2}
    read = {f"{i:05d}.png" for i, objects in enumerate(labels) if not objects or set(objects) & set(ids)}
    assert {Path(file).name for file in some.files} == read
    assert some.clean_images == 3
    assert some.objects.tolist() == [count if c in ids else 0 for c, count in enumerate(every.objects)]
    boxes = [
        sorted(
            (Path(o.files[i]).name, c, score)
            for i, c, score in zip(o.image, o.predicted, o.confidence, strict=True)
            if Path(o.files[i]).name in read and c in ids
        )
        for o in (every, some)
    ]
    assert boxes[0] == boxes[1]
    assert len(boxes[1]) == len(some.confidence)  # and no box besides


def test_images_that_the_reading_lacks_are_counted_everywhere(weights, make_data, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    file = make_data([[0]], [[0], [1], [2], [2], [], [], []])
    labels = file.parent / "labels" / "val"
    (labels / "00002.txt").write_text("7 0.5 0.5 0.2 0.2\n")
    (labels / "00003.txt").write_text("2 0.5 0.5 1.2 0.2\n")
    (labels / "00006.txt").unlink()
    out, targets = tmp_path / "out", tmp_path / "targets.yaml"
    assert main(["report", *words(weights, "--out", out, data=file)]) == 0
    content = json.loads((out / "recall.json").read_text())
    assert (content["images"], content["ignored"], content["unlabelled"]) == (5, 2, 1)
    assert content["first_ignored"].startswith("00002.png: Label class 7 exceeds dataset class count 3")
    lines = (
        f"2 of 7 images could not be used ({content['first_ignored']})",
        "No label file for 1 of 5 images, which count as defect-free",
    )
    targets.write_text("scratch: 0.5")
    main(["gate", str(out / "recall.json"), "--targets", str(targets)])
    for text in (caplog.text, (out / "recall.html").read_text(), capsys.readouterr().out):
        assert all(line in text for line in lines)
    older = {key: v for key, v in content.items() if key not in ("ignored", "first_ignored", "unlabelled")}
    read = RecallReport.from_dict(older)
    assert (read.ignored, read.unlabelled, read.first_ignored) == (0, 0, "")
    assert "could not be used" not in str(read)


def test_copies_count_once_and_images_of_train_are_named(weights, make_data, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO)
    file = make_data([[0], [1, 1]], [[0], [2], [1], [], [], []])
    once = report(weights, data=str(file), out=tmp_path / "once", **QUICK)
    assert [json.loads((tmp_path / "once" / "recall.json").read_text())[key] for key in COUNTS] == [0] * 5
    val, train = (sorted((file.parent / "images" / split).iterdir()) for split in ("val", "train"))
    (file.parent / "val.txt").write_text("\n".join(map(str, [*val, *[val[1]] * 59, *[val[3]] * 5])))
    again = {**yaml.safe_load(file.read_text()), "val": "val.txt"}
    file.write_text(yaml.safe_dump(again))
    listed = report(weights, data=str(file), out=tmp_path / "listed", rect=False, **QUICK)
    assert (listed.images, listed.copies) == (6, 64)
    crack = listed.budgets[0].classes["crack"]
    assert (crack.n, crack.n_effective, crack.images) == (1, 1, 1)
    assert listed.clean_images == once.clean_images

    shutil.copy(train[0], val[0].parent / "other.png")
    file.write_text(yaml.safe_dump({**again, "val": "images/val"}))
    shared = report(weights, data=str(file), out=tmp_path / "shared", **QUICK)
    assert (shared.images, shared.in_train, shared.copies) == (7, 1, 0)
    lines = {
        "listed": "64 of 70 images are copies of another one, and identical images count once",
        "shared": "1 of 7 images of val are also in train: what is read is memory",
    }
    (tmp_path / "targets.yaml").write_text("crack: 0.5")
    for name, line in lines.items():
        main(["gate", str(tmp_path / name / "recall.json"), "--targets", str(tmp_path / "targets.yaml")])
        for text in (caplog.text, (tmp_path / name / "recall.html").read_text(), capsys.readouterr().out):
            assert line in text


def test_a_repeated_line_changes_no_figure(weights, make_data, tmp_path):
    """The same images in a list, one of them twice: every figure but the number of copies stays."""
    file = make_data([[0]], [[0], [2], [1], [0, 1], [], []])
    contents = []
    for name in ("images/val", "val.txt"):
        val = sorted(map(str, (file.parent / "images" / "val").iterdir()))
        (file.parent / "val.txt").write_text("\n".join([*val, val[0]]))
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "val": name}))
        report(weights, data=str(file), out=tmp_path / "out", rect=False, **{**QUICK, "batch": 1})
        contents.append(json.loads((tmp_path / "out" / "recall.json").read_text()))
    folder, listed = contents
    assert (folder.pop("copies"), listed.pop("copies")) == (0, 1)
    assert folder == listed


def test_images_without_a_label_file_can_be_refused(weights, make_data, tmp_path, capsys):
    file = make_data([[0]], [[0], [], []])
    (file.parent / "labels" / "val" / "00001.txt").unlink()
    (line,) = fails(capsys, *words(weights, data=file, **{"balance.recall.unlabelled": "refuse"}))
    assert line.startswith("balance.recall.unlabelled: refuse: 1 image of 3 without a label file, the first is ")
    assert "00001.png" in line


def fails(capsys, *given):
    """The lines `report` prints on its way to exit code 1; nothing may be left behind."""
    before = sorted(Path().rglob("*"))
    assert main(["report", *map(str, given)]) == 1
    assert sorted(Path().rglob("*")) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return [line.removeprefix("error: ") for line in lines]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"data": None}, "data: missing, expected the data YAML to read the model on, or demo"),
        ({"data": "nowhere.yaml"}, "data: nowhere.yaml cannot be used"),
        ({"data": "https://example.com/data.yaml"}, "data: expected a file, got https://example.com/data.yaml"),
        ({"data": "coco8.yaml"}, "data: coco8.yaml cannot be used"),
        ({"split": "tset"}, "split: expected one of val, test, train, got tset"),
        ({"spilt": "test"}, "spilt: unknown key, the nearest valid one is split"),
        ({"imgsz": "big"}, "imgsz: "),
        ({"fraction": "[1,0.5,1]"}, "fraction: expected 1, got [1, 0.5, 1]; recall is read on the whole split"),
        ({"device": "cuda:7"}, "device: cuda:7 cannot be used"),
        ({"balance.recall.io": 0.5}, "balance.recall.io: unknown key, the nearest valid one is balance.recall.iou"),
        ({"balance.losses.isr.k": 0.5}, "balance.losses.isr.k: expected a key of balance.recall"),
        ({"balance.recall.targets.dent": 0.9}, "balance.recall.targets.dent: the data has no class dent"),
        ({"task": "segment"}, "weights: expected a model of task segment, got"),
    ],
)
def test_a_users_mistake_is_one_line(weights, data, capsys, given, line):
    options = {"data": data, **given}
    lines = fails(capsys, *words(weights, **{k: v for k, v in options.items() if v is not None}))
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_all_problems_of_the_arguments_are_said_at_once(weights, capsys):
    lines = fails(capsys, weights, "spilt=test", "balance.recall.iou=0.52", "balance.sampling.power=1", "split=all")
    assert [line.partition(":")[0] for line in lines] == [
        "balance.sampling.power",
        "balance.recall.iou",
        "spilt",
        "data",
        "split",
    ]


def test_a_split_that_is_not_there_is_one_line(weights, tiny_data, data, capsys):
    assert fails(capsys, *words(weights, data=tiny_data, split="test")) == [
        f"split: {tiny_data} has no split test, it has val, train"
    ]
    content = yaml.safe_load(data.read_text())
    lost = data.parent / "lost.yaml"
    lost.write_text(yaml.safe_dump({**content, "test": "images/lost"}))
    (line,) = fails(capsys, *words(weights, data=lost, split="test"))
    assert line.startswith("data: the test split")


def test_a_model_that_is_none_is_one_line(data, tmp_path, capsys):
    (tmp_path / "text.pt").write_text("no model")
    (tmp_path / "text.onnx").write_text("no model")
    for name, line in (
        ("none.pt", "weights: expected a file with a trained model, got none.pt"),
        ("yolo11n.pt", "weights: expected a file with a trained model, got yolo11n.pt"),  # and none is downloaded
        ("yolo11n.yaml", "weights: expected a file with a trained model, got yolo11n.yaml"),
        ("text.pt", "weights: text.pt cannot be loaded"),
        ("text.onnx", "weights: text.onnx cannot be loaded"),
    ):
        (said,) = fails(capsys, *words(name, data=data))
        assert said.startswith(line)


def test_a_model_of_another_task_is_one_line(data, tmp_path, capsys):
    YOLO("yolo11n-cls.yaml").save(tmp_path / "cls.pt")
    (line,) = fails(capsys, *words("cls.pt", data=data))
    assert line == "weights: expected a model of a task among detect, segment, pose, obb, got cls.pt of task classify"


def test_a_model_of_other_classes_is_one_line(weights, data, make_data, capsys):
    swapped = make_data([[0]], [[0], []], names=("pit", "scratch", "crack"))
    (line,) = fails(capsys, *words(weights, data=swapped))
    said = "knows the classes scratch, pit and crack; expected those of"
    assert line == f"weights: {weights} {said} {swapped} in their order, pit, scratch and crack"


def test_a_folder_that_cannot_be_written_is_one_line(weights, data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in ("file", "file/deeper"):
        (line,) = fails(capsys, *words(weights, "--out", out, data=data))
        assert line.startswith(f"--out: {out} cannot be written")


def test_a_config_that_cannot_be_read_is_one_line(weights, data, tmp_path, capsys):
    assert fails(capsys, *words(weights, "--config", "none.yaml", data=data)) == ["none.yaml: no such file"]
    (tmp_path / "run.yaml").write_text("balance: {recall: {iou: 0.2}}")
    (line,) = fails(capsys, *words(weights, "--config", "run.yaml", data=data))
    assert line.startswith("balance.recall.iou: expected one of the IoU thresholds")
    with pytest.raises(ConfigError, match="data: missing"):
        report(weights)
