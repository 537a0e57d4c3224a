"""Laws of Equalization Loss v2, and its paper restated slowly."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of

from yolo_balance.losses.eqlv2 import EQLv2, eqlv2_weights
from yolo_balance.losses.gradient_ratio import DECAY, GradientRatio


def restated(g, alpha, gamma, mu):
    """Tan et al. (2021), section 3: q and r of one class."""
    f = 1 / (1 + math.exp(-gamma * (g - mu)))
    return 1 + alpha * (1 - f), f


@pytest.mark.parametrize(("alpha", "gamma", "mu"), [(4.0, 12.0, 0.8), (2.0, 5.0, 0.3)])
def test_weights_agree_with_the_paper_restated(alpha, gamma, mu):
    ratio = torch.tensor([0.0, 0.1, 0.8, 0.8, 1.0, 3.0], dtype=torch.float64)
    q, r = eqlv2_weights(ratio, alpha=alpha, gamma=gamma, mu=mu)
    expected = torch.tensor([restated(g, alpha, gamma, mu) for g in ratio.tolist()], dtype=torch.float64)
    torch.testing.assert_close(torch.stack([q, r], 1), expected)


def test_a_class_out_of_balance_gains_positives_and_loses_negatives():
    q, r = eqlv2_weights(torch.tensor([0.0, 0.5, 1e30]))
    assert q[0].item() == pytest.approx(5, rel=1e-3)
    assert r[0] < 1e-4
    assert (q.diff() < 0).all()
    assert (r.diff() > 0).all()
    assert (q[2], r[2]) == (1, 1)


def test_without_alpha_positives_weigh_one():
    assert (eqlv2_weights(torch.rand(7), alpha=0.0)[0] == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_whole(dtype):
    q, r = eqlv2_weights(torch.tensor([0.0, 6e4]).to(dtype))
    assert q.dtype == r.dtype == torch.float32
    assert q.isfinite().all()
    assert r.isfinite().all()


def steps(term, batches):
    return [weights_of(term, a, cross_entropy(a)) for a in batches]


def test_a_run_restated_batch_by_batch():
    """Weights from the ratio so far; gradients summed with q and r in force and before the preserving factor."""
    batches = [assignment(images=3, seed=s) for s in range(3)]
    ours = steps(EQLv2(GradientRatio(3), alpha=3.0, gamma=6.0, mu=0.4, room=None), batches)
    sums = [[0.0, 0.0] for _ in range(3)]
    for a, weights in zip(batches, ours, strict=True):
        best = max((p / n for p, n in sums if n), default=0)
        factors = [restated(p / n / best if best else 1, 3.0, 6.0, 0.4) for p, n in sums]
        q, r = torch.tensor(factors).T
        raw = torch.where(a.positive, q, r)
        loss = cross_entropy(a).detach()
        torch.testing.assert_close(weights, raw * (loss.sum() / (raw * loss).sum()))
        gradient = raw * (a.logits.detach().sigmoid() - a.target_scores).abs()
        for c in range(3):
            for i, part in enumerate((a.positive, ~a.positive)):
                sums[c][i] = DECAY * sums[c][i] + gradient[..., c][part[..., c]].sum().item()


def test_weights_carry_no_gradient_and_see_no_later_batch():
    a = assignment()
    gradients = GradientRatio(3)
    term = EQLv2(gradients, alpha=4.0, gamma=12.0, mu=0.8, room=None)
    (weights,) = steps(term, [a])
    assert not weights.requires_grad
    assert gradients.state() != GradientRatio(3).state()
    raw = torch.where(a.positive, *eqlv2_weights(torch.ones(3)))  # as if in balance: all classes alike
    loss = cross_entropy(a).detach()
    torch.testing.assert_close(weights, raw * loss.sum() / (raw * loss).sum())


def test_room_caps_the_weight_of_positives():
    gradients = GradientRatio(4)
    gradients.restore({"positive": [1.0] * 4, "negative": [1e6, 1e6, 1e6, 1.0]})
    a = assignment(classes=4)
    term = EQLv2(gradients, alpha=4.0, gamma=12.0, mu=0.8, room=[1.0, 2.0, 100.0, 100.0])
    weights = weights_of(term, a, cross_entropy(a))
    q = [weights[..., c][a.positive[..., c]].mean().item() for c in range(3)]
    assert q[1] / q[0] == pytest.approx(2)
    assert q[2] / q[0] == pytest.approx(5, rel=1e-3)


@pytest.mark.parametrize(("gamma", "mu"), [(150.0, 0.8), (1e4, 1.0)])
def test_the_steepest_map_gives_finite_weights(gamma, mu):
    gradients = GradientRatio(3)
    gradients.restore({"positive": [0.0, 1.0, 9.0], "negative": [9.0, 9.0, 9.0]})
    a = assignment()
    weights = weights_of(EQLv2(gradients, alpha=4.0, gamma=gamma, mu=mu, room=None), a, cross_entropy(a))
    assert weights.isfinite().all()
    assert (weights >= 0).all()


def test_room_for_all_changes_nothing():
    a = assignment()
    (free,) = steps(EQLv2(GradientRatio(3), alpha=4.0, gamma=12.0, mu=0.8, room=None), [a])
    (capped,) = steps(EQLv2(GradientRatio(3), alpha=4.0, gamma=12.0, mu=0.8, room=[5.0] * 3), [a])
    assert torch.equal(free, capped)


def test_a_class_that_is_starved_gets_relatively_more_than_one_in_balance():
    gradients = GradientRatio(3)
    gradients.restore({"positive": [9.0, 9.0, 0.1], "negative": [9.0, 9.0, 9.0]})
    a = assignment()
    weights = weights_of(EQLv2(gradients, alpha=4.0, gamma=12.0, mu=0.8, room=None), a, cross_entropy(a))
    assert weights[a.positive & (torch.arange(3) == 2)].min() > 3 * weights[a.positive & (torch.arange(3) == 0)].max()
