"""Short whole runs, and what they leave."""

from __future__ import annotations

import csv

import torch
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionTrainer

from yolo_balance import BalancedDetectionTrainer, attach

BALANCE = {
    "sampling": {"power": 1.0, "max_repeat": 4.0},
    "losses": {"focal": {"beta": 1.0}, "isr": {"k": 1.0}, "carl": {"gain": 0.1}},
    "recall": {"false_alarms": [0.5, 5.0], "targets": {"scratch": 0.9}},
}


class OwnTrainer(DetectionTrainer):
    """A trainer class of a user's."""


def arguments(data, tmp_path, name, **more):
    return {
        **{"data": str(data), "project": str(tmp_path), "name": name, "epochs": 3, "imgsz": 32, "batch": 8, "nbs": 8},
        **{"plots": False, "close_mosaic": 1, "device": "cpu", "verbose": False, "warmup_epochs": 0, **more},
    }


def run(data, tmp_path, name, *, way, balance=None, callbacks=None, model="yolo11n.yaml", trainer=None, **more):
    """Train and return the model; `way` is stock, class or attach."""
    yolo = YOLO(model)
    for event, callback in (callbacks or {}).items():
        yolo.add_callback(event, callback)
    if way == "class":
        trainer = BalancedDetectionTrainer.configured(balance)
    elif way == "attach":
        assert attach(yolo, balance) is yolo
    yolo.train(trainer=trainer, **arguments(data, tmp_path, name, **more))
    return yolo


def rows(folder, file="results.csv"):
    with (folder / file).open(newline="") as f:
        return list(csv.DictReader(f))


def curves(folder):
    """Everything results.csv holds except time and what we add."""
    return [{k: v for k, v in row.items() if k != "time" and not k.startswith("recall/")} for row in rows(folder)]


def weights(folder):
    model = YOLO(folder / "weights" / "last.pt").model
    return torch.cat([p.flatten() for p in model.state_dict().values() if p.is_floating_point()])


class Interrupted(Exception):
    """Ends a run as a power cut would."""
