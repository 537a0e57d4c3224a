"""Laws of the loss terms' numeric cores, and their papers restated slowly."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, tensors, weights_of

from yolo_balance.losses import carl_weights, iou_hlr, isr_positive_weights, quality_focal
from yolo_balance.losses.carl import CARL
from yolo_balance.losses.class_weights import ClassWeights
from yolo_balance.losses.efl import EqualizedFocal
from yolo_balance.losses.eqlv2 import EQLv2
from yolo_balance.losses.focal import ClassicFocal, QualityFocal
from yolo_balance.losses.gradient_ratio import GradientRatio
from yolo_balance.losses.instance_balance import InstanceBalanced
from yolo_balance.losses.iou_balance import IoUBalancedNegatives
from yolo_balance.losses.isr import ISRPositive
from yolo_balance.losses.isr_negative import ISRNegative
from yolo_balance.losses.logit_adjustment import LogitAdjustment
from yolo_balance.losses.ohem import HardNegatives
from yolo_balance.losses.ranking import rank_within


def positives(n=60, *, seed=0, classes=4, objects=9):
    """Positives of a batch: IoU, object, class (one per object) and loss."""
    g = torch.Generator().manual_seed(seed)
    gt = torch.randint(objects, (n,), generator=g)
    label = torch.randint(classes, (objects,), generator=g)[gt]
    return torch.rand(n, generator=g, dtype=torch.float64), gt, label, torch.rand(n, generator=g, dtype=torch.float64)


# -- ranks -------------------------------------------------------------------------------------------------------------


def restated_hlr(iou, gt, label):
    """Prime Sample Attention, section 3: local ranks, then the ranks of equals, one sample at a time."""
    n = len(iou)
    local = [sum(gt[j] == gt[i] and (iou[j] > iou[i]) for j in range(n)) for i in range(n)]
    return [sum(label[j] == label[i] and (local[j], -iou[j]) < (local[i], -iou[i]) for j in range(n)) for i in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_iou_hlr_agrees_with_the_paper_restated(seed):
    iou, gt, label, _ = positives(seed=seed)
    assert iou_hlr(iou, gt, label).tolist() == restated_hlr(iou.tolist(), gt.tolist(), label.tolist())


def test_iou_hlr_by_hand():
    iou = torch.tensor([0.9, 0.8, 0.5, 0.6, 0.7])
    gt, label = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 0, 1])
    assert iou_hlr(iou, gt, label).tolist() == [0, 2, 3, 1, 0]


def test_ranks_do_not_depend_on_the_order_of_samples():
    iou, gt, label, _ = positives()
    order = torch.randperm(len(iou), generator=torch.Generator().manual_seed(1))
    assert torch.equal(iou_hlr(iou[order], gt[order], label[order]), iou_hlr(iou, gt, label)[order])


def test_every_group_has_each_rank_once():
    _, gt, _, _ = positives()
    rank = rank_within(gt)
    for t in gt.unique():
        assert sorted(rank[gt == t].tolist()) == list(range(int((gt == t).sum())))


def test_ranks_of_nothing():
    empty = torch.zeros(0, dtype=torch.int64)
    assert iou_hlr(torch.zeros(0), empty, empty).shape == (0,)
    assert iou_hlr(torch.zeros(0), empty, empty).dtype == torch.int64


# -- ISR-P -------------------------------------------------------------------------------------------------------------


def restated_isr(iou, gt, label, loss, k, bias):
    """ISR-P class by class, as the paper and its published code compute it."""
    rank = restated_hlr(iou.tolist(), gt.tolist(), label.tolist())
    n_max = max(int((label == c).sum()) for c in label.unique())
    w = torch.tensor([(bias + (1 - bias) * (n_max - r) / n_max) ** k for r in rank], dtype=torch.float64)
    return w * (loss.sum() / (w * loss).sum())


@pytest.mark.parametrize(("k", "bias"), [(2.0, 0.0), (1.0, 0.2), (0.5, 0.9), (0.0, 0.0)])
def test_isr_agrees_with_the_paper_restated(k, bias):
    for seed in range(3):
        iou, gt, label, loss = positives(seed=seed)
        ours = isr_positive_weights(iou, gt, label, loss, k=k, bias=bias)
        torch.testing.assert_close(ours, restated_isr(iou, gt, label, loss, k, bias))


def test_isr_gradient_of_the_weighted_loss_agrees_with_the_restatement():
    iou, gt, label, _ = positives()
    logits = torch.randn(len(iou), dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    for weigh in (isr_positive_weights, lambda *a: restated_isr(*a, 2.0, 0.0)):
        loss = torch.nn.functional.softplus(logits)
        (weigh(iou, gt, label, loss.detach()) * loss).sum().backward()
    ours, logits.grad = logits.grad / 2, None  # both accumulated: equal halves only if both are equal
    loss = torch.nn.functional.softplus(logits)
    (isr_positive_weights(iou, gt, label, loss) * loss).sum().backward()
    torch.testing.assert_close(logits.grad, ours)


def test_isr_preserves_the_loss_and_carries_no_gradient():
    iou, gt, label, loss = positives()
    weights = isr_positive_weights(iou.requires_grad_(), gt, label, loss.requires_grad_())
    assert not weights.requires_grad
    torch.testing.assert_close((weights * loss).sum(), loss.sum())


@pytest.mark.parametrize(("k", "bias"), [(0.0, 0.0), (2.0, 1.0)])
def test_isr_without_importance_is_ones(k, bias):
    torch.testing.assert_close(isr_positive_weights(*positives(), k=k, bias=bias), torch.ones(60, dtype=torch.float64))


def test_isr_favours_the_small_class():
    """The denominator is the largest class's count: with k = 2, 500 and 5 positives differ about threefold."""
    label = torch.tensor([0] * 500 + [1] * 5)
    w = isr_positive_weights(torch.rand(505), torch.arange(505), label, torch.ones(505))
    assert w[500:].mean() / w[:500].mean() == pytest.approx(3, rel=0.05)


