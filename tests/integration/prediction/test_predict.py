"""`yolo_balance predict` as a user runs it: a line and a row per image, and every mistake in one line."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sys

import cv2
import numpy as np
import pytest
from helpers.validations import lively
from ultralytics import YOLO
from ultralytics.utils import LOGGER

from yolo_balance import attach_thresholds
from yolo_balance.cli import main
from yolo_balance.files import csv_text
from yolo_balance.integration.prediction import predict as api
from yolo_balance.integration.prediction.sources import source_files
from yolo_balance.recall import Thresholds
from yolo_balance.recall.decisions.thresholds import BudgetThresholds, ZoneBudgets

NAMES = ("=crack[red]\n裂", "=[/red]scratch\n缝", "=pit\n裂缝")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder as training leaves it, and a folder of images: three to read, one of them flat, one broken."""
    root = tmp_path_factory.mktemp("finished")
    run, images = root / "run", root / "parts"
    (run / "weights").mkdir(parents=True)
    images.mkdir()
    model = lively("yolo11n.yaml", root)
    model.model.names = dict(enumerate(NAMES))
    rng = np.random.default_rng(0)
    for name in ("a.png", "=b.png"):
        cv2.imwrite(str(images / name), rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    cv2.imwrite(str(images / "c.png"), np.full((64, 64, 3), 120, np.uint8))
    (images / "broken.png").write_text("no image")
    model.save(run / "weights" / "best.pt")
    results = YOLO(run / "weights" / "best.pt").predict(images, conf=0.01, imgsz=64, rect=False, device="cpu")
    tops = sorted(float(r.boxes.conf.max()) for r in results)
    review, reject = np.convolve(tops, [0.5, 0.5], "valid").tolist()  # one image in each zone
    Thresholds(
        **{"split": "val", "iou": 0.5, "images": 20, "clean_images": 9},
        zones=ZoneBudgets(review=1.0, reject=0.1),
        budgets=[
            BudgetThresholds(false_alarms=b, threshold=value, classes=dict.fromkeys(NAMES, value))
            for b, value in ((1.0, review), (0.1, reject))
        ],
    ).save(run / "thresholds.yaml")
    return run, images


@pytest.fixture
def predict(finished, tmp_path, capsys):
    """Runs the verb; returns the exit code, the lines printed and the errors."""
    run, images = finished

    def predict(*words, weights=None, source=None):
        given = ["imgsz=64", "rect=false", "device=cpu", f"project={tmp_path / 'runs'}", *words]
        code = main(["predict", str(weights or run / "weights" / "best.pt"), str(source or images), *given])
        printed = capsys.readouterr()
        errors = [line.removeprefix("error: ") for line in printed.err.splitlines() if line.startswith("error: ")]
        return code, printed.out.splitlines(), errors

    return predict


def rows(folder):
    with (folder / "zones.csv").open(newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_each_image_has_a_line_and_a_row(predict, finished, tmp_path):
    run, images = finished
    code, lines, errors = predict()
    assert (code, errors) == (0, [])
    expected = {
        r.path: r
        for r in attach_thresholds(YOLO(run / "weights/best.pt"), run / "thresholds.yaml")(images, imgsz=64, rect=False)
    }
    assert len(expected) == 3
    folder = tmp_path / "runs" / "predict"
    table = {row["file"]: row for row in rows(folder)}
    assert list(table) == [*expected, str(images / "broken.png")]
    for path, result in expected.items():
        found = zip(result.boxes.cls.int().tolist(), result.boxes.conf.tolist(), strict=True)
        assert table[path]["zone"] == result.zone
        assert int(table[path]["boxes"]) == len(result)
        plain = [name.replace("\n", "\\n") for name in NAMES]
        line = ", ".join(f"{plain[c]} {p:.3f}" for c, p in found)
        assert f"{result.zone:<6}  {path}  {line}".rstrip() in lines
    assert table[str(images / "broken.png")] == {
        **{"file": str(images / "broken.png"), "zone": "unread", "boxes": "0", "found": ""}
    }
    zones = [row["zone"] for row in table.values()]
    assert sorted(zones) == ["pass", "reject", "review", "unread"]
    counts = ", ".join(f"{zones.count(zone)} {zone}" for zone in ("pass", "review", "reject", "unread"))
    assert lines[-2:] == [counts, f"Written: {folder / 'zones.csv'}"]
    assert (folder / "a.jpg").exists()  # Ultralytics saves the images it drew


def test_what_a_spreadsheet_would_run_is_text(predict, finished, tmp_path):
    predict("save=false")
    assert not list((tmp_path / "runs" / "predict").glob("*.jpg"))
    found = [row["found"] for row in rows(tmp_path / "runs" / "predict")]
    assert [text[:2] for text in found if text] == ["'="] * 2


def test_names_of_formulas_begin_with_an_apostrophe_and_others_stay():
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"):
        assert csv_text(text) == f"'{text}"
    for text in ("crack", "", " =1", "'x", "a=b", "/data/a.png"):
        assert csv_text(text) == text


def test_a_terminal_that_lacks_letters_gets_escapes(finished, tmp_path, monkeypatch):
    run, images = finished
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    given = ["imgsz=64", "rect=false", "device=cpu", f"project={tmp_path}", "save=false"]
    assert main(["predict", str(run / "weights" / "best.pt"), str(images), *given]) == 0
    terminal.flush()
    assert b"\\u88c2\\u7f1d" in terminal.buffer.getvalue()


def test_sources_are_files_folders_and_globs(predict, finished, tmp_path):
    _, images = finished
    for source, count in ((images / "a.png", 1), (str(images.parent / "parts*" / "?.png").replace("?", "*"), 4)):
        code, lines, _ = predict("save=false", source=source)
        assert code == 0
        assert sum(line.split("  ")[0].rstrip() in ("pass", "review", "reject", "unread") for line in lines) == count


def test_images_that_are_not_judged_are_named_and_the_exit_code_is_1(predict, finished, tmp_path):
    _, images = finished
    parts = tmp_path / "parts"
    files = ["lotA/0.png", "lotA/1.png", "lotB/deep/2.PNG", "photo.jfif", "noname", ".hidden.png", "lotB/.x/3.png"]
    for name in ("a.png", *files):
        (parts / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / "a.png", parts / name)
    for name in ("notes.txt", "lotA/labels.csv", ".DS_Store"):
        (parts / name).write_text("BMW, P1 crack")
    code, lines, errors = predict("save=false", source=parts)
    assert (code, errors) == (1, [])
    assert lines[-2:] == [
        f"not judged: 3 images in lotA/ and lotB/deep/ ({parts}/**/* reads them)",
        "not judged: 4 images of a name or suffix that is not read, .hidden.png, lotB/.x/3.png, noname and photo.jfif",
    ]
    code, lines, errors = predict("save=false", source=f"{parts}/**/*")
    assert (code, errors) == (1, [])
    assert sum(str(parts) in line for line in lines) == 5  # four images, and the line of those left out
    assert "3 images of a name or suffix" in lines[-1]
    for name in files[3:]:
        (parts / name).unlink()
    code, lines, errors = predict("save=false", source=f"{parts}/**/*")
    assert (code, errors, lines[-1].partition(":")[0]) == (0, [], "Written")
    (parts / "a.png").unlink()
    hint = f"source: not judged: 3 images in lotA/ and lotB/deep/ ({parts}/**/* reads them)"
    assert predict(source=parts)[::2] == (1, [hint])


def test_a_list_names_every_image_or_says_which_are_not_judged(predict, finished, tmp_path):
    _, images = finished
    shutil.copy(images / "a.png", tmp_path / "b.jfif")
    (tmp_path / "list.txt").write_text(f"{images / 'a.png'}\n{tmp_path / 'b.jfif'}\n")
    code, lines, _ = predict("save=false", source=tmp_path / "list.txt")
    assert code == 1
    assert lines[-1] == f"not judged: 1 image of a name or suffix that is not read, {tmp_path / 'b.jfif'}"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such file names")
def test_an_image_whose_name_is_not_utf_8_is_judged_and_its_picture_left_out(predict, finished, tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr(LOGGER, "warning", lambda text, *a: warned.append(text))
    shutil.copytree(finished[1], tmp_path / "parts")
    odd = os.fsdecode(os.fsencode(tmp_path / "parts") + b"/Ma\xdf.png")
    shutil.copy(tmp_path / "parts" / "a.png", odd)
    code, _, errors = predict(source=tmp_path / "parts")
    assert (code, errors) == (0, [])
    folder = tmp_path / "runs" / "predict"
    zones = {row["file"].rpartition("/")[2]: row["zone"] for row in rows(folder)}
    assert zones["Ma\\udcdf.png"] == zones["a.png"]
    assert len(zones) == 5
    assert [line for line in warned if "not saved" in line] == [
        f"{folder}/Ma\\udcdf.png: not saved, OpenCV writes no picture whose name is not UTF-8"
    ]
    assert len(list(folder.glob("*.jpg"))) == 3
    os.rename(odd, os.fsencode(tmp_path / "parts") + b"/\xdf.avi")
    assert predict(source=tmp_path / "parts")[::2] == (
        1,
        [f"source: expected a name in UTF-8, which OpenCV needs to open a video, got {tmp_path}/parts/\\udcdf.avi"],
    )


def test_an_interrupted_predict_keeps_the_rows_of_the_images_that_it_judged(finished, tmp_path):
    run, images = finished

    def stop(decision):
        if decision.file.endswith("a.png"):  # the second
            raise KeyboardInterrupt

    given = {"imgsz": 64, "rect": False, "device": "cpu", "project": str(tmp_path), "save": False}
    with pytest.raises(KeyboardInterrupt):
        api.predict(run / "weights" / "best.pt", images, arguments=given, each=stop)
    assert [row["file"] for row in rows(tmp_path / "predict")] == [str(images / name) for name in ("=b.png", "a.png")]


def test_a_folder_by_the_number_of_a_camera_is_a_folder(predict, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished[1], tmp_path / "0")
    assert predict("save=false", source="0")[1][-2] == "1 pass, 1 review, 1 reject, 1 unread"


def test_an_image_has_one_line_and_not_ultralytics_too(predict, monkeypatch):
    said = []
    monkeypatch.setattr(LOGGER, "info", lambda text, *a: said.append(text))
    predict()
    assert not [text for text in said if "image 1/" in text]
    predict("verbose=true")
    assert [text for text in said if "image 1/" in text]


def test_the_thresholds_asked_for_are_taken(predict, finished, tmp_path):
    run, _ = finished
    loaded = Thresholds.load(run / "thresholds.yaml")
    never = [BudgetThresholds(false_alarms=b, threshold=1.0, classes=dict.fromkeys(NAMES, 1.0)) for b in (0.1, 1.0)]
    Thresholds(**{**dict(loaded), "budgets": never}).save(tmp_path / "other.yaml")
    _, lines, _ = predict("--thresholds", str(tmp_path / "other.yaml"), "conf=0.1")
    assert lines[-2] == "3 pass, 0 review, 0 reject, 1 unread"


def test_thresholds_are_looked_for_beside_the_weights_and_their_folder(predict, finished, tmp_path):
    run, _ = finished
    (tmp_path / "line" / "model").mkdir(parents=True)
    weights = shutil.copy(run / "weights" / "best.pt", tmp_path / "line" / "model")
    code, _, errors = predict(weights=weights)
    line = tmp_path / "line"
    places = f"{line / 'model' / 'thresholds.yaml'} nor {line / 'thresholds.yaml'}"
    assert (code, errors) == (1, [f"--thresholds: not given, and found neither {places}"])
    for folder in (line, line / "model"):  # of both the nearer
        (folder / "thresholds.yaml").write_text(f"schema: {folder.name}")
        assert predict(weights=weights)[2] == [f"{folder / 'thresholds.yaml'}: schema: expected 1, got {folder.name}"]
    assert not (tmp_path / "runs").exists()


def test_every_mistake_is_a_line_and_nothing_is_written(predict, tmp_path):
    code, _, errors = predict("epoch=3", "conf=high", "model=x.pt", "embed=[1]", weights="no.pt", source="nowhere")
    assert code == 1
    assert errors[:5] == [
        "weights: expected a file with a trained model, got no.pt",
        "source: expected an image, a video, a folder or glob of them, or a .txt or .csv file that lists them, got nowhere",
        "model: not an option of predict, WEIGHTS is the model",
        "embed: not an option of predict, embeddings have no boxes",
        "epoch: unknown key, the nearest valid one is epochs",
    ]
    assert errors[5].startswith("conf: ")
    assert len(errors) == 6
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("source", ["0", "https://example.com/a.png", "no*.png", "screen"])
def test_what_is_not_on_disk_is_no_source(predict, source):
    code, _, errors = predict(source=source)
    assert code == 1
    assert [error.rpartition(", got ")[2] for error in errors] == [source]


def test_weights_that_cannot_be_used_are_a_line(predict, tmp_path, finished):
    run, _ = finished
    (tmp_path / "best.pt").write_text("no weights")
    YOLO("yolo11n-cls.yaml").save(tmp_path / "cls.pt")
    for name, told in (
        ("best.pt", "cannot be loaded ("),
        ("cls.pt", "expected a model of task detect, segment, pose,"),
    ):
        code, _, errors = predict("--thresholds", str(run / "thresholds.yaml"), weights=tmp_path / name)
        assert (code, len(errors)) == (1, 1)
        assert told in errors[0]


def test_a_pipe_is_not_waited_for(predict, tmp_path):
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "a.png")
    os.mkfifo(tmp_path / "w.pt")
    code, _, errors = predict(source=tmp_path / "in", weights=tmp_path / "w.pt")
    assert code == 1
    assert errors == [
        f"weights: expected a file with a trained model, got {tmp_path / 'w.pt'}",
        f"source: expected files, got the pipe or device {tmp_path / 'in' / 'a.png'}",
    ]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", b"x" * 200_000, "field larger than field limit"),
        ("a.txt", b"parts\0*.png", "expected an image"),
        ("a.txt", b"", "expected an image"),
    ],
    ids=["long field", "null byte", "empty"],
)
def test_a_list_that_is_none_is_one_line(tmp_path, name, content, line):
    (tmp_path / name).write_bytes(content)
    files, (problem,) = source_files(tmp_path / name)
    assert files == []
    assert problem.startswith("source: ")
    assert line in problem


def test_boxes_of_a_class_with_a_comma_are_told_apart():
    decision = api.ImageDecision("a.png", "reject", (("a, b 0.9, c", 0.5), ("pit", 0.25)))
    assert str(decision) == 'reject  a.png  "a, b 0.9, c" 0.500, pit 0.250'
    assert decision.row()[-1] == '"a, b 0.9, c" 0.500000, pit 0.250000'
