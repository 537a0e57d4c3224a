"""Runs that end with a calibrated best.pt, finished ones that are calibrated after, and what is refused."""

from __future__ import annotations

import logging
import shutil
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.checkpoints import state_dict
from helpers.training import arguments, run
from ultralytics import YOLO
from ultralytics.utils import LOGGER

from yolo_balance import BalancedDetectionTrainer, RecallReport, train
from yolo_balance.cli import main
from yolo_balance.config import BalanceConfig, RecallConfig, read_yaml
from yolo_balance.errors import ConfigError
from yolo_balance.files import image_ids, sha256
from yolo_balance.integration.arguments import complete
from yolo_balance.integration.arms import lay_over
from yolo_balance.integration.finished.class_shifts import fold, shift_classes
from yolo_balance.integration.finished.validate_once import validated
from yolo_balance.recall import Thresholds
from yolo_balance.recall.conditions import Conditions
from yolo_balance.recall.decisions.calibration import fit, out_of_fold, prior_shifts, shifted
from yolo_balance.resolution import conflicts
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.names import STATE, UNCALIBRATED

ROOT = Path(__file__).parents[3]
RULES = {"fitted": {"rule": "fitted", "strength": 50.0}, "logit_adjustment": {"rule": "logit_adjustment", "tau": 0.5}}
WAYS = {"null": "class", "fitted": "attach"}
LEARN = {
    **{"imgsz": 64, "epochs": 1, "optimizer": "AdamW", "lr0": 1e-9, "mosaic": 0.0, "translate": 0.0, "scale": 0.0},
    **{"fliplr": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0},
}


@pytest.fixture(scope="module")
def found_data(make_data):
    """Large boxes, which a few epochs learn; in val also on images that are called clean, most of them of `scratch`."""
    false = [[0]] * 8 + [[1]] * 2 + [[2]]
    file = make_data([[0]] * 16 + [[1]] * 10 + [[2]] * 6, false + [[0]] * 8 + [[1]] * 8 + [[2]] * 6 + [[]] * 4, box=0.6)
    for i in range(len(false)):
        (file.parent / "labels" / "val" / f"{i:05d}.txt").write_text("")
    return file


@pytest.fixture(scope="module")
def trained(found_data, tmp_path_factory):
    """A model that finds something, its scores raised to those of a longer training, unlike by class."""
    folder = tmp_path_factory.mktemp("trained")
    longer = {**LEARN, "epochs": 20, "lr0": 0.003, "batch": 4, "nbs": 4}
    model = run(found_data, folder, "start", way="stock", model="yolov5n.yaml", val=False, **longer)
    shift_classes(model.model, np.array([3.0, 5.0, 2.0]))
    model.save(folder / "trained.pt")
    return folder / "trained.pt"


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.fixture(scope="module")
def runs(found_data, trained, tmp_path_factory):
    """The same run without calibration and by either rule, through either way in; and what each said."""
    folder, said = tmp_path_factory.mktemp("calibration"), {}
    for name, options in {"null": None, **RULES}.items():
        LOGGER.addHandler(lines := Lines())
        balance = {"recall": {"calibration": options}}
        given = {**LEARN, "verbose": True}
        if name == "logit_adjustment":
            content = {"model": str(trained), **arguments(found_data, folder, name, **given), "balance": balance}
            assert train(content) == RecallReport.load(folder / name / "recall.json")
        else:
            run(found_data, folder, name, way=WAYS[name], balance=balance, model=str(trained), **given)
        LOGGER.removeHandler(lines)
        said[name] = lines.said
    return folder, said


def read(data, weights):
    """The validation that a run ends with, once more."""
    return validated(YOLO(weights), RecallConfig(), data=str(data), imgsz=64, batch=16, plots=False)


def resolved(folder):
    return yaml.safe_load((folder / "balance.yaml").read_text())["resolved"]["calibration"]


@pytest.mark.parametrize("rule", RULES)
def test_training_is_what_it_is_without(runs, rule):
    folder, _ = runs
    for ours, stock in ((UNCALIBRATED, "best.pt"), ("last.pt", "last.pt")):
        one, other = (state_dict(folder / name / "weights" / file) for name, file in ((rule, ours), ("null", stock)))
        assert torch.equal(one, other)
    assert not (folder / "null" / "weights" / UNCALIBRATED).exists()
    assert "calibration" not in yaml.safe_load((folder / "null" / "balance.yaml").read_text())["resolved"]


