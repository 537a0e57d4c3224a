"""Whole runs of every task: off is stock, terms act in each, and what has no part in one says so."""

from __future__ import annotations

import csv

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers.matrices import sampled
from ultralytics import YOLO
from ultralytics.utils import LOGGER
from ultralytics.utils.metrics import probiou

import yolo_balance
from yolo_balance import attach, train
from yolo_balance.errors import ConfigError, DataError, HostError
from yolo_balance.integration.training.attach import MIXINS
from yolo_balance.losses.focal import QualityFocal
from yolo_balance.losses.instance_balance import InstanceBalanced

MODELS = {
    "detect": "yolo26n.yaml",
    "segment": "yolo26n-seg.yaml",
    "pose": "yolo26n-pose.yaml",
    "obb": "yolo26n-obb.yaml",
    "classify": "yolo26n-cls.yaml",
}
TRAINERS = {
    "detect": yolo_balance.BalancedDetectionTrainer,
    "segment": yolo_balance.BalancedSegmentationTrainer,
    "pose": yolo_balance.BalancedPoseTrainer,
    "obb": yolo_balance.BalancedOBBTrainer,
    "classify": yolo_balance.BalancedClassificationTrainer,
}
EVERYTHING = {
    "class_weights": "effective_number",
    "focal": {"beta": 1.0},
    "eqlv2": {},
    "logit_adjustment": {"tau": 0.5},
    "isr": {"k": 1.0, "negatives": {}},
    "carl": {"gain": 0.1},
    "negatives": {"rule": "iou_balanced"},
    "positives": "instance_balanced",
}
CLASSES = [0] * 10 + [1] * 4 + [2] * 2 + [None] * 8


def line(task, c, x, y):
    """One label of a square, or for `obb` of a rectangle turned by 30 degrees."""
    h = 0.2
    corners = np.array([[-h, -h], [h, -h], [h, h], [-h, h]])
    if task == "obb":
        turn = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
        corners = (corners * [1, 0.5]) @ turn.T
    polygon = " ".join(f"{u:.4f}" for u in (corners + np.array([x, y])).ravel())
    box = f"{x:.4f} {y:.4f} {2 * h} {2 * h}"
    points = f"{x:.4f} {y:.4f} 2 {x - h:.4f} {y - h:.4f} 2"
    return f"{c} " + {"detect": box, "segment": polygon, "obb": polygon, "pose": f"{box} {points}"}[task]


@pytest.fixture(scope="session")
def data_of(tmp_path_factory):
    """A small data set of each task, made once."""
    made = {}

    def build(task):
        if task in made:
            return made[task]
        root, rng = tmp_path_factory.mktemp(task), np.random.default_rng(0)
        for split in ("train", "val"):
            for i, c in enumerate(CLASSES):
                if task == "classify":
                    c = 0 if c is None else c
                    folder = root / split / "abc"[c]
                else:
                    folder = root / "images" / split
                    (root / "labels" / split).mkdir(parents=True, exist_ok=True)
                folder.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(90, 110, (64, 64, 3), dtype=np.uint8)
                x, y = rng.uniform(0.3, 0.7, 2)
                if c is not None:
                    cv2.circle(pixels, (int(x * 64), int(y * 64)), 12, (c * 60, 255 - c * 60, 200), -1)
                cv2.imwrite(str(folder / f"{i:03d}.png"), pixels)
                if task != "classify":
                    text = "" if c is None else line(task, c, x, y)
                    (root / "labels" / split / f"{i:03d}.txt").write_text(text)
        made[task] = root
        if task != "classify":
            content = {"path": str(root), "train": "images/train", "val": "images/val", "names": ["a", "b", "c"]}
            if task == "pose":
                content |= {"kpt_shape": [2, 3], "flip_idx": [0, 1]}
            made[task] = root / "data.yaml"
            made[task].write_text(yaml.safe_dump(content))
        return made[task]

    return build


def arguments(data, tmp_path, name, **more):
    return {
        **{"data": str(data), "project": str(tmp_path), "name": name, "epochs": 4, "imgsz": 64, "batch": 4, "nbs": 4},
        **{"plots": False, "device": "cpu", "verbose": False, "warmup_epochs": 0, "close_mosaic": 1, **more},
    }


def weights(folder):
    state = YOLO(folder / "weights" / "last.pt").model.state_dict()
    return torch.cat([p.flatten() for p in state.values() if p.is_floating_point()])


def classes_of(folder):
    return yaml.safe_load((folder / "balance.yaml").read_text())["resolved"]["classes"]


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(LOGGER, "warning", lambda text, *a: lines.append(text))
    return lines


