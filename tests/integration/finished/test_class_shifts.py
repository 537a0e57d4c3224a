"""Shifts folded into the class layers of real heads: what moves, what stays, and heads that have none."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ultralytics.nn.modules.head import Classify, WorldDetect, YOLOEDetect
from ultralytics.nn.tasks import (
    DetectionModel,
    OBBModel,
    PoseModel,
    RTDETRDetectionModel,
    SegmentationModel,
)

from yolo_balance.errors import HostError
from yolo_balance.integration.finished.class_shifts import class_layers, shift_classes

SHIFTS = np.array([-1.25, 0.0, 2.5])
MODELS = {
    "yolov5n.yaml": DetectionModel,
    "yolov8n.yaml": DetectionModel,
    "yolov10n.yaml": DetectionModel,
    "yolo11n.yaml": DetectionModel,
    "yolo26n.yaml": DetectionModel,
    "yolo11n-seg.yaml": SegmentationModel,
    "yolo26n-seg.yaml": SegmentationModel,
    "yolo26n-pose.yaml": PoseModel,
    "yolo26n-obb.yaml": OBBModel,
}


def flat(answer, name=""):
    """Tensors of nested outputs by name."""
    if isinstance(answer, dict):
        return {k: t for key, part in answer.items() for k, t in flat(part, f"{name}/{key}").items()}
    if isinstance(answer, (list, tuple)):
        return {k: t for i, part in enumerate(answer) for k, t in flat(part, f"{name}/{i}").items()}
    return {} if answer is None else {name: answer}


@torch.no_grad()
def raw(model, size):
    """What the head computes before scores are squashed and boxes selected."""
    model.eval()
    model.model[-1].training = True
    return flat(model(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))))


@pytest.mark.parametrize("name", MODELS)
def test_every_class_s_logits_move_by_its_shift_and_nothing_else_moves(name):
    torch.manual_seed(0)
    model = MODELS[name](name, nc=3, verbose=False)
    before = raw(model, 64)
    shift_classes(model, SHIFTS)
    after = raw(model, 64)
    scores = [key for key in before if key.endswith("/scores")]
    assert len(scores) == (2 if "26" in name or "v10" in name else 1)
    for key, tensor in before.items():
        expected = tensor + torch.as_tensor(SHIFTS).view(1, 3, 1) if key in scores else tensor
        torch.testing.assert_close(after[key], expected.to(tensor.dtype), atol=1e-5, rtol=1e-5)


def test_rtdetr_moves_likewise_and_selects_the_same_queries():
    torch.manual_seed(0)
    model = RTDETRDetectionModel("rtdetr-l.yaml", nc=3, verbose=False)
    boxes, scores, *encoder = raw(model, 160).values()
    shift_classes(model, SHIFTS)
    boxes_after, scores_after, *encoder_after = raw(model, 160).values()
    assert len(class_layers(model)) == 6
    torch.testing.assert_close(scores_after, (scores + torch.as_tensor(SHIFTS)).float(), atol=1e-5, rtol=1e-5)
    for one, other in zip([boxes, *encoder], [boxes_after, *encoder_after], strict=True):
        assert torch.equal(one, other)


def test_heads_without_class_layers_of_their_own_are_refused_in_one_line():
    for head in (WorldDetect(3, ch=(16, 16, 16)), YOLOEDetect(3, with_bn=True, ch=(16, 16, 16)), Classify(16, 3)):
        with pytest.raises(HostError, match=rf"^balance.recall.calibration: expected .* got {type(head).__name__}$"):
            class_layers(SimpleNamespace(model=[head]))
