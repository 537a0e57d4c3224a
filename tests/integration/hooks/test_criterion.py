"""The three hooks in the criteria that Ultralytics builds: the numbers they give, and the time they must not cost."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers.batches import CLASSES, batch
from torch.utils._python_dispatch import TorchDispatchMode
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, PoseModel, SegmentationModel
from ultralytics.utils.metrics import bbox_iou

from yolo_balance.config.losses import LossesConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.hooks.criterion import balance_criterion, box_weights_end_at
from yolo_balance.losses.carl import CARL
from yolo_balance.losses.class_weights import ClassWeights
from yolo_balance.losses.eqlv2 import EQLv2
from yolo_balance.losses.focal import ClassicFocal, QualityFocal
from yolo_balance.losses.gradient_ratio import GradientRatio
from yolo_balance.losses.instance_balance import InstanceBalanced
from yolo_balance.losses.iou_balance import IoUBalancedNegatives
from yolo_balance.losses.isr import ISRPositive
from yolo_balance.losses.isr_negative import ISRNegative
from yolo_balance.losses.logit_adjustment import LogitAdjustment
from yolo_balance.losses.ohem import HardNegatives

MODELS = ["yolov8n.yaml", "yolov9t.yaml", "yolov10n.yaml", "yolo11n.yaml", "yolo12n.yaml", "yolo26n.yaml"]
ALL = [
    LogitAdjustment([0.0, -1.0, -2.0]),
    QualityFocal(beta=1.0),
    EQLv2(GradientRatio(CLASSES), alpha=4.0, gamma=12.0, mu=0.8, room=None),
    ClassWeights([0.5, 1.0, 2.0], on="positives"),
    IoUBalancedNegatives(ratio=3.0, bins=3, draw=False),
    InstanceBalanced(),
    ISRPositive(k=2.0, bias=0.0),
    ISRNegative(k=0.5, bias=0.0),
    CARL(k=1.0, bias=0.2, gain=None, gradient=1.0, published=False),
]
NEUTRAL = [
    LogitAdjustment([0.0] * CLASSES),
    QualityFocal(beta=0.0),
    ClassicFocal(gamma=0.0, alpha=None),
    ClassWeights([1.0] * CLASSES, on="positives"),
    HardNegatives(ratio=1e9),
    ISRPositive(k=0.0, bias=0.0),
    ISRNegative(k=0.0, bias=0.0),
    CARL(k=1.0, bias=0.2, gain=0.0, gradient=1.0, published=False),
]
PRESERVING = [
    QualityFocal(beta=1.0),
    ISRPositive(k=2.0, bias=0.0),
    ISRNegative(k=0.5, bias=0.0),
    HardNegatives(ratio=3.0),
    InstanceBalanced(),
    CARL(k=1.0, bias=0.2, gain=None, gradient=1.0, published=False),
]


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    torch.manual_seed(0)
    model = DetectionModel(request.param, nc=CLASSES, verbose=False)
    model.args = get_cfg()
    return model.train()


def balance(criterion, terms):
    return balance_criterion(criterion, lambda head: terms)


def losses(model, terms, data, **autocast):
    """(box, cls, dfl or l1) of a fresh criterion with these terms, before the sum; scaled by the batch size."""
    criterion = balance(model.init_criterion(), terms)
    with torch.autocast("cpu", **(autocast or {"enabled": False})):
        return criterion(model(data["img"]), data)[0]


def gradient(model, terms, data):
    model.zero_grad()
    losses(model, terms, data).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_off_leaves_the_criterion_as_it_is(model):
    criterion = model.init_criterion()
    before = dict(vars(criterion))
    assert balance(criterion, []) is criterion
    assert vars(criterion) == before


def test_neutral_terms_change_nothing(model):
    data = batch()
    torch.testing.assert_close(losses(model, NEUTRAL, data), losses(model, [], data))
    torch.testing.assert_close(gradient(model, NEUTRAL, data), gradient(model, [], data), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "terms", [[QualityFocal(beta=2.0)], [ISRPositive(k=2.0, bias=0.0)], [QualityFocal(beta=1.0), *PRESERVING[1:-2]]]
)
def test_classification_terms_preserve_the_box_losses_and_turn_the_gradient(model, terms):
    """The size of the classification loss's gradient has a law of its own, in test_gradient_magnitude.py."""
    data = batch()
    ours, stock = losses(model, terms, data), losses(model, [], data)
    torch.testing.assert_close(ours[[0, 2]], stock[[0, 2]], rtol=1e-4, atol=1e-4)
    ours, stock = gradient(model, terms, data), gradient(model, [], data)
    assert torch.nn.functional.cosine_similarity(ours, stock, dim=0) < 0.9999


