"""A changed result is not a changed learning rate: the classification branch's gradient keeps its size.

Measured on a network at its start and near convergence, over whole branches: the terms themselves look at the last
layer alone.
"""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.batches import CLASSES, batch
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel

from yolo_balance.integration.hooks.criterion import balance_criterion, heads
from yolo_balance.losses.class_weights import ClassWeights
from yolo_balance.losses.efl import EqualizedFocal
from yolo_balance.losses.eqlv2 import EQLv2
from yolo_balance.losses.focal import ClassicFocal, QualityFocal
from yolo_balance.losses.gradient_ratio import GradientRatio
from yolo_balance.losses.instance_balance import InstanceBalanced
from yolo_balance.losses.iou_balance import IoUBalancedNegatives
from yolo_balance.losses.isr import ISRPositive
from yolo_balance.losses.isr_negative import ISRNegative
from yolo_balance.losses.ohem import HardNegatives
from yolo_balance.losses.trim import Trim


def unbalanced():
    """Gradients in which the last class has half as much from its positives, as a rare class on a trained head."""
    ratio = GradientRatio(CLASSES)
    ratio.restore({"positive": [*[1.0] * (CLASSES - 1), 0.5], "negative": [1.0] * CLASSES})
    return ratio


TERMS = {
    "focal, beta 0.5": lambda: [QualityFocal(beta=0.5)],
    "focal, beta 1": lambda: [QualityFocal(beta=1.0)],
    "focal, beta 2": lambda: [QualityFocal(beta=2.0)],
    "classic focal": lambda: [ClassicFocal(gamma=2.0, alpha=0.25)],
    "isr": lambda: [ISRPositive(k=2.0, bias=0.0)],
    "isr negatives": lambda: [ISRNegative(k=0.5, bias=0.0)],
    "ohem": lambda: [HardNegatives(ratio=3.0)],
    "iou-balanced": lambda: [IoUBalancedNegatives(ratio=3.0, bins=3, draw=False)],
    "instance-balanced": lambda: [InstanceBalanced()],
    "ohem, trimmed": lambda: [HardNegatives(ratio=3.0), Trim(share=0.05)],
    "class weights": lambda: [ClassWeights([*[0.4] * (CLASSES - 1), 4.0], on="positives")],
    "all": lambda: [QualityFocal(beta=1.0), HardNegatives(ratio=3.0), InstanceBalanced(), ISRPositive(k=2.0, bias=0.0)],
}
RATIOS = {"start": lambda: GradientRatio(CLASSES), "trained": unbalanced}
"""Gradients counted so far: none at the start of a run."""
FOLLOWERS = {
    "efl": lambda ratio: [EqualizedFocal(ratio, gamma=2.0, scale=8.0)],
    "eqlv2": lambda ratio: [EQLv2(ratio, alpha=4.0, gamma=12.0, mu=0.8, room=None)],
}
STEPS = 120


@pytest.fixture(scope="module", params=["yolo26n.yaml", pytest.param("yolo11n.yaml", marks=pytest.mark.long)])
def stages(request):
    """A network at its start and near convergence, and the batches that it was trained on."""
    torch.manual_seed(0)
    model = DetectionModel(request.param, nc=CLASSES, verbose=False)
    model.args = get_cfg()
    model.train()
    batches = [batch(seed=seed) for seed in range(2)]
    start = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(STEPS):
        data = batches[step % 2]
        optimizer.zero_grad()
        model.init_criterion()(model(data["img"]), data)[0].sum().backward()
        optimizer.step()
    return {"start": start, "trained": model}, batches


def branch_gradient(model, terms, batches):
    """Root mean square over batches of the gradient's norm, over all parameters of the classification branches."""
    head = model.model[-1]
    names = [name for name in ("cv3", "one2one_cv3") if getattr(head, name, None) is not None]
    parameters = [p for name in names for p in getattr(head, name).parameters() if p.requires_grad]
    criterion = balance_criterion(model.init_criterion(), {h: terms() for h in heads(model.init_criterion())}.get)
    squares = []
    for data in batches:
        loss = criterion(model(data["img"]), data)[0][1]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        squares.append(sum(g.square().sum() for g in gradients if g is not None))
    return torch.stack(squares).mean().sqrt()


@pytest.mark.parametrize("stage", ["start", "trained"])
@pytest.mark.parametrize("term", [*TERMS, *FOLLOWERS])
def test_the_gradient_of_the_classification_branch_keeps_its_size(stages, stage, term):
    models, batches = stages
    model = models[stage]
    stock = branch_gradient(model, list, batches)
    terms = TERMS.get(term) or (lambda: FOLLOWERS[term](RATIOS[stage]()))
    alone = [[data] for data in batches]  # a follower of ratios would meet in one batch what another left behind
    ours = [branch_gradient(model, terms, part) for part in (alone if term in FOLLOWERS else [batches])]
    assert 0.8 < torch.stack(ours).square().mean().sqrt() / stock < 1.25


def test_training_took_the_loss_to_where_the_entropy_is_a_large_part_of_it(stages):
    models, batches = stages
    losses = [model.init_criterion()(model(batches[0]["img"]), batches[0])[0][1] for model in models.values()]
    assert losses[1] < 0.4 * losses[0]
