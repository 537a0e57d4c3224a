"""`split` on generated data: Ultralytics reads what it writes, and the data stays as it is."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml
from helpers.generated_images import write_split
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

from yolo_balance.cli import main
from yolo_balance.errors import ConfigError
from yolo_balance.integration.split_data import split_data


@pytest.fixture
def data(make_data, tmp_path, monkeypatch):
    """18 images in train and 6 in val, of which crack is on three; two files are identical, across the two."""
    monkeypatch.chdir(tmp_path)
    file = make_data([[0], [0], [0, 1], [1], [1, 1], [2], [2], [0], [0]] + [[]] * 9, [[0], [1], [2], [], [], []])
    root = file.parent
    for kind, suffix in (("images", "png"), ("labels", "txt")):
        shutil.copyfile(root / kind / "train" / f"00005.{suffix}", root / kind / "val" / f"00002.{suffix}")
    return file


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(yaml_file, split):
    """Images of a split by file name, with the classes of their boxes, as Ultralytics reads them."""
    found = check_det_dataset(str(yaml_file))
    cfg = get_cfg(overrides={"task": "detect", "imgsz": 32})
    labels = build_yolo_dataset(cfg, found[split], batch=1, data=found, mode="val").labels
    return {label["im_file"]: sorted(label["cls"].ravel().astype(int).tolist()) for label in labels}


def test_the_command_writes_folds_that_ultralytics_reads_and_leaves_the_data_alone(data, tmp_path, capsys):
    before = content(data.parent)
    assert main(["split", str(data), "--folds", "3", "--out", "folds"]) == 0
    assert content(data.parent) == before
    printed = capsys.readouterr().out
    assert "1 copy of other images: identical files lie in one part" in printed
    assert "crack is missing in" in printed
    assert "2 units for 3 parts" in printed
    everything: dict[str, list[int]] = {}
    for fold in (1, 2, 3):
        file = tmp_path / "folds" / f"fold{fold}.yaml"
        train, val = read(file, "train"), read(file, "val")
        assert len(train) + len(val) == 24
        assert not set(train) & set(val)
        assert {c for classes in val.values() for c in classes} >= {0, 1}
        everything |= val
    assert len(everything) == 24
    assert sorted(c for classes in everything.values() for c in classes) == [0] * 6 + [1] * 5 + [2] * 3
    twins = [
        f"fold{i}" for i in (1, 2, 3) if "train/00005.png" in (tmp_path / "folds" / f"fold{i}_val.txt").read_text()
    ]
    assert "val/00002.png" in (tmp_path / "folds" / f"{twins[0]}_val.txt").read_text()


def test_sides_keep_units_whole_and_the_same_seed_gives_the_same_lists(data, tmp_path):
    rows = [f"{split}/{i:05d}.png,{split}{i // 2}" for split, n in (("train", 18), ("val", 6)) for i in range(n)]
    (data.parent / "meta.csv").write_text("\n".join(["file,part", *rows]))
    options = {"units": "meta.csv:part", "test": 0.25, "val": 0.25}
    first, again = (split_data(data, out=tmp_path / name, **options) for name in "ab")
    assert first.units.sum() == 11  # 12 parts, of which the copy joins two
    lists = {p.name: p.read_text() for p in (tmp_path / "a").iterdir()}
    assert lists == {p.name: p.read_text() for p in (tmp_path / "b").iterdir()}
    assert sorted(lists) == ["data.yaml", "test.txt", "train.txt", "val.txt"]
    sides = {name: [read(tmp_path / "a" / "data.yaml", name)] for name in ("train", "val", "test")}
    part = dict(row.split(",") for row in rows)
    of = {n: {part["/".join(f.split("/")[-2:])] for f in found} for n, (found,) in sides.items()}
    assert sum(map(len, of.values())) == len(set().union(*of.values()))
    assert np.array_equal(first.part, again.part)


def test_a_test_split_of_the_data_stays_and_what_it_shares_is_said(data, tmp_path, capsys):
    write_split(data.parent, "test", [[0], []])
    shutil.copyfile(data.parent / "images/train/00000.png", data.parent / "images/test/00000.png")
    data.write_text(yaml.safe_dump({**yaml.safe_load(data.read_text()), "test": "images/test"}))
    (data.parent / "labels/train/00001.txt").write_text("7 0.5 0.5 0.1 0.1\n")
    assert main(["split", str(data)]) == 0
    printed = capsys.readouterr().out
    assert "1 image of these parts are identical" not in printed
    assert "1 image of these parts is identical to an image of the test split" in printed
    assert "1 image left out, its label cannot be used (00001.txt: class 7, expected 0 to 2)" in printed
    assert len(read(tmp_path / "data_split" / "data.yaml", "test")) == 2
    assert main(["split", str(data), "--test", "0.2", "--out", "more"]) == 1
    assert "--test: expected 0 for data with a test split of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "--folds: expected 2 or more, got 1"),
        ({"val": 0.0}, "--val: expected a share above 0"),
        ({"val": 0.8, "test": 0.2}, "--val: expected a share above 0 that leaves a part for train"),
        ({"test": 1.0}, "--test: expected a share in"),
        ({"units": "(part)"}, r"--units: \(part\) gives no key to 00000.png and 23 more of 24 images"),
    ],
)
def test_every_mistake_is_one_line_and_leaves_nothing(data, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        split_data(data, out=tmp_path / "out", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_with_content_is_not_written_over(data, tmp_path):
    split_data(data, out=tmp_path / "out")
    before = content(tmp_path / "out")
    with pytest.raises(ConfigError, match="--out: expected a new or empty folder, got"):
        split_data(data, out=tmp_path / "out", seed=1)
    assert content(tmp_path / "out") == before
