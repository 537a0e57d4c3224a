"""Checkpoints as tensors."""

from __future__ import annotations

import torch
from ultralytics import YOLO


def state_dict(file):
    model = YOLO(file).model
    return torch.cat([p.flatten() for p in model.state_dict().values() if p.is_floating_point()])
