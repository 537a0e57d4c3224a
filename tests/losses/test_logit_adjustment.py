"""Laws of logit adjustment, and its paper restated slowly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of

from yolo_balance.losses.logit_adjustment import LogitAdjustment, logit_offsets


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("counts", [[800, 150, 15], [7, 7, 7], [5, 0, 1], [3], [10**7, 1]])
def test_offsets_agree_with_the_paper_restated(counts, tau):
    smallest = min(n for n in counts if n)
    prior = [(n or smallest) / sum(counts) for n in counts]
    expected = [tau * (math.log(p) - math.log(max(prior))) for p in prior]
    offsets = logit_offsets(np.array(counts), tau=tau)
    np.testing.assert_allclose(offsets, expected, atol=1e-12)
    assert offsets.dtype == np.float64
    assert offsets.max() == 0


def test_neutral_offsets_are_zero():
    with np.errstate(all="raise"):
        for counts, tau in (([800, 15, 0], 0.0), ([0, 0], 1.0), ([], 1.0), ([4, 4], 1.0)):
            assert logit_offsets(np.array(counts, np.int64), tau=tau).tolist() == [0] * len(counts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_offsets_are_added_by_class_in_the_logits_dtype(dtype):
    logits = assignment(images=3, dtype=dtype).logits
    adjusted = LogitAdjustment([0.0, -1.0, -4.5]).adjusted(logits)
    assert adjusted.dtype == dtype
    for c, offset in enumerate([0.0, -1.0, -4.5]):
        assert torch.equal(adjusted[..., c], logits[..., c] + offset)
    adjusted.sum().backward()
    assert (logits.grad == 1).all()


def test_zero_offsets_change_no_bit():
    logits = torch.cat([torch.randn(99), torch.tensor([0.0, -0.0, 1e-45])]).view(1, -1, 3)
    term = LogitAdjustment(logit_offsets(np.array([5, 3, 0]), tau=0.0))
    assert torch.equal(term.adjusted(logits).view(torch.int32), logits.view(torch.int32))


def test_it_has_no_part_in_weights():
    a = assignment()
    term = LogitAdjustment([0.0, -1.0, -4.0])
    assert weights_of(term, a, cross_entropy(a)) is None
    assert term.box_weights(a) is None


def test_a_sigmoids_plain_logit_ends_up_higher_by_the_offset():
    """A class seen in a tenth of all entries, one free bias each: descent ends where the adjusted score is a tenth."""
    target = (torch.arange(100) % 10 == 0).float().view(1, 100, 1).expand(1, 100, 2)
    bias = torch.zeros(2, requires_grad=True)
    term = LogitAdjustment([0.0, -2.0])
    optimiser = torch.optim.LBFGS([bias], max_iter=50, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        logits = term.adjusted(bias.expand(1, 100, 2))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert bias.detach().diff().item() == pytest.approx(2, abs=1e-2)
    assert bias.detach().sigmoid()[0].item() == pytest.approx(0.1, abs=1e-3)