@pytest.mark.parametrize("rule", RULES)
def test_best_pt_holds_the_shifts_that_balance_yaml_says(runs, found_data, rule, tmp_path):
    weights = runs[0] / rule / "weights"
    said = resolved(runs[0] / rule)
    assert (said["rule"], list(said["shifts"])) == (rule, ["scratch", "pit", "crack"])
    shifts = np.array(list(said["shifts"].values()))
    assert np.abs(shifts).max() > 0.3
    if rule == "fitted":
        assert said["from"] == "val"
        expected = fit(read(found_data, weights / UNCALIBRATED).outcomes, strength=50.0).shifts
    else:
        assert said["from"] == "train"
        expected = prior_shifts([16, 10, 6], tau=0.5)
    np.testing.assert_allclose(shifts, expected, atol=1 / 256 + 1e-3)
    assert (shifts * 128 % 1 == 0).all()
    (again := tmp_path / "again.pt").write_bytes((weights / UNCALIBRATED).read_bytes())
    fold(again, shifts, tmp_path / "kept.pt")
    assert torch.equal(state_dict(again), state_dict(weights / "best.pt"))
    assert (tmp_path / "kept.pt").read_bytes() == (weights / UNCALIBRATED).read_bytes()
    assert b"yolo_balance.integration" not in (weights / "best.pt").read_bytes()
    assert sorted(p.name for p in weights.iterdir()) == [STATE, "best.pt", UNCALIBRATED, "last.pt"]


@pytest.mark.parametrize("rule", RULES)
def test_average_precision_of_a_class_stays_up_to_rounding(runs, found_data, rule):
    weights = runs[0] / rule / "weights"
    before, after = (read(found_data, weights / file).metrics.box for file in (UNCALIBRATED, "best.pt"))
    assert before.ap50.max() > 0.1
    assert before.ap_class_index.tolist() == after.ap_class_index.tolist()
    np.testing.assert_allclose(after.all_ap, before.all_ap, atol=1e-3)  # boxes rise over the floor


@pytest.mark.parametrize("rule", RULES)
def test_what_a_run_reports_is_of_the_calibrated_model(runs, found_data, rule, tmp_path):
    folder = runs[0] / rule
    report, again = RecallReport.load(folder / "recall.json"), read(found_data, folder / "weights" / "best.pt")
    other = read(found_data, folder / "weights" / UNCALIBRATED).recall_report
    common = [[budget.threshold for budget in r.budgets] for r in (report, again.recall_report, other)]
    assert common[0] == pytest.approx(common[1], abs=1e-3)
    assert common[0] != pytest.approx(common[2], abs=2e-3)
    measured = Conditions(
        **{"weights": "best.pt", "weights_sha256": sha256(folder / "weights" / "best.pt"), "imgsz": 64, "rect": True},
        **{"nms_iou": 0.7, "agnostic_nms": False, "max_det": 300, "end2end": False, "augment": False},
    )
    chosen_on = " ".join(sorted(image_ids(again.outcomes.files)))
    thresholds = Thresholds.of(report, measured).model_copy(update={"chosen_on": chosen_on})
    thresholds.save(tmp_path / "thresholds.yaml")
    assert (folder / "thresholds.yaml").read_text() == (tmp_path / "thresholds.yaml").read_text()
    assert report.weights_sha256 == measured.weights_sha256


def test_what_compare_resamples_is_held_out_where_shifts_were_fitted(runs, found_data):
    names, budgets = ["scratch", "pit", "crack"], [0.1, 1.0]
    for rule in RULES:
        weights = runs[0] / rule / "weights"
        before, after = (read(found_data, weights / file).outcomes for file in (UNCALIBRATED, "best.pt"))
        expected = out_of_fold(before, strength=50.0, seed=0) if rule == "fitted" else after
        found, like = Detections.load(runs[0] / rule), Detections.of(expected, names, budgets)
        np.testing.assert_allclose(found.object_confidence, like.object_confidence, atol=1e-3)
        np.testing.assert_allclose(found.false_confidence[:50], like.false_confidence[:50], atol=1e-3)
        if rule == "fitted":
            in_sample = shifted(before.confidence, before.predicted, fit(before, strength=50.0).shifts)
            assert np.abs(in_sample - expected.confidence).max() > 0.005


def test_what_is_said_of_it(runs):
    folder, said = runs
    for rule in RULES:
        lines = [line for line in said[rule] if "Calibration:" in line]
        assert len(lines) == 1
        for name, shift in resolved(folder / rule)["shifts"].items():
            assert f"{name} {shift:+.2f}" in lines[0]
        assert UNCALIBRATED in lines[0]
        notes = sum("that recall is read on here" in line for line in said[rule])
        page = (folder / rule / "recall.html").read_text().count("that recall is read on here")
        assert notes == page == (rule == "fitted")
    assert not any("Calibration" in line for line in said["null"])


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("source", ["null", "fitted"])
def test_a_finished_run_calibrated_after_is_the_run_that_was_trained_so(runs, tmp_path, rule, source):
    trained, expected, out = runs[0] / source, runs[0] / rule, tmp_path / "out"
    before = contents(trained)
    words = [f"balance.recall.calibration={yaml.safe_dump(RULES[rule], default_flow_style=True)}"]
    assert main(["calibrate", str(trained), "--out", str(out), *words]) == 0
    assert contents(trained) == before
    for name in ("best.pt", UNCALIBRATED):
        assert torch.equal(state_dict(out / "weights" / name), state_dict(expected / "weights" / name))
    assert sorted(path.name for path in (out / "weights").iterdir()) == ["best.pt", UNCALIBRATED]
    assert RecallReport.load(out / "recall.json") == RecallReport.load(expected / "recall.json")
    digests = [sha256(folder / "weights" / "best.pt") for folder in (out, expected)]  # of files with the same weights
    thresholds = (out / "thresholds.yaml").read_text().replace(*digests)
    assert thresholds == (expected / "thresholds.yaml").read_text()
    ours, theirs = (Detections.load(folder) for folder in (out, expected))
    for one, other in zip(astuple(ours), astuple(theirs), strict=True):
        np.testing.assert_array_equal(one, other)
    ours, theirs = (Measured.load(folder) for folder in (out, expected))
    assert replace(ours, train_seconds=theirs.train_seconds) == theirs
    assert ours.train_seconds == Measured.load(trained).train_seconds
    plans = [yaml.safe_load((folder / "balance.yaml").read_text()) for folder in (out, expected)]
    assert plans[0] == plans[1]
    assert (out / "exposure.csv").read_text() == (trained / "exposure.csv").read_text()