@pytest.mark.parametrize("task", sampled(MODELS, ["detect", "classify"]))
def test_off_is_stock_bit_for_bit_over_24_steps(data_of, tmp_path, task):
    options = arguments(data_of(task), tmp_path, "stock")
    YOLO(MODELS[task]).train(**options)
    YOLO(MODELS[task]).train(**options | {"name": "plain"}, trainer=TRAINERS[task])
    attach(YOLO(MODELS[task]), {}).train(**options | {"name": "attach"})
    for name in ("plain", "attach"):
        assert torch.equal(weights(tmp_path / name), weights(tmp_path / "stock"))


@pytest.mark.parametrize("task", sampled([t for t in MODELS if t != "classify"], ["segment", "obb"]))
def test_every_term_acts_in_every_task_of_boxes(data_of, tmp_path, task, said):
    balance = {"sampling": {"power": 1.0}, "losses": EVERYTHING}
    options = arguments(data_of(task), tmp_path, "class", epochs=2)
    YOLO(MODELS[task]).train(**options, trainer=TRAINERS[task].configured(balance))
    model = attach(YOLO(MODELS[task]), balance)
    model.train(**options | {"name": "attach"})
    assert torch.equal(weights(tmp_path / "class"), weights(tmp_path / "attach"))
    assert weights(tmp_path / "class").isfinite().all()
    for criterion in (model.trainer.model.criterion, model.trainer.ema.ema.criterion):
        for head in (criterion.one2many, criterion.one2one):
            assert len(head.bce.terms) == 9
    rows = classes_of(tmp_path / "class")
    assert rows["c"]["product"] > rows["a"]["product"] == 1
    assert not [text for text in said if "has no part" in text]
    assert (tmp_path / "class" / "recall.json").exists()
    with (tmp_path / "class" / "results.csv").open() as f:
        assert all(np.isfinite(float(v)) for row in csv.DictReader(f) for v in row.values())
    with_stock_only = torch.load(tmp_path / "class" / "weights" / "best.pt", weights_only=False)["model"]
    assert not [m for m in type(with_stock_only).__mro__ if m.__module__.startswith("yolo_balance")]


def test_oriented_boxes_overlap_as_ultralytics_measures_it(data_of, tmp_path):
    seen = []

    def watch(trainer):
        term = trainer.model.criterion.bce.terms[0]
        stock = term.anchor_weights

        def anchor_weights(assignment, loss):
            a, mask = assignment, assignment.foreground
            seen.append((a.iou[mask], probiou(a.boxes[mask], a.target_boxes[mask]).squeeze(-1).clamp(min=0)))
            return stock(assignment, loss)

        term.anchor_weights = anchor_weights

    model = attach(YOLO("yolo11n-obb.yaml"), {"losses": {"isr": {}}})
    model.add_callback("on_train_start", watch)
    model.train(**arguments(data_of("obb"), tmp_path, "run", epochs=1))
    assert sum(len(ours) for ours, _ in seen) > 20
    for ours, stock in seen:
        torch.testing.assert_close(ours, stock.float(), rtol=0, atol=2e-3)


def test_image_classification_takes_class_weights_focal_and_logit_adjustment(data_of, tmp_path, said):
    balance = {"losses": {**EVERYTHING, "focal": {"form": "classic", "gamma": 1.0}}}
    options = arguments(data_of("classify"), tmp_path, "class", epochs=2)
    YOLO(MODELS["classify"]).train(**options, trainer=TRAINERS["classify"].configured(balance))
    model = attach(YOLO(MODELS["classify"]), balance)
    model.train(**options | {"name": "attach"})
    assert torch.equal(weights(tmp_path / "class"), weights(tmp_path / "attach"))
    criterion = model.trainer.model.criterion
    assert criterion.gamma == 1.0
    assert criterion.weights.values[2] > 1 > criterion.weights.values[0]
    assert criterion.offsets.values[2] < criterion.offsets.values[0] == 0
    without = sorted({text.split(":")[0] for text in said if "has no part in image classification" in text})
    assert without == [f"balance.losses.{key}" for key in ("carl", "eqlv2", "isr", "negatives", "positives")]
    YOLO(MODELS["classify"]).train(**options | {"name": "stock"})
    assert not torch.equal(weights(tmp_path / "class"), weights(tmp_path / "stock"))


@pytest.mark.parametrize("heads", sampled(["one2many", "one2one"], ["one2one"]))
def test_terms_act_on_the_head_they_are_told_to(data_of, tmp_path, heads):
    model = attach(YOLO("yolo26n.yaml"), {"losses": {"focal": {}, "heads": heads}})
    model.train(**arguments(data_of("detect"), tmp_path, heads, epochs=1))
    criterion = model.trainer.model.criterion
    hooked = {name for name in ("one2many", "one2one") if hasattr(getattr(criterion, name).bce, "terms")}
    assert hooked == {heads}


def test_a_head_that_a_model_does_not_have_is_refused(data_of, tmp_path):
    model = attach(YOLO("yolo11n.yaml"), {"losses": {"focal": {}, "heads": "one2one"}})
    with pytest.raises(ConfigError, match=r"losses\.heads: expected both, the model has one head, got one2one"):
        model.train(**arguments(data_of("detect"), tmp_path, "x"))


