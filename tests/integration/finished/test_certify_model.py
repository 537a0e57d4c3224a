"""`certify` on a real model: exit codes, files, the refused split, a second look."""

from __future__ import annotations

import json

import pytest
import yaml
from helpers.generated_images import write_split
from helpers.validations import lively

from yolo_balance.cli import main
from yolo_balance.recall import Thresholds

QUICK = ("imgsz=32", "batch=8", "plots=false", "device=cpu", "verbose=false")


@pytest.fixture(scope="module")
def data(make_data):
    """A train, a val and a test split; of test's ten images six are clean."""
    file = make_data([[0], [1], [2], []], [[0], [1], [], []])
    write_split(file.parent, "test", [[0], [0, 1], [2], [2], [], [], [], [], [], []])
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "test": "images/test"}))
    return file


@pytest.fixture(scope="module")
def weights(data, tmp_path_factory):
    """A model with its thresholds beside it, chosen on val."""
    folder = tmp_path_factory.mktemp("model")
    untrained, model = lively("yolo11n.yaml", folder), folder / "model.pt"
    untrained.model.names = dict(enumerate(("scratch", "pit", "crack")))
    untrained.save(model)
    assert main(["report", str(model), f"data={data}", "--out", str(folder), *QUICK]) == 0
    return model


@pytest.fixture
def certify(weights, data, tmp_path, monkeypatch, capsys):
    """Run the verb on the test split unless told otherwise; its exit code and the lines of an error."""
    monkeypatch.chdir(tmp_path)

    def run(*words, split="test", out="out"):
        code = main(["certify", str(weights), f"data={data}", f"split={split}", "--out", out, *QUICK, *words])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        return code, lines

    return run


def content(folder):
    return json.loads((folder / "certificate.json").read_text())


def test_few_clean_images_certify_nothing_and_what_is_missing_is_written(certify, tmp_path):
    assert certify()[0] == 2
    found = content(tmp_path / "out")
    assert (found["schema"], found["certified"], found["images"], found["clean_images"]) == (1, False, 10, 6)
    assert found["needed"]["clean_images"] == 109 - 6
    assert found["statement"] == "Cannot be certified: it takes 103 more clean images."
    assert not (tmp_path / "out" / "thresholds.yaml").exists()


def test_a_certificate_leaves_thresholds_that_predict_applies(certify, weights, data, tmp_path):
    easy = ("--overkill", "0.4", "--level", "0.8")
    assert certify(*easy) == (0, [])
    found, thresholds = content(tmp_path / "out"), Thresholds.load(tmp_path / "out" / "thresholds.yaml")
    assert found["statement"].startswith("With 80 % confidence, on images like these: at most 40.00% of clean images")
    assert found["false_alarms"]["bound"] <= 0.4
    assert thresholds.reject == {name: row["threshold"] for name, row in found["classes"].items()}
    assert len(found["weights_sha256"]) == len(found["data_sha256"]) == 64
    images = data.parent / "images" / "test"
    words = ["predict", str(weights), str(images), "--thresholds", str(tmp_path / "out" / "thresholds.yaml")]
    assert main([*words, "imgsz=32", "device=cpu", "save=false", "project=runs"]) == 0

    code, (line,) = certify("--thresholds", "out/thresholds.yaml", out="third")
    assert code == 4
    assert "10 images of 10 in test took part in choosing out/thresholds.yaml" in line

    assert certify(*easy)[0] == 2  # of the same images: a second look, at a quarter of the error
    again = content(tmp_path / "out")
    assert (again["look"], again["level_of_looks"]) == (2, pytest.approx(0.75))
    assert not (tmp_path / "out" / "thresholds.yaml").exists()  # a certificate that no longer holds leaves none


def test_a_split_that_chose_is_refused_by_name(certify, tmp_path):
    code, (line,) = certify(split="val")
    assert code == 4
    assert line.startswith("error: split: 4 images of 4 in val took part in choosing ")
    assert line.endswith("expected a split that chose nothing")
    assert not (tmp_path / "out").exists()


def test_units_are_parts(certify, tmp_path):
    assert certify("--units", r"(\d\d)\.png")[0] == 2
    assert content(tmp_path / "out")["unit"] == "part"


def test_what_does_not_fit_is_one_line(certify, weights, tmp_path):
    (tmp_path / "targets.yaml").write_text("dent: 0.9")
    code, (line,) = certify("--targets", "targets.yaml")
    assert (code, line) == (
        4,
        "error: targets: expected classes of the model, scratch, pit and crack, got dent",
    )
    assert certify("--out", str(weights.parent))[1][0].endswith(
        "holds the thresholds that are to be certified, give another folder"
    )
    known = Thresholds.load(weights.parent / "thresholds.yaml")
    for change, words in (
        ({"chosen_on": None}, "does not say which images chose it"),
        ({"weights_sha256": "0" * 64}, "was measured on other weights than"),
    ):
        known.model_copy(update=change).save(tmp_path / "t.yaml")
        code, (line,) = certify("--thresholds", "t.yaml")
        assert code == 4
        assert words in line
