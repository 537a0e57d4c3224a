"""Laws of the cap on the hardest entries."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of

from yolo_balance.losses.ohem import HardNegatives
from yolo_balance.losses.trim import Trim, capping_weights


def restated(loss, mask, share):
    """The m largest are brought down to the next one."""
    samples = sorted((x for x, m in zip(loss, mask, strict=True) if m), reverse=True)
    if len(samples) < 2:
        return [1.0] * len(loss)
    q = samples[min(math.ceil(share * len(samples)), len(samples) - 1)]
    return [min(1.0, q / x) if m else 1.0 for x, m in zip(loss, mask, strict=True)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("n", [1, 2, 7, 200])
def test_the_cap_agrees_with_its_restatement(share, n):
    g = torch.Generator().manual_seed(n)
    loss, mask = torch.rand(n, generator=g, dtype=torch.float64) + 0.01, torch.rand(n, generator=g) < 0.7
    weights = capping_weights(loss, mask, share=share)
    torch.testing.assert_close(weights, torch.tensor(restated(loss.tolist(), mask.tolist(), share)).double())


def test_nothing_is_capped_at_share_zero_and_among_equals():
    loss, mask = torch.rand(20), torch.ones(20, dtype=torch.bool)
    assert (capping_weights(loss, mask, share=0.0) == 1).all()
    assert (capping_weights(torch.ones(20), mask, share=0.3) == 1).all()
    assert capping_weights(torch.zeros(0), mask[:0], share=0.3).shape == (0,)
    assert (capping_weights(loss, ~mask, share=0.3) == 1).all()


def test_an_object_of_the_wrong_class_loses_its_lead_and_keeps_a_gradient():
    a = assignment(images=4)
    a.target_scores = 0.8 * a.positive
    a.logits = torch.where(a.positive, 1.4, -5.0).requires_grad_()
    wrong = a.foreground.nonzero()[0]
    with torch.no_grad():
        a.logits[wrong[0], wrong[1]] = torch.tensor([-9.0, -9.0, -9.0])
    loss = cross_entropy(a)
    by_anchor = loss.detach().sum(-1)
    weights = weights_of(Trim(share=0.01), a, loss).squeeze(-1)
    assert 0 < weights[wrong[0], wrong[1]] < 0.7
    others = torch.ones_like(a.foreground)
    others[wrong[0], wrong[1]] = False
    assert (weights[others & a.foreground] == 1).all()
    assert (weights * by_anchor)[a.foreground].max() == pytest.approx(by_anchor[others & a.foreground].max().item())


def test_hard_negatives_keep_their_number_and_the_first_of_them_its_place():
    a = assignment(images=4)
    a.logits = (a.logits.detach() - 3).requires_grad_()
    loss = cross_entropy(a)
    read = weights_of(HardNegatives(ratio=1.0), a, loss) * loss.detach()
    trimmed = weights_of(Trim(share=0.2), a, read)
    assert ((trimmed > 0) == torch.ones_like(trimmed, dtype=torch.bool)).all()
    assert (trimmed < 1).any()