def test_rtdetr_trains_with_terms_and_says_what_has_no_part(data_of, tmp_path, said):
    from ultralytics import RTDETR

    model = attach(RTDETR("rtdetr-l.yaml"), {"losses": EVERYTHING})
    model.train(**arguments(data_of("detect"), tmp_path, "run", epochs=1, batch=8))
    without = {text.split(":")[0] for text in said if "has no part in RT-DETR" in text}
    assert without == {"balance.losses.focal", "balance.losses.positives"}
    criterion = model.trainer.model.criterion
    assert criterion.matched is None
    assert not {type(term) for term in criterion.terms} & {QualityFocal, InstanceBalanced}
    assert len(criterion.terms) == 7


def test_ultralytics_class_weights_and_ours_are_not_multiplied(data_of, tmp_path):
    line = r"cls_pw: expected 0 with balance.losses.class_weights, got 0.5; each weighs by class"
    options = arguments(data_of("detect"), tmp_path, "x", cls_pw=0.5)
    with pytest.raises(ConfigError, match=line):
        attach(YOLO("yolo11n.yaml"), {"losses": {"class_weights": {"c": 2.0}}}).train(**options)
    with pytest.raises(ConfigError, match=line):
        train({"model": "yolo11n.yaml", **options, "balance": {"losses": {"class_weights": {"c": 2.0}}}})


def test_class_weights_of_a_class_that_is_not_there_are_refused(data_of, tmp_path):
    with pytest.raises(ConfigError, match=r"balance\.losses\.class_weights\.crak: the data has no class crak"):
        attach(YOLO("yolo11n.yaml"), {"losses": {"class_weights": {"crak": 2.0}}}).train(
            **arguments(data_of("detect"), tmp_path, "x")
        )


@pytest.mark.parametrize("task", sampled(["segment", "obb"], ["obb"]))
def test_the_yaml_trains_other_tasks_too(data_of, tmp_path, task):
    report = train({"model": MODELS[task], **arguments(data_of(task), tmp_path, "run", epochs=1), "balance": {}})
    assert report.budgets[0].classes["a"].n == 10


def test_a_yaml_whose_task_and_model_disagree_is_refused(data_of, tmp_path):
    options = arguments(data_of("detect"), tmp_path, "x")
    with pytest.raises(HostError, match=r"model: expected a model of task pose, got yolo26n-seg.yaml of task segment"):
        train({"model": "yolo26n-seg.yaml", "task": "pose", **options})
    with pytest.raises(
        HostError, match="model: expected a model of a task among detect, segment, pose, obb, got yolo26n-cls"
    ):
        train({"model": "yolo26n-cls.yaml", **options})
    with pytest.raises(DataError, match="demo holds no keypoints"):
        train({"model": "yolo26n-pose.yaml", **options, "data": "demo"})


def test_gradient_ratios_are_kept_beside_the_checkpoint_and_taken_up_again(data_of, tmp_path):
    import json

    class Stop(Exception):
        pass

    def stop(trainer):
        if trainer.epoch == 1:
            raise Stop

    balance = {"losses": {"eqlv2": {}}}
    whole = attach(YOLO("yolo26n.yaml"), balance)
    whole.train(**arguments(data_of("detect"), tmp_path, "whole", epochs=3))
    model = attach(YOLO("yolo26n.yaml"), balance)
    model.add_callback("on_train_epoch_start", stop)
    with pytest.raises(Stop):
        model.train(**arguments(data_of("detect"), tmp_path, "run", epochs=3))
    file = tmp_path / "run" / "weights" / "balance_state.json"
    before = json.loads(file.read_text())
    assert set(before["gradients"]) == {"one2many", "one2one"}
    model = attach(YOLO(tmp_path / "run" / "weights" / "last.pt"), balance)
    found = {}
    model.add_callback("on_train_start", lambda t: found.update(t.losses.state()))
    model.train(resume=True, data=str(data_of("detect")))
    assert found == {"gradients": before["gradients"]}
    after = json.loads(file.read_text())["gradients"]
    assert after["one2one"]["negative"][0] > before["gradients"]["one2one"]["negative"][0]


def test_every_task_has_its_trainer():
    assert set(TRAINERS) == set(MIXINS)


def test_a_replaced_criterion_of_image_classification_stops_the_run(data_of, tmp_path):
    model = attach(YOLO(MODELS["classify"]), {"losses": {"class_weights": "effective_number"}})
    model.add_callback("on_train_start", lambda t: setattr(t.model, "criterion", t.model.init_criterion()))
    with pytest.raises(HostError, match="to call __call__ of the balanced BalancedCrossEntropy, but the first batch"):
        model.train(**arguments(data_of("classify"), tmp_path, "run"))
