"""An untrained model that reports boxes."""

import torch
import yaml
from ultralytics import YOLO
from ultralytics.nn.tasks import yaml_model_load


def loud(name, folder, std=0.2):
    """An untrained model of three classes that reports boxes: its scores are raised from 1 in 100,000 to about .5."""
    torch.manual_seed(0)
    file = folder / f"three-{name}"
    file.write_text(yaml.safe_dump(yaml_model_load(name) | {"nc": 3, "kpt_shape": [2, 3]}))
    model = YOLO(file)
    head = model.model.model[-1]
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
