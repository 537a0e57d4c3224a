"""Loss terms on RT-DETR: Ultralytics' losses restated, the terms' effect, and the options that have no part."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.batches import CLASSES, batch
from ultralytics.nn.tasks import RTDETRDetectionModel

from yolo_balance.config import LossesConfig
from yolo_balance.integration.hooks.criterion import balance_criterion, without_part
from yolo_balance.integration.hooks.detr import BalancedDETRLoss
from yolo_balance.losses.assignment import Term
from yolo_balance.losses.carl import CARL
from yolo_balance.losses.isr import ISRPositive


class Neutral(Term):
    """Weights of one in both losses."""

    def classification_weights(self, assignment, loss):
        return torch.ones_like(loss)

    def box_weights(self, assignment):
        return torch.ones_like(assignment.iou)


class Watcher(Neutral):
    """Keeps the assignments it was shown."""

    def __init__(self):
        self.seen = []

    def box_weights(self, assignment):
        self.seen.append(assignment)
        return super().box_weights(assignment)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = RTDETRDetectionModel("rtdetr-l.yaml", nc=CLASSES, verbose=False)
    model.nc = CLASSES  # as Ultralytics' trainer sets it
    return model.train()


def loss(model, terms, data):
    """(total, its three parts) with the same denoising queries each time."""
    model.criterion = model.init_criterion()
    balance_criterion(model.criterion, lambda head: terms)
    torch.manual_seed(1)
    return model.loss(data)


def items(answer):
    parts = answer[1]
    return torch.stack(list(parts.values())) if isinstance(parts, dict) else parts


def test_without_terms_the_criterion_is_left_alone(model):
    criterion = model.init_criterion()
    assert balance_criterion(criterion, lambda head: []) is criterion
    assert not isinstance(criterion, BalancedDETRLoss)


@pytest.mark.parametrize("boxes", [(3, 0, 5), (1,), (0, 0), (2, 2)])
def test_neutral_terms_restate_ultralytics_losses(model, boxes):
    data = batch(boxes)
    ours, stock = loss(model, [Neutral()], data), loss(model, [], data)
    torch.testing.assert_close(ours[0], stock[0])
    torch.testing.assert_close(items(ours), items(stock))


@pytest.mark.parametrize("term", [ISRPositive(k=2.0, bias=0.0)])
def test_classification_terms_preserve_the_size_of_the_gradient_and_turn_it(model, term):
    data, layers = batch(), [p for layer in model.model[-1].dec_score_head for p in layer.parameters()]
    gradients = []
    for terms in ([term], []):
        model.zero_grad()
        total, _ = loss(model, terms, data)
        total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in layers]))
    ours, stock = gradients
    torch.testing.assert_close(ours.norm(), stock.norm(), rtol=0.1, atol=0)
    assert torch.nn.functional.cosine_similarity(ours, stock, dim=0) < 0.9999


def test_carl_adds_its_gain_to_the_box_losses_and_reaches_the_scores(model):
    data = batch()
    model.zero_grad()
    ours, stock = (
        loss(model, [CARL(k=1.0, bias=0.2, gain=0.5, gradient=1.0, published=False)], data),
        loss(model, [], data),
    )
    ratio = items(ours) / items(stock)
    assert 1.3 < ratio[0] < 1.7  # L1 and GIoU come first or last by release; the classification loss is the one left
    ours[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_an_assignment_says_which_query_has_which_object(model):
    data, watcher = batch(), Watcher()
    loss(model, [watcher], data)
    assert len(watcher.seen) > 6  # every decoder layer, the encoder, the denoising queries of each
    a = watcher.seen[0]
    assert a.foreground.sum(1).tolist() == [3, 0, 5]
    assert a.present.sum(1).tolist() == [3, 0, 5]
    ids = a.gt[a.foreground]
    assert len(ids.unique()) == 8
    torch.testing.assert_close(a.objects.flatten(0, 1)[ids], a.target_boxes[a.foreground])
    expected = torch.cat([data["cls"][:3].sort(0).values, data["cls"][3:].sort(0).values]).flatten().long()
    of_image = [a.target_labels[i][a.foreground[i]].sort().values for i in (0, 2)]
    assert torch.equal(torch.cat(of_image), expected)
    torch.testing.assert_close(a.iou[a.foreground], a.target_scores.sum(-1)[a.foreground], rtol=1e-3, atol=1e-3)
    assert watcher.seen[-1].foreground.sum() > 8  # denoising groups repeat each object


def test_the_criterion_survives_a_copy(model):
    criterion = balance_criterion(model.init_criterion(), lambda head: [Neutral()])
    assert isinstance(copy.deepcopy(criterion), BalancedDETRLoss)


def test_terms_without_a_part_say_so(model):
    options = LossesConfig.model_validate({"focal": {}, "positives": "instance_balanced", "isr": {}})
    assert without_part(model.init_criterion(), options) == {
        "focal": "balance.losses.focal: has no part in RT-DETR, its own varifocal loss is a focal loss",
        "positives": "balance.losses.positives: has no part in RT-DETR, each object has one query",
    }
    assert without_part(torch.nn.Linear(1, 1), options) == {}