def test_without_a_word_it_is_fitted_and_lies_beside_a_run_of_another_machine(runs, tmp_path):
    shutil.copytree(runs[0] / "null", tmp_path / "run")
    given = yaml.safe_load((tmp_path / "run" / "args.yaml").read_text())
    (tmp_path / "run" / "args.yaml").write_text(yaml.safe_dump({**given, "device": "0"}))
    assert main(["calibrate", str(tmp_path / "run")]) == 0
    assert resolved(tmp_path / "run_calibrated")["rule"] == "fitted"


def test_what_cannot_be_calibrated_after_is_one_line(runs, tmp_path, capsys):
    def said(*words):
        assert main([*map(str, words)]) == 1
        return capsys.readouterr().err.strip()

    run, missing = runs[0] / "null", tmp_path / "none"
    line = f"error: {missing}: expected the folder of a finished run, but there is no {missing / 'weights' / 'best.pt'}"
    assert said("calibrate", missing) == line
    line = f"error: --out: expected another folder than the run's, which stays as it is, got {run}"
    assert said("calibrate", run, "--out", run) == line
    assert "balance.recall.calibration.rule: expected 'fitted'" in said(
        "calibrate", run, "--out", missing, "balance.recall.calibration.rule=platt"
    )
    shutil.copytree(run, tmp_path / "broken")
    for resolution, line in (
        ("{classes: {pit: {}}}", "resolved.classes.pit.boxes: missing"),
        ("{classes: {pit: {boxes: -1}}}", "resolved.classes.pit.boxes: expected greater than or equal to 0, got -1"),
        ("{classes: [pit]}", 'resolved.classes: expected an object, got ["pit"]'),
        ("null", "resolved: expected an object, got null"),
        (
            "{classes: {pit: {boxes: 1}}}",
            "resolved.classes: expected the classes of best.pt, scratch, pit and crack, got pit",
        ),
    ):
        (tmp_path / "broken" / "balance.yaml").write_text(f"balance: {{}}\nresolved: {resolution}\n")
        assert said("calibrate", tmp_path / "broken") == f"error: {tmp_path / 'broken' / 'balance.yaml'}: {line}"
    line = "error: balance.recall.calibration: expected none in report, which changes no model; calibrate does"
    assert said("report", run / "weights" / "best.pt", "balance.recall.calibration.rule=fitted") == line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]


def test_what_cannot_be_calibrated_is_refused_before_training(found_data, tmp_path):
    balance = {"recall": {"calibration": {"rule": "fitted"}}}
    content = {"model": "yolo11n.yaml", **arguments(found_data, tmp_path, "x", save=False), "balance": balance}
    line = "balance.recall.calibration: expected save: true, or there is no best.pt to calibrate, got false"
    with pytest.raises(ConfigError) as e:
        train(content)
    assert str(e.value) == line
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError) as e:
        BalancedDetectionTrainer.configured(balance)(
            overrides={"model": "yolo11n.yaml", **arguments(found_data, tmp_path, "y", save=False)}
        )._setup_train()
    assert str(e.value) == line


def test_image_classification_refuses_it():
    config = BalanceConfig.load({"recall": {"calibration": {"rule": "fitted"}}})
    assert conflicts(config, complete({"task": "classify"})) == ["balance.recall.calibration: not for task classify"]


@pytest.mark.parametrize("rule", RULES)
def test_the_arm_adds_it_to_the_reading_of_a_run_and_no_method(rule):
    base = {"epochs": 3, "balance": {"sampling": {"power": 1.0}, "recall": {"false_alarms": [0.5]}}}
    arm = BalanceConfig.load(lay_over(base, read_yaml(ROOT / "cfg" / "arms" / f"posthoc_{rule}.yaml")))
    assert arm.off()
    assert arm.recall.calibration is not None
    assert (arm.recall.calibration.rule, arm.recall.false_alarms) == (rule, [0.5])
