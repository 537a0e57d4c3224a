"""Thresholds belong to what they were measured on: other weights are refused, other conditions taken over or told of."""

from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest
from helpers.thresholds import made
from helpers.validations import lively
from ultralytics import YOLO
from ultralytics.utils import LOGGER

from yolo_balance import attach_thresholds
from yolo_balance.cli import main
from yolo_balance.errors import ConfigError
from yolo_balance.files import sha256

GIVEN = {"imgsz": 64, "device": "cpu", "verbose": False}
LOW, HIGH = [0.01] * 3, [0.9] * 3


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder: best.pt, last.pt of other weights, thresholds.yaml of best.pt; and an image."""
    root = tmp_path_factory.mktemp("run")
    (root / "weights").mkdir()
    (root / "parts").mkdir()
    model = lively("yolo11n.yaml", root)
    model.save(root / "weights" / "best.pt")
    model.model.model[0].conv.weight.data += 1e-3
    model.save(root / "weights" / "last.pt")
    made(LOW, HIGH, weights="best.pt", weights_sha256=sha256(root / "weights" / "best.pt")).save(
        root / "thresholds.yaml"
    )
    image = np.random.default_rng(0).integers(0, 255, (40, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(root / "parts" / "0.png"), image)
    return root


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(LOGGER, "warning", lambda text, *a: lines.append(text))
    return lines


def refusal(run, file):
    digests = sha256(run / "weights" / "best.pt")[:12], sha256(file)[:12]
    return (
        f"{file}: {run / 'thresholds.yaml'} was measured on best.pt (SHA-256 {digests[0]}), not on {file.name} (SHA-256 "
        f"{digests[1]}); `yolo_balance report {file}` measures its thresholds"
    )


def test_weights_are_told_by_their_content_whatever_their_name(run, tmp_path, said):
    copy = shutil.copy(run / "weights" / "best.pt", tmp_path / "line-3.pt")
    for file in (run / "weights" / "best.pt", copy):
        attach_thresholds(YOLO(file), run / "thresholds.yaml")(run / "parts", **GIVEN)
    assert not said
    other = shutil.copy(run / "weights" / "last.pt", tmp_path / "best.pt")
    with pytest.raises(ConfigError) as e:
        attach_thresholds(YOLO(other), run / "thresholds.yaml")
    assert e.value.problems == [refusal(run, other)]


def test_a_model_that_got_other_weights_since_is_refused_at_its_next_prediction(run, tmp_path):
    file = shutil.copy(run / "weights" / "best.pt", tmp_path / "best.pt")
    model = attach_thresholds(YOLO(file), run / "thresholds.yaml")
    model(run / "parts", **GIVEN)
    shutil.copy(run / "weights" / "last.pt", file)  # the model at hand stays
    model(run / "parts", **GIVEN)
    model.model.pt_path = str(run / "weights" / "last.pt")  # as after model.train()
    for _ in range(2):
        with pytest.raises(ConfigError, match="was measured on"):
            model(run / "parts", **GIVEN)


def test_predict_refuses_other_weights_in_one_line_and_writes_nothing(run, tmp_path, capsys):
    last = run / "weights" / "last.pt"
    assert main(["predict", str(last), str(run / "parts"), "imgsz=64", f"project={tmp_path / 'runs'}"]) == 1
    assert capsys.readouterr().err.splitlines() == [f"error: {refusal(run, last)}"]
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_compared_is_said_once(run, said):
    model = attach_thresholds(YOLO(run / "weights" / "best.pt"), made(LOW, HIGH))
    for _ in range(2):
        model(run / "parts", **GIVEN)
    assert said == [
        "thresholds.yaml: does not name the weights that it was measured on, so nothing shows that it belongs to these"
    ]
    said.clear()
    attach_thresholds(lively("yolo11n.yaml", run), made(LOW, HIGH, weights="a\nb.pt", weights_sha256="0" * 64))
    assert said == [
        "thresholds.yaml: was measured on a\\nb.pt (SHA-256 000000000000); the model at hand was not loaded from a "
        "file, so nothing shows that it is the same"
    ]


def test_an_export_is_known_by_the_weights_that_it_names(run, tmp_path, said, capsys):
    onnx = pytest.importorskip("onnx")
    weights = shutil.copy(run / "weights" / "best.pt", tmp_path / "best.pt")
    file = YOLO(weights).export(format="onnx", imgsz=64, device="cpu", simplify=False)
    said.clear()
    model = attach_thresholds(YOLO(file, task="detect"), run / "thresholds.yaml")
    model(run / "parts", **GIVEN)
    (line,) = said
    assert line.startswith(f"{file}: does not name the weights that it was exported from")
    own = made(LOW, HIGH, weights="best.onnx", weights_sha256=sha256(file))
    for named in (sha256(weights), "0" * 64):
        content = onnx.load(file)
        entry = content.metadata_props.add()
        entry.key, entry.value = "weights_sha256", named
        exported = tmp_path / f"{named[:3]}.onnx"
        onnx.save(content, exported)
        said.clear()
        command = [
            "predict",
            str(exported),
            str(run / "parts"),
            "task=detect",
            f"project={tmp_path / named}",
            "save=false",
        ]
        code = main([*command, "--thresholds", str(run / "thresholds.yaml")])
        assert (code, said) == ((0, []) if named == sha256(weights) else (1, []))
        assert (tmp_path / named / "predict" / "zones.csv").exists() == (code == 0)
    line = capsys.readouterr().err.splitlines()[-1]
    assert "was measured on best.pt" in line
    assert "not on 000.onnx (exported from weights of SHA-256 000000000000)" in line
    attach_thresholds(YOLO(file, task="detect"), own)(run / "parts", **GIVEN)  # measured on the export itself
    assert not said


@pytest.mark.parametrize(
    ("argument", "condition", "then", "other"),
    [
        ("max_det", "max_det", 2, 5),
        ("agnostic_nms", "agnostic_nms", True, None),
        ("iou", "nms_iou", 0.2, 0.4),
        ("rect", "rect", False, None),
        ("augment", "augment", True, None),
    ],
)
def test_a_condition_that_nobody_asks_for_is_that_of_the_measurement(run, said, argument, condition, then, other):
    file = run / "weights" / "best.pt"
    known = {"weights": "best.pt", "weights_sha256": sha256(file)}

    def boxes(model, **more):
        (result,) = model(run / "parts", **{**GIVEN, **more})
        return result.boxes.data.tolist()

    measured = attach_thresholds(YOLO(file), made(LOW, HIGH, **known, **{condition: then}))
    free = attach_thresholds(YOLO(file), made(LOW, HIGH, **known))
    plain = boxes(free)
    assert boxes(measured) == boxes(free, **{argument: then}) != plain
    assert not said
    if other is not None:
        assert boxes(measured, **{argument: other}) == boxes(free, **{argument: other})
        lines = [f"{argument}: thresholds.yaml was measured at {then}, not {other}, where its thresholds may not hold"]
        assert said == lines


def test_classes_that_were_not_read_have_no_threshold_and_no_box(run, said):
    file = run / "weights" / "best.pt"
    measured = made(LOW, HIGH, weights="best.pt", weights_sha256=sha256(file), only_classes=[0, 2])
    (result,) = attach_thresholds(YOLO(file), measured)(run / "parts", **GIVEN)
    assert set(result.boxes.cls.int().tolist()) == {0, 2}
    assert said == ["classes: thresholds.yaml was measured on classes [0, 2] alone; boxes of others are left out"]


def test_another_head_and_another_padding_than_the_measured_ones_are_told_of(run, said):
    file = run / "weights" / "best.pt"
    known = {"weights": "best.pt", "weights_sha256": sha256(file)}
    model = attach_thresholds(YOLO(file), made(LOW, HIGH, **known, end2end=True, rect=True))
    for _ in range(2):
        model(run / "parts", **{**GIVEN, "rect": False})
    assert said == [
        "rect: thresholds.yaml was measured at true, not false, where its thresholds may not hold",
        "nms: thresholds.yaml was measured with the head without suppression, not with the head with suppression, where "
        "its thresholds may not hold",
    ]