def test_a_mask_selects_what_indexing_would():
    iou, gt, label, loss = positives()
    mask = torch.rand(60, generator=torch.Generator().manual_seed(3)) < 0.4
    dense = isr_positive_weights(iou, gt, label, loss, mask=mask)
    torch.testing.assert_close(dense[mask], isr_positive_weights(iou[mask], gt[mask], label[mask], loss[mask]))
    assert (dense[~mask] == 1).all()


@pytest.mark.parametrize("mask", [None, torch.zeros(60, dtype=torch.bool)])
def test_isr_of_no_positives(mask):
    iou, gt, label, loss = positives() if mask is not None else (x[:0] for x in positives())
    weights = isr_positive_weights(iou, gt, label, loss, mask=mask)
    assert weights.isfinite().all()
    assert (weights == 1).all()


def test_isr_of_losses_that_are_all_zero():
    iou, gt, label, loss = positives()
    assert isr_positive_weights(iou, gt, label, loss * 0).isfinite().all()


# -- CARL --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "bias"), [(1.0, 0.2), (2.0, 0.5), (0.5, 0.1)])
def test_carl_agrees_with_the_paper_restated(k, bias):
    score = positives()[0].requires_grad_()
    loss = positives(seed=1)[3]
    v = [(bias + (1 - bias) * s) ** k for s in score]
    restated = torch.stack([vi * (len(v) / sum(v)) for vi in v])
    ours = carl_weights(score, k=k, bias=bias)
    torch.testing.assert_close(ours, restated)
    expected = torch.autograd.grad((restated * loss).sum(), score)[0]
    torch.testing.assert_close(torch.autograd.grad((ours * loss).sum(), score)[0], expected)


def test_carl_gradient_agrees_with_finite_differences():
    score, loss = positives(12)[0].requires_grad_(), positives(12, seed=1)[3]
    assert torch.autograd.gradcheck(lambda s: (carl_weights(s) * loss).sum(), score)
    t = positives(12, seed=2)[0]
    assert torch.autograd.gradcheck(lambda s: (carl_weights(s, base=t) * t * loss).sum(), score)


def test_carl_sums_to_the_number_of_positives_and_pushes_large_losses_down():
    score = torch.full((4,), 0.5, requires_grad=True)
    weights = carl_weights(score)
    torch.testing.assert_close(weights.sum(), torch.tensor(4.0))
    (weights * torch.tensor([0.1, 0.2, 0.3, 2.0])).sum().backward()
    assert score.grad[3] > 0  # descent lowers the score of the badly placed box
    assert (score.grad[:3] < 0).all()


@pytest.mark.parametrize(("k", "bias"), [(0.0, 0.2), (1.0, 1.0)])
def test_carl_without_importance_is_ones(k, bias):
    torch.testing.assert_close(carl_weights(torch.rand(7), k=k, bias=bias), torch.ones(7))


