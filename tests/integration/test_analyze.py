"""`yolo_balance analyze` as a user runs it, on data sets of every kind and on those that cannot be used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from yolo_balance import BalanceConfig
from yolo_balance.cli import main

FILES = {"analysis.html", "analysis.json"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def analyze(*words):
    """The figures that a run of the command leaves in its default folder."""
    assert main(["analyze", *map(str, words)]) == 0
    return json.loads((Path(f"{Path(words[0]).stem}_analysis") / "analysis.json").read_text())


def kinds(content):
    return {finding["kind"]: finding["classes"] for finding in content["findings"]}


def counts(content, split, what="boxes"):
    return {name: c[what] for name, c in content["splits"][split]["classes"].items()}


def write(**content):
    Path("run.yaml").write_text(yaml.safe_dump(content))
    return "run.yaml"


def test_the_command_prints_and_writes(tiny_data, capsys):
    content = analyze(tiny_data)
    assert {p.name for p in Path("data_analysis").iterdir()} == FILES
    assert content["schema"] == 1
    assert counts(content, "train") == {"scratch": 11, "pit": 4, "crack": 1}
    assert counts(content, "val", "images") == {"scratch": 4, "pit": 3, "crack": 0}
    assert content["splits"]["train"]["background"] == 10
    found = kinds(content)
    assert found["absent_in_val"] == ["crack"]
    assert found["single_image"] == ["crack"]
    printed = capsys.readouterr().out
    for title in (
        "Boxes and images per class",
        "What val can show",
        "Why accuracy hides it",
        "Identical images",
        "Findings",
    ):
        assert title in printed
    assert (
        printed.splitlines()[-1]
        == f"Written: {Path('data_analysis/analysis.html')}, {Path('data_analysis/analysis.json')}"
    )


def test_it_writes_nothing_to_the_data_set_but_ultralytics_cache(make_data):
    file = make_data([[0], [1], []], [[0], [2]])
    before = {p for p in file.parent.rglob("*") if p.is_file()}
    analyze(file, "--suggest")
    after = {p for p in file.parent.rglob("*") if p.is_file()}
    assert {p.suffix for p in after - before} <= {".cache"}


def test_a_suggestion_is_a_run_s_yaml(tiny_data):
    analyze(tiny_data, "--suggest")
    content = yaml.safe_load(Path("data_analysis/suggested.yaml").read_text())
    assert BalanceConfig.load(content).sampling is not None
    assert Path(content["data"]) == tiny_data.resolve()
    first = Path("data_analysis/suggested.yaml").read_bytes()
    analyze(tiny_data, "--suggest")
    assert Path("data_analysis/suggested.yaml").read_bytes() == first


def test_what_is_suggested_trains(tiny_data):
    words = ["epochs=1", "batch=8", "plots=false", "device=cpu", "model=yolo11n.yaml", "imgsz=32"]
    analyze(tiny_data, "--suggest", "mine.yaml", *words, f"project={Path('runs').resolve()}")
    assert main(["train", "mine.yaml"]) == 0
    assert Path("runs/train/recall.json").exists()


def test_options_and_overrides_come_in_any_order(tiny_data):
    for words in (
        [tiny_data, "imgsz=320", "--suggest"],
        [tiny_data, "--suggest", "imgsz=320"],
        [tiny_data, "--out", "data_analysis", "imgsz=320", "--suggest"],
    ):
        assert analyze(*words)["imgsz"] == 320
        assert "imgsz: 320 " in Path("data_analysis/suggested.yaml").read_text()


def test_demo_needs_no_file():
    content = analyze("demo", "--suggest")
    assert counts(content, "train")["crack"] == 4
    assert "\ndata: demo " in Path("demo_analysis/suggested.yaml").read_text()


def test_a_whole_run_s_yaml_says_what_the_run_sees(make_data):
    train = [[0, 1], [1, 2], [2], [], [0], [0]]
    file = make_data(train, [[0], [1, 2], []])
    single = analyze(write(data=str(file), single_cls=True, imgsz=96, model="yolo11n.yaml"))
    assert counts(single, "train") == {"item": 7}
    assert single["imgsz"] == 96
    two = analyze(write(data=str(file), classes=[2, 1]))
    assert counts(two, "train") == {"pit": 2, "crack": 2}
    assert two["splits"]["train"]["background"] == 3
    half = analyze(write(data=str(file), fraction=0.5))
    assert (half["splits"]["train"]["images"], half["splits"]["val"]["images"]) == (3, 3)
    shown = analyze(write(data="demo", device="cuda:7", balance={"sampling": {}}), f"data={file}", "classes=0")
    assert counts(shown, "train") == {"scratch": 3}


def test_images_without_a_label_file_are_background_and_named(make_data):
    file = make_data([[0], [0], [1], []], [[0], []])
    (file.parent / "labels" / "train" / "00001.txt").unlink()
    (file.parent / "images" / "train" / "00002.png").write_bytes(b"no image")
    content = analyze(file)
    train = content["splits"]["train"]
    assert (train["images"], train["background"], train["unlabelled"], train["ignored"]) == (3, 2, 1, 1)
    assert {"ignored", "unlabelled"} <= set(kinds(content))


def test_images_of_12_bits_are_named_and_the_command_that_is_given_scales_them(make_data, capsys):
    file = make_data([[0], [1], [2], []], [[0], [1], [2], []])
    paths = sorted((file.parent / "images").rglob("*.png"))
    greys = {path: cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2GRAY) for path in paths}
    for path, grey in greys.items():
        cv2.imwrite(str(path), grey.astype(np.uint16) * 16)
    (found,) = (f["text"] for f in analyze(file)["findings"] if f["kind"] == "faint")
    highest = max(int(grey.max()) for grey in greys.values()) >> 4
    assert found.startswith(
        "4 of 4 images of train and 4 of 4 images of val are 16-bit. Ultralytics reads their high byte, here 0 to "
        f"{highest} of 255"
    )
    code = found.split('python -c "')[1].split('" FILES')[0]
    subprocess.run([sys.executable, "-c", code, *map(str, paths)], check=True)
    for path, grey in greys.items():
        scaled = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert scaled.dtype == np.uint8
        assert np.abs(scaled.astype(int) - grey).max() <= 1
    assert "faint" not in kinds(analyze(file))


def test_images_of_a_list_that_are_gone_are_ignored_and_not_unlabelled(make_data):
    file = make_data([[0], [0], [1], []], [[0], []])
    files = sorted(map(str, (file.parent / "images" / "train").iterdir()))
    (file.parent / "train.txt").write_text("\n".join([*files, "/nowhere/images/a.png", "/nowhere/images/b.png"]))
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "train": "train.txt"}))
    content = analyze(file)
    train = content["splits"]["train"]
    assert (train["images"], train["ignored"], train["unlabelled"]) == (4, 2, 0)
    assert next(iter(kinds(content))) == "ignored"  # the first finding


@pytest.mark.parametrize(
    ("train", "val"),
    [([[0]], [[0]]), ([[1]] * 3, [[1]]), ([[0], [1]], [[2], [2]]), ([[], []], [[]]), ([[0], []], [[]])],
    ids=["one image", "one class", "nothing shared", "all background", "val all background"],
)
def test_small_and_lopsided_sets(make_data, train, val):
    content = analyze(make_data(train, val))
    assert content["splits"]["train"]["images"] == len(train)


def test_copies_are_found_across_and_within(make_data):
    file = make_data([[0], [1], [], []], [[0], [2], []])  # of other lengths, hence of other noise
    images, text = file.parent / "images", file.parent / "labels"
    shutil.copy(images / "train" / "00000.png", images / "val" / "copy.png")
    shutil.copy(images / "val" / "00001.png", images / "val" / "again.png")
    shutil.copy(text / "val" / "00001.txt", text / "val" / "again.txt")
    (text / "val" / "copy.txt").write_text("")
    content = analyze(file)
    assert content["duplicates"]["across"] == {"train/val": 1}
    assert content["duplicates"]["within"] == {"train": 0, "val": 1}
    found = kinds(content)
    assert "duplicates_labelled_otherwise" in found
    assert found["duplicates_within_a_split"] == ["crack"]
    assert "copy.png" in Path("data_analysis/analysis.html").read_text()


def test_a_test_split_is_read_too(make_data):
    file = make_data([[0], [1]], [[0]])
    content = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**content, "test": "images/val"}))
    content = analyze(file)
    assert list(content["splits"]) == ["train", "val", "test"]
    assert content["duplicates"]["across"]["val/test"] == 1


def test_a_val_that_is_left_open_is_said(make_data):
    file = make_data([[0], [1]], [[0]])
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "val": None}))
    assert "no_val" in kinds(analyze(file, "--suggest"))


def test_hostile_names_stay_text(make_data, capsys):
    names = ["<script>x</script>", "$x_1$", "=cmd", "a\nb"]
    content = analyze(make_data([[0], [1], [2, 3]], [[0], [3]], names=names), "--suggest")
    assert set(counts(content, "train")) == set(names)
    page = Path("data_analysis/analysis.html").read_text()
    assert "<script" not in page
    assert "$x_1$" in page
    assert "a\\nb" in capsys.readouterr().out
    BalanceConfig.load("data_analysis/suggested.yaml")


def test_names_that_are_equal_get_the_class_s_id(make_data):
    content = analyze(make_data([[0], [1], [2, 3]], [[0], [3]], names=["a", "a", "a (1)", "b"]))
    assert list(counts(content, "train")) == ["a (0)", "a (1) (1)", "a (1) (2)", "b"]


# Other tasks ---------------------------------------------------------------------------------------------------------


def relabel(file, line):
    for label in file.parent.glob("labels/*/*.txt"):
        label.write_text("\n".join(line(int(row.split()[0])) for row in label.read_text().splitlines()))
    return file


def test_polygons_and_oriented_boxes_give_boxes(make_data):
    file = relabel(make_data([[0], [1, 1]], [[0]]), lambda c: f"{c} 0.2 0.2 0.6 0.2 0.6 0.5 0.2 0.5")
    for words, task in (([], "detect"), (["task=segment"], "segment"), (["model=yolo26n-obb.pt"], "obb")):
        content = analyze(file, *words)
        assert content["task"] == task
        sizes = content["splits"]["train"]["classes"]["pit"]["sizes"]
        assert sizes["relative"]["median"] == pytest.approx((0.4 * 0.3) ** 0.5, abs=1e-3)


def test_keypoints_are_read_where_the_data_say_so(make_data):
    file = relabel(make_data([[0], [0], [0]], [[0]]), lambda c: f"{c} 0.5 0.5 0.2 0.2 0.5 0.5 2 0.4 0.4 1")
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "kpt_shape": [2, 3]}))
    content = analyze(file, "--suggest")
    assert content["task"] == "pose"
    assert counts(content, "train")["scratch"] == 3
    assert "model: yolo26n-pose.pt" in Path("data_analysis/suggested.yaml").read_text()


def test_a_folder_of_classes_has_images_only(tmp_path):
    rng = np.random.default_rng(0)
    for split, classes in (("train", {"good": 6, "crack": 2}), ("val", {"good": 3, "dent": 1})):
        for name, n in classes.items():
            folder = tmp_path / "parts" / split / name
            folder.mkdir(parents=True)
            for i in range(n):
                cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 255, (16, 16, 3), dtype=np.uint8))
    content = analyze(tmp_path / "parts")
    assert content["task"] == "classify"
    assert counts(content, "train") == {"crack": 2, "dent": 0, "good": 6}
    assert counts(content, "val") == {"crack": 0, "dent": 1, "good": 3}
    assert {"absent_in_train": ["dent"], "absent_in_val": ["crack"]}.items() <= kinds(content).items()
    assert content["blind"]["dent"]["boxes_found"] == 0.75
    assert "background images" not in Path("parts_analysis/analysis.html").read_text()
    assert analyze(tmp_path / "parts", "fraction=0.5")["splits"]["train"]["images"] == 4


# Errors --------------------------------------------------------------------------------------------------------------


def fails(capsys, *words):
    """The one line the command prints on its way to exit code 1; nothing may be left behind."""
    assert main(["analyze", *map(str, words)]) == 1
    assert not list(Path().glob("*_analysis"))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("error: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": "images/nowhere"}, "the train split"),
        ({"train": None}, "names no train split"),
        ({"val": "images/nowhere"}, "cannot be used"),
        ({"val": ...}, "cannot be used"),
        ({"test": "images/nowhere"}, "the test split"),
        ({"names": ...}, "cannot be used"),
        (
            {"names": [["scratch"]]},
            'names: expected a list of class names, or class names by class id, got [["scratch"]]',
        ),
        ({"names": None}, "cannot be used"),
        ({"names": {0: None}}, 'names: expected a list of class names, or class names by class id, got {"0": null}'),
        ({"names": "scratch"}, 'names: expected a list of class names, or class names by class id, got "scratch"'),
        ({"names": ["scratch"], "nc": 2}, "cannot be used"),
        ({"nc": "two", "names": ...}, "cannot be used"),
        ({"path": 7}, "cannot be used"),
        ({"train": {"a": 1}}, "cannot be used"),
    ],
)
def test_data_that_cannot_be_read_is_one_line(make_data, capsys, changes, message):
    file = make_data([[0]], [[0]])
    content = {**yaml.safe_load(file.read_text()), **changes}
    file.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not ...}))
    line = fails(capsys, file)
    assert line.startswith("data: ")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "cannot be used"),
        (b"names: [\xe9]\n", "cannot be read ('utf-8' codec"),
        (b"names: [a]\nnames: [b]\n", "the key names stands in line 1 and again in line 2"),
        (b"names: {0: a, 0: b}\n", "the key 0 stands in line 1 and again in line 1"),
        (b"names: " + b"[" * 60, "nested more than 40 levels deep"),
        (b"names: [a\x00]\n", "not valid YAML"),
        (b"names: [.nan]\n", "names.0: expected a finite number, got NaN"),
        (b"names: [1" + b"0" * 400 + b"]\n", "names.0: expected a number of less than 64 bits"),
        (b"[1]\n", "expected a mapping of keys at the top level"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_a_data_file_that_is_damaged_is_one_line(tmp_path, capsys, text, message):
    (file := tmp_path / "d.yaml").write_bytes(text)
    line = fails(capsys, "demo", f"data={file}")
    assert line.startswith(f"data: {file}")
    assert message in line


def test_a_pipe_is_not_waited_for(tiny_data, tmp_path, capsys):
    os.mkfifo(tmp_path / "d.yaml")
    line = f"data: {tmp_path / 'd.yaml'}: cannot be read (expected a file, got a pipe or a device)"
    assert fails(capsys, tmp_path / "d.yaml") == line
    os.mkfifo(tmp_path / "s.yaml")
    line = f"--suggest: {tmp_path / 's.yaml'} exists and was not written by analyze; name another file"
    assert fails(capsys, tiny_data, "--suggest", tmp_path / "s.yaml") == line


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"model": "yolo11n.yaml"}, "data: missing, expected a data YAML or demo"),
        ({"data": "no/such.yaml"}, "data: no/such.yaml cannot be used"),
        ({"data": "demo", "epoch": 3}, "epoch: unknown key, the nearest valid one is epochs"),
        ({"data": "demo", "task": "depth"}, "task: expected one of detect, segment, pose, obb, classify, got depth"),
        ({"data": "demo", "imgsz": 0}, "imgsz: expected a positive whole number, got 0"),
        ({"data": "demo", "classes": [6]}, "classes: expected class ids from 0 to 5, got [6]"),
        ({"data": "demo", "balance": {"samplin": {}}}, "balance.samplin: unknown key"),
        ({"data": "demo", "task": "classify"}, "data: demo is not a folder with a folder train in it"),
    ],
)
def test_a_mistake_in_the_run_s_yaml_is_one_line(capsys, content, line):
    assert fails(capsys, write(**content)).startswith(line)


def test_a_file_that_is_not_there_is_one_line(capsys):
    assert fails(capsys, "none.yaml").startswith("data: none.yaml cannot be used")


def test_a_folder_without_classes_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "loose").mkdir()
    cv2.imwrite(str(tmp_path / "loose" / "a.png"), np.zeros((16, 16, 3), np.uint8))
    assert "is not a folder with a folder train in it" in fails(capsys, tmp_path / "loose")
    assert [p.name for p in (tmp_path / "loose").iterdir()] == ["a.png"]


def test_what_cannot_be_written_is_one_line(tiny_data, tmp_path, capsys):
    (tmp_path / "taken").write_text("a file")
    assert fails(capsys, tiny_data, "--out", "taken/deeper").startswith(
        f"--out: {Path('taken/deeper')} cannot be written"
    )
    assert fails(capsys, tiny_data, "--out", "taken").startswith("--out: taken cannot be written")
    assert (tmp_path / "taken").read_text() == "a file"


def test_somebody_s_own_file_is_not_overwritten(tiny_data, capsys):
    run = write(data=str(tiny_data))
    before = Path(run).read_bytes()
    assert "--suggest: run.yaml exists and was not written by analyze" in fails(capsys, run, "--suggest", run)
    assert Path(run).read_bytes() == before
    assert "cannot be written" in fails(capsys, run, "--suggest", "no/such/folder/s.yaml", "--out", "here")


def test_nothing_to_suggest_is_one_line(make_data, capsys):
    assert fails(capsys, make_data([[]], [[]]), "--suggest").startswith("--suggest: the train split has no object")


def test_usage_errors_are_one_line(capsys):
    assert fails(capsys).endswith("see yolo_balance analyze --help")
    assert "unrecognized arguments: --outt" in fails(capsys, "x.yaml", "--outt")
    assert "epochs: expected key=value" in fails(capsys, "x.yaml", "epochs")


def test_what_a_run_s_sampling_asks_for_is_said(tiny_data, capsys):
    assert analyze(tiny_data)["plan"] is None
    sampling = {"strategy": "class_uniform", "max_repeat": 5.0}
    content = analyze(write(data=str(tiny_data), balance={"sampling": sampling}))
    assert {name: plan["factor"] for name, plan in content["plan"].items()} == {
        "scratch": 1.0,
        "pit": 2.5,
        "crack": 5.0,
    }
    assert sum(plan["requested"] for plan in content["plan"].values()) == pytest.approx(1, abs=1e-4)
    assert content["plan"]["crack"]["largest_image_share"] == 1
    assert "What balance.sampling asks for" in capsys.readouterr().out
    assert "What balance.sampling asks for" in Path("run_analysis/analysis.html").read_text()

    unknown = write(data=str(tiny_data), balance={"sampling": {"classes": {"dent": 2.0}}})
    assert main(["analyze", unknown]) == 1
    assert "balance.sampling.classes.dent: the data has no class dent" in capsys.readouterr().err


def test_a_preview_shows_25_samples_and_the_bank(make_data):
    data = make_data([[0]] * 40 + [[1]] * 6 + [[]] * 20, [[0], [1], []], box=0.2)
    analyze(data, "balance.synthesis={}", "imgsz=64", "--preview", "look.png")
    picture = cv2.imread("look.png")
    line, tile, cell = 22, 288, 96
    assert picture.shape == (3 * line + 5 * tile + line + 2 * cell, 5 * tile, 3)
    assert (picture == (60, 60, 255)).all(2).any()  # the colour of pasted objects
    assert "preview.jpg" not in {path.name for path in Path("data_analysis").iterdir()}
    analyze(data, "imgsz=64", "--preview")  # nothing is pasted
    assert cv2.imread("data_analysis/preview.jpg").shape == (3 * line + 5 * tile, 5 * tile, 3)


def test_a_preview_that_cannot_be_is_one_line(tiny_data, tmp_path, capsys):
    assert main(["analyze", str(tiny_data), "--preview", "look.gif"]) == 1
    assert capsys.readouterr().err == "error: --preview: expected a file .jpg or .png, got look.gif\n"
    assert not Path("data_analysis").exists()