@pytest.mark.parametrize(("gain", "published"), [(0.5, True), (0.5, False), (None, False)])
def test_carl_agrees_with_the_box_loss_restated(model, gain, published):
    """Each head's box loss from the assignment itself: sum of (1 + gain v) * target score * (1 - CIoU)."""
    data, bias = batch(), 0.2
    criterion = model.init_criterion()
    heads = [getattr(criterion, h) for h in ("one2many", "one2one") if hasattr(criterion, h)] or [criterion]
    restated = []
    for head in heads:
        seen = {}

        def bce(logits, targets, seen=seen, stock=head.bce):
            seen.update(logits=logits)
            return stock(logits, targets)

        def assigner(*args, seen=seen, stock=head.assigner):
            seen.update(labels=(answer := stock(*args))[0])
            return answer

        def bbox_loss(dist, boxes, points, target, scores, total, mask, *rest, seen=seen, stock=head.bbox_loss):
            mask = mask.bool()
            s = seen["logits"][mask].sigmoid().gather(1, seen["labels"][mask].long()[:, None])[:, 0]
            v = bias + (1 - bias) * s
            t = scores[mask].sum(-1)
            v = v / (v.mean() if published else (t * v).sum() / t.sum())
            weight = (v if gain is None else 1 + gain * v) * t
            iou = bbox_iou(boxes[mask], target[mask], xywh=False, CIoU=True)[:, 0]
            restated.append((weight * (1 - iou)).sum() / total)
            return stock(dist, boxes, points, target, scores, total, mask, *rest)

        head.bce, head.assigner, head.bbox_loss = bce, assigner, bbox_loss
    preds = model(data["img"])
    criterion(preds, data)
    shares = [criterion.o2m, criterion.o2o] if len(heads) == 2 else [1.0]
    expected = sum(w * x for w, x in zip(shares, restated, strict=True)) * model.args.box * len(data["img"])
    ours = balance(model.init_criterion(), [CARL(k=1.0, bias=bias, gain=gain, gradient=1.0, published=published)])(
        preds, data
    )[0]
    torch.testing.assert_close(ours[0], expected)


def test_a_batch_without_objects_gives_a_loss_with_gradient(model):
    data = batch((0, 0))
    assert gradient(model, ALL, data).isfinite().all()
    assert losses(model, PRESERVING, data).isfinite().all()


def test_terms_work_under_autocast(model):
    data = batch()
    assert losses(model, ALL, data, dtype=torch.bfloat16).isfinite().all()
    head, sizes = model.model[-1], []
    scales = [scale for name in ("cv3", "one2one_cv3") for scale in getattr(head, name, ())]
    last = [p for scale in scales for p in scale[-1].parameters()]
    for terms in (PRESERVING, []):
        classification = losses(model, terms, data, dtype=torch.bfloat16)[1]
        gradients = torch.autograd.grad(classification, last, allow_unused=True)
        sizes.append(torch.cat([g.flatten() for g in gradients if g is not None]).norm())
    torch.testing.assert_close(*sizes, rtol=0.1, atol=0)  # at the grain of bfloat16


def test_hooks_survive_copies_and_pickles_also_amid_a_batch(model):
    data = batch()
    criterion = balance(model.init_criterion(), PRESERVING)
    preds = model(data["img"])
    expected = criterion(preds, data)[0]
    head = getattr(criterion, "one2many", criterion)
    head.assigner.record.assignment = "interrupted"  # as an out-of-memory error between the hooks leaves it
    for twin in (copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))):
        assert getattr(twin, "one2many", twin).assigner.record.assignment is None
        torch.testing.assert_close(twin(preds, data)[0], expected)


def test_hooks_are_put_in_once(model):
    criterion = balance(model.init_criterion(), ALL)
    before = dict(vars(getattr(criterion, "one2many", criterion)))
    balance(criterion, ALL)
    assert vars(getattr(criterion, "one2many", criterion)) == before


def test_the_wrapped_parts_keep_their_attributes(model):
    criterion = balance(model.init_criterion(), ALL)
    head = getattr(criterion, "one2many", criterion)
    assert head.assigner.topk == 10
    head.assigner.num_classes = 7
    assert head.assigner.wrapped.num_classes == 7
    if hasattr(criterion, "update"):
        criterion.update()
        assert criterion.updates == 1


class Synchronisations(TorchDispatchMode):
    """Counts operations whose result's value or size the CPU has to wait for."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal", "bincount")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(i is not None and i.dtype == torch.bool for i in indices)
        self.count += by_mask or any(name.lstrip("_").startswith(w.lstrip("_")) for w in self.WAITING)
        return func(*args, **(kwargs or {}))


def test_terms_add_no_device_sync(model):
    data = batch()
    preds = model(data["img"])
    counts = []
    for terms in ([], ALL):
        criterion = balance(model.init_criterion(), terms)
        with Synchronisations() as seen:
            criterion(preds, data)[0].sum().backward(retain_graph=True)
        counts.append(seen.count)
    assert counts[0] == counts[1]
    assert counts[0] > 0  # the counter sees Ultralytics' own


def test_the_synchronisation_counter_sees_one():
    x = torch.arange(3.0)
    for wait in (lambda: x[x > 1], lambda: x.sum().item(), lambda: x.nonzero(), lambda: torch.unique(x)):
        with Synchronisations() as seen:
            wait()
        assert seen.count == 1


@pytest.mark.parametrize(
    ("kind", "config", "loss"),
    [(SegmentationModel, "yolo11n-seg.yaml", "mask"), (PoseModel, "yolo11n-pose.yaml", "key-point")],
)
def test_losses_that_box_weights_do_not_reach_are_named(kind, config, loss):
    model = kind(config, nc=CLASSES, verbose=False)
    model.args = get_cfg()
    options = LossesConfig.model_validate({"carl": {}, "positives": "instance_balanced"})
    (line,) = box_weights_end_at(model.init_criterion(), options)
    assert line.startswith(f"balance.losses: carl and positives weigh the box losses and not the {loss} loss")
    assert box_weights_end_at(model.init_criterion(), LossesConfig.model_validate({"focal": {}})) == []


def test_a_criterion_without_the_three_calls_is_refused():
    with pytest.raises(HostError, match="expected a criterion with assigner, bce and bbox_loss, got Linear"):
        balance(torch.nn.Linear(1, 1), ALL)