def test_carl_of_no_positives_carries_gradient():
    for score, mask in ((torch.zeros(0), None), (torch.rand(5), torch.zeros(5, dtype=torch.bool))):
        score = score.requires_grad_()
        total = carl_weights(score, mask=mask).sum()
        total.backward()
        assert total == 0
        assert score.grad is not None
        assert score.grad.isfinite().all()


def test_carl_mask_selects_what_indexing_would():
    score, mask = torch.rand(20), torch.arange(20) % 3 == 0
    dense = carl_weights(score, mask=mask)
    torch.testing.assert_close(dense[mask], carl_weights(score[mask]))
    assert (dense[~mask] == 0).all()


# -- quality focal -----------------------------------------------------------------------------------------------------


def test_beta_zero_is_cross_entropy():
    a = assignment()
    torch.testing.assert_close(quality_focal(a.logits, a.target_scores, beta=0.0), cross_entropy(a))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_quality_focal_agrees_with_the_paper_restated(beta):
    logits = torch.linspace(-4, 4, 24, dtype=torch.float64, requires_grad=True)
    target = torch.linspace(0, 1, 24, dtype=torch.float64)
    sigma = 1 / (1 + torch.exp(-logits))
    restated = -((target - sigma).abs() ** beta) * ((1 - target) * torch.log(1 - sigma) + target * torch.log(sigma))
    ours = quality_focal(logits, target, beta=beta)
    torch.testing.assert_close(ours, restated)
    expected = torch.autograd.grad(restated.sum(), logits)[0]
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), logits)[0], expected)
    assert torch.autograd.gradcheck(lambda x: quality_focal(x, target, beta=beta).sum(), logits)


def test_quality_focal_of_extreme_logits_is_finite():
    logits = torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4], requires_grad=True)
    for target in (0.0, 0.5, 1.0):
        loss = quality_focal(logits, torch.full((5,), target), beta=0.5)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert logits.grad.isfinite().all()


def test_a_perfect_score_costs_nothing():
    logits = torch.tensor([0.3], requires_grad=True)
    loss = quality_focal(logits, logits.detach().sigmoid())
    loss.sum().backward()
    assert loss.item() < 1e-9
    assert abs(logits.grad.item()) < 1e-3


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 3.5])
def test_the_term_of_quality_focal_is_its_reference_form_rescaled(beta):
    a = assignment()
    loss, reference = cross_entropy(a), quality_focal(a.logits, a.target_scores, beta=beta)
    weights = weights_of(QualityFocal(beta=beta), a, loss)
    torch.testing.assert_close(weights * loss, reference * (loss.sum() / reference.sum()))


# -- terms: one suite for all of them -------------------------------------------------------------------------------


def gradients():
    """Gradients of three classes as a run may have accumulated them: out of balance, on the way, in balance."""
    ratio = GradientRatio(3)
    ratio.restore({"positive": [1.0, 6.0, 9.0], "negative": [20.0, 8.0, 9.0]})
    return ratio


TERMS = {
    "focal": QualityFocal(beta=2.0),
    "focal-off": QualityFocal(beta=0.0),
    "isr": ISRPositive(k=2.0, bias=0.0),
    "carl": CARL(k=1.0, bias=0.2, gain=None, gradient=1.0, published=False),
    "class-weights": ClassWeights([0.5, 1.0, 3.0], on="positives"),
    "class-weights-column": ClassWeights([0.5, 1.0, 3.0], on="column"),
    "classic-focal": ClassicFocal(gamma=2.0, alpha=0.25),
    "classic-focal-off": ClassicFocal(gamma=0.0, alpha=None),
    "eqlv2": EQLv2(gradients(), alpha=4.0, gamma=12.0, mu=0.8, room=None),
    "eqlv2-capped": EQLv2(gradients(), alpha=4.0, gamma=12.0, mu=0.8, room=[2.0, 1.0, 10.0]),
    "efl": EqualizedFocal(gradients(), gamma=2.0, scale=8.0),
    "logit-adjustment": LogitAdjustment([0.0, -1.0, -4.0]),
    "ohem": HardNegatives(ratio=3.0),
    "iou-balanced": IoUBalancedNegatives(ratio=3.0, bins=3, draw=False),
    "instance-balanced": InstanceBalanced(),
    "isr-negative": ISRNegative(k=0.5, bias=0.0, candidates=8),
    "isr-negative-by-class": ISRNegative(k=0.5, bias=0.0, min_score=0.0, by_class=True),
}
SCALED_BY_THE_CALLER = (ClassWeights,)  # their mean is 1 over an epoch, not in a batch


