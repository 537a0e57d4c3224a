"""Validations of untrained models that report boxes all the same, and data of every task for them."""

from __future__ import annotations

import shutil

import torch
import yaml
from ultralytics import RTDETR, YOLO
from ultralytics.nn.tasks import yaml_model_load

MODELS = {
    "yolo11n.yaml": "detect",
    "yolo26n.yaml": "detect",
    "yolo11n-obb.yaml": "obb",
    "yolo26n-obb.yaml": "obb",
    "yolo11n-seg.yaml": "segment",
    "yolo26n-pose.yaml": "pose",
}
OWN = {"segment": "tp_m", "pose": "tp_p"}
"""Hits that Ultralytics finds, by name of its statistic, for masks and key points."""


def loud(name, folder, std=0.2):
    """An untrained model of three classes that reports boxes: its scores are raised from 1 in 100,000 to about .5."""
    torch.manual_seed(0)
    file = folder / f"three-{name}"
    file.write_text(yaml.safe_dump(yaml_model_load(name) | {"nc": 3, "kpt_shape": [2, 3]}))
    if name.startswith("rtdetr"):  # every query has one score for all classes
        model = RTDETR(str(file))
        torch.nn.init.zeros_(model.model.model[-1].dec_score_head[-1].weight)
        return model
    model = YOLO(file)
    head = model.model.model[-1]
    if hasattr(head, "proto"):  # masks that fill their boxes
        for scale in head.cv4:
            torch.nn.init.zeros_(scale[-1].weight)
            torch.nn.init.ones_(scale[-1].bias)
    for branch in (head.cv3, *([head.one2one_cv3] if hasattr(head, "one2one_cv3") else [])):
        for i, scale in enumerate(branch):
            torch.nn.init.normal_(scale[-1].weight, std=std)
            torch.nn.init.constant_(scale[-1].bias, i)  # the largest boxes highest
    return model


def lively(name, folder):
    """A loud model whose features are normalised, so that scores differ from image to image and class to class."""
    model = loud(name, folder, std=0.05)
    norms = [m for m in model.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.model.train()(torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    for norm, before in zip(norms, momentum, strict=True):
        norm.momentum = before
    model.model.eval()
    return model


def options(data, tmp_path, imgsz):
    return {"data": str(data), "imgsz": imgsz, "batch": 4, "device": "cpu", "plots": False, "project": str(tmp_path)}


def outline(c, x, y, w, h):
    corners = [(x - w / 2, y - h / 2), (x + w / 2, y - h / 2), (x + w / 2, y + h / 2), (x - w / 2, y + h / 2)]
    return f"{c:.0f} " + " ".join(f"{u:.5f} {v:.5f}" for u, v in corners)


def points(c, x, y, w, h):
    return f"{c:.0f} {x} {y} {w} {h} {x} {y} 2 {x} {y + h / 4} 2"


def task_data(boxes, tmp_path_factory):
    """By task a data.yaml of the objects that one holds as boxes: as boxes, outlines or key points."""
    files = {"detect": boxes}
    for task, line in (("segment", outline), ("obb", outline), ("pose", points)):
        root = tmp_path_factory.mktemp(task)
        shutil.copytree(boxes.parent / "images", root / "images")
        for split in ("train", "val"):
            (root / "labels" / split).mkdir(parents=True)
            for labels in (boxes.parent / "labels" / split).glob("*.txt"):
                rows = [line(*map(float, row.split())) for row in labels.read_text().splitlines()]
                (root / "labels" / split / labels.name).write_text("\n".join(rows))
        content = yaml.safe_load(boxes.read_text()) | ({"kpt_shape": [2, 3]} if task == "pose" else {})
        files[task] = root / "data.yaml"
        files[task].write_text(yaml.safe_dump(content))
    return files
