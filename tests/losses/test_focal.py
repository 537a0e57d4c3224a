"""Laws of the classic focal loss, and its paper restated slowly; the quality form's are beside the suite of terms."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of

from yolo_balance.losses.focal import ClassicFocal, focal, power


def restated(logit, target, gamma, alpha):
    """Lin et al. (2017), equations 1 to 5, for one score."""
    p = 1 / (1 + math.exp(-logit))
    p_t = p if target > 0 else 1 - p
    alpha_t = 1 if alpha is None else alpha if target > 0 else 1 - alpha
    return -alpha_t * (1 - p_t) ** gamma * math.log(p_t)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
def test_focal_agrees_with_the_paper_restated(gamma, alpha):
    g = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(5, 8, generator=g, dtype=torch.float64)
    target = torch.rand(5, 8, generator=g, dtype=torch.float64) * (torch.rand(5, 8, generator=g) < 0.4)
    expected = [
        [restated(x, y, gamma, alpha) for x, y in zip(*row, strict=True)]
        for row in zip(logits.tolist(), target.tolist(), strict=True)
    ]
    ours = focal(logits, target, gamma=gamma, alpha=alpha)
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_agrees_with_finite_differences(gamma):
    logits = torch.linspace(-6, 6, 24, dtype=torch.float64, requires_grad=True)
    target = torch.arange(24) % 2
    assert torch.autograd.gradcheck(lambda x: focal(x, target, gamma=gamma), logits)


def test_without_gamma_and_alpha_focal_is_cross_entropy():
    logits, target = torch.linspace(-30, 30, 50), torch.arange(50) % 2
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, target.float(), reduction="none")
    torch.testing.assert_close(focal(logits, target, gamma=0.0, alpha=None), expected)


def test_targets_are_hard():
    logits = torch.randn(9)
    assert torch.equal(focal(logits, torch.full((9,), 0.01)), focal(logits, torch.ones(9)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_of_extreme_logits_is_finite(dtype, gamma):
    logits = torch.tensor([-1e4, -103.0, -90.0, 0.0, 90.0, 103.0, 1e4]).to(dtype).requires_grad_()
    for target in (0.0, 1.0):
        loss = focal(logits, torch.full((7,), target), gamma=gamma)
        loss.sum().backward()
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
        assert logits.grad.isfinite().all()


def test_focal_of_nothing():
    assert focal(torch.zeros(0, 3), torch.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, None)])
def test_the_term_weighs_as_the_paper_and_preserves_the_sum(gamma, alpha):
    a = assignment(images=3)
    loss = cross_entropy(a)
    weights = weights_of(ClassicFocal(gamma=gamma, alpha=alpha), a, loss)
    assert weights.requires_grad
    hard = torch.nn.functional.binary_cross_entropy_with_logits(a.logits, a.positive.float(), reduction="none")
    modulation = focal(a.logits, a.positive, gamma=gamma, alpha=alpha) / hard
    torch.testing.assert_close(weights, modulation * (loss.sum() / (modulation * loss).sum()), rtol=1e-4, atol=1e-5)


def test_a_neutral_term_weighs_exactly_one():
    a = assignment()
    assert (weights_of(ClassicFocal(gamma=0.0, alpha=None), a, cross_entropy(a)) == 1).all()
    assert (weights_of(ClassicFocal(gamma=0.0, alpha=0.5), a, cross_entropy(a)) == 1).all()


def test_a_positive_without_any_target_score_is_still_one():
    a = assignment()
    a.target_scores = torch.zeros_like(a.target_scores)
    weights = weights_of(ClassicFocal(gamma=0.0, alpha=0.25), a, cross_entropy(a)).detach()
    ratio = weights[a.positive].mean() / weights[~a.positive].mean()
    assert ratio.item() == pytest.approx(0.25 / 0.75)


@pytest.mark.parametrize("exponent", [0.01, 0.5, 1.0, 3.0, torch.tensor(0.01)])
def test_powers_have_a_finite_gradient_down_to_zero(exponent):
    x = torch.tensor([0.0, 1e-45, 1e-38, 1e-20, 1.0], requires_grad=True)
    power(x, exponent).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad[0] == 0


def test_power_zero_is_one():
    assert (power(torch.tensor([0.0, 0.5, 1.0]), 0.0) == 1).all()