@pytest.fixture(params=TERMS)
def term(request):
    return copy.deepcopy(TERMS[request.param])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_terms_are_finite_and_preserve_the_classification_loss(term, dtype):
    a = assignment(dtype=dtype)
    loss = cross_entropy(a)
    weights = weights_of(term, a, loss)
    if weights is not None:
        assert weights.dtype == torch.float32
        if not isinstance(term, SCALED_BY_THE_CALLER):
            torch.testing.assert_close((weights * loss).sum(), loss.sum())
        (weights * loss).sum().backward()
        assert a.logits.grad.isfinite().all()


def test_terms_are_finite_at_extreme_logits(term):
    a = assignment()
    a.logits = (1e4 * a.logits.detach().sign()).requires_grad_()
    weights = weights_of(term, a, cross_entropy(a))
    if weights is not None:
        (weights * cross_entropy(a)).sum().backward()
        assert weights.isfinite().all()
        assert a.logits.grad.isfinite().all()
    boxes = term.box_weights(a)
    assert boxes is None or boxes.isfinite().all()


def test_terms_leave_boxes_that_are_not_foreground_alone(term):
    a = assignment()
    weights = term.box_weights(a)
    if weights is not None:
        assert weights.shape == a.foreground.shape
        assert (weights[~a.foreground] == 1).all()
        assert weights.dtype == torch.float32


def test_terms_survive_a_batch_without_positives(term):
    a = assignment(foreground=0.0)
    loss = cross_entropy(a)
    classification = weights_of(term, a, loss)
    weighted = loss if classification is None else loss * classification
    boxes = term.box_weights(a)
    total = weighted.sum() + (0 if boxes is None else (boxes * a.foreground).sum())
    total.backward()
    assert a.logits.grad.isfinite().all()
    if not isinstance(term, SCALED_BY_THE_CALLER):
        torch.testing.assert_close(weighted.sum(), loss.sum())


def test_terms_do_not_depend_on_the_order_of_anchors(term):
    a = assignment()
    order = torch.randperm(50, generator=torch.Generator().manual_seed(4))
    fixed = ("objects", "present")
    b = replace(a, **{name: x[:, order] for name, x in tensors(a).items() if name not in fixed})
    other = copy.deepcopy(term)  # what a batch leaves behind must not meet the same batch again
    for ours, theirs in (
        (weights_of(term, a, cross_entropy(a)), weights_of(other, b, cross_entropy(b))),
        (term.box_weights(a), other.box_weights(b)),
    ):
        if ours is not None:
            ours, theirs = (x if x.ndim == 2 else x.expand_as(a.logits) for x in (ours, theirs))
            torch.testing.assert_close(ours[:, order], theirs)


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_terms_of_extreme_logits_are_finite(term, extreme):
    a = assignment()
    a.logits = torch.where(a.positive, -extreme, extreme).requires_grad_()
    loss = cross_entropy(a)
    classification, boxes = weights_of(term, a, loss), term.box_weights(a)
    total = sum(x.sum() for x in (loss if classification is None else classification * loss, boxes) if x is not None)
    total.backward()
    assert total.isfinite()
    assert a.logits.grad.isfinite().all()


def test_terms_never_look_at_values(term):
    """Tensors without values stand for a device that must not be waited for: reading one raises."""
    a = replace(assignment(), **{name: x.to("meta") for name, x in tensors(assignment()).items()})
    a.logits = term.adjusted(a.logits.detach().requires_grad_())
    weights, boxes = weights_of(term, a, cross_entropy(a)), term.box_weights(a)
    assert all(x is None or x.device.type == "meta" for x in (weights, boxes))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda term: pickle.loads(pickle.dumps(term))])
def test_a_copied_or_pickled_term_weighs_as_the_term_does(term, copied):
    a = assignment()
    loss = cross_entropy(a)
    for _ in range(2):  # before the first batch and after it
        again = copied(term)
        pairs = [(weights_of(t, a, loss), t.box_weights(a), t.adjusted(a.logits)) for t in (term, again)]
        for ours, theirs in zip(*pairs, strict=True):
            assert (ours is None and theirs is None) or torch.equal(ours, theirs)


def test_a_validation_leaves_the_state_of_a_term_alone(term):
    """A network's logits carry no gradient there; and the terms of a batch that is trained on remember it."""
    before = pickle.dumps(term)
    a = assignment()
    with torch.no_grad():
        a.logits = a.logits * 1.0
        weights_of(term, a, cross_entropy(a))
        a.logits = a.logits.requires_grad_()  # a leaf that would carry gradient elsewhere
        weights_of(term, a, cross_entropy(a))
    with torch.inference_mode():
        weights_of(term, a, cross_entropy(a))
    if not hasattr(term, "gradients"):
        assert pickle.dumps(term) == before
        return
    untouched = pickle.loads(before).gradients.state()
    assert term.gradients.state() == untouched
    weights_of(term, a, cross_entropy(a))
    assert term.gradients.state() != untouched


def carl(**options):
    return CARL(**{"k": 1.0, "bias": 0.2, "gain": None, "gradient": 1.0, "published": False, **options})


def test_carl_box_weight_is_one_plus_gain_times_v():
    a = assignment()
    weights = carl(gain=0.5, published=True).box_weights(a)
    torch.testing.assert_close(weights[a.foreground], 1 + 0.5 * carl_weights(a.scores[a.foreground]))
    assert weights[a.foreground].mean().item() == pytest.approx(1.5)


def test_carl_without_a_gain_preserves_the_sum_of_the_stock_box_weights():
    a = assignment()
    t = a.target_scores.sum(-1)
    torch.testing.assert_close((carl().box_weights(a) * t).sum(), t.sum())
    torch.testing.assert_close((carl(gain=0.5).box_weights(a) * t).sum(), 1.5 * t.sum())
    a.equal_boxes = True
    torch.testing.assert_close(carl().box_weights(a)[a.foreground].sum(), a.foreground.sum().float())


def test_a_share_of_carls_gradient_reaches_the_logits_and_leaves_its_weights():
    gradients = []
    for share in (1.0, 0.25, 0.0):
        a = assignment()
        weights = carl(gradient=share).box_weights(a)
        torch.testing.assert_close(weights, carl().box_weights(a))
        loss = (weights * a.target_scores.sum(-1) * torch.arange(50)).sum() + 0 * a.logits.sum()
        loss.backward()
        gradients.append(a.logits.grad)
    torch.testing.assert_close(gradients[1], 0.25 * gradients[0])
    assert gradients[0].abs().sum() > 0
    assert gradients[2].abs().sum() == 0


def test_carl_raises_the_scores_of_the_best_boxes_only_if_its_mean_is_weighted_as_the_losses_are():
    """Target scores t of a task-aligned head and losses 1 - IoU: t * loss is largest for well aligned boxes."""
    iou = torch.tensor([0.8, 0.5, 0.3, 0.2], dtype=torch.float64)
    t = torch.tensor([0.8, 0.3, 0.1, 0.05], dtype=torch.float64)
    for base, best_is_raised in ((t, True), (None, False)):
        score = torch.full((4,), 0.5, dtype=torch.float64, requires_grad=True)
        (carl_weights(score, base=base) * t * (1 - iou)).sum().backward()
        assert (score.grad[0] < 0) == best_is_raised
        assert (score.grad[-1] > 0) == best_is_raised


def test_isr_weighs_whole_rows_of_positives_only():
    a = assignment()
    weights = weights_of(ISRPositive(k=2.0, bias=0.0), a, cross_entropy(a))
    assert weights.shape == (2, 50, 1)
    assert (weights[~a.foreground] == 1).all()
    expected = isr_positive_weights(
        a.iou[a.foreground],
        a.gt[a.foreground],
        a.target_labels[a.foreground],
        cross_entropy(a).detach().sum(-1)[a.foreground],
    )
    torch.testing.assert_close(weights[..., 0][a.foreground], expected)


def test_aligned_iou_agrees_with_the_boxes_by_hand():
    a = assignment()
    a.boxes, a.target_boxes = (
        torch.tensor([[[0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 0, 0.0]]]),
        torch.tensor([[[1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 1, 1.0]]]),
    )
    a.foreground = torch.tensor([[True, True, True]])
    torch.testing.assert_close(a.iou, torch.tensor([[1 / 3, 0, 0]]))
