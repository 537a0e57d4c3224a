"""Laws of the equalised focal loss, and its paper restated slowly."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of

from yolo_balance.losses import quality_focal
from yolo_balance.losses.efl import EqualizedFocal, equalized_focal, equalized_focal_gradient, focusing_factors
from yolo_balance.losses.focal import QualityFocal
from yolo_balance.losses.gradient_ratio import DECAY, GradientRatio


def restated(logit, y, g, gamma_b, scale):
    """Li et al. (2022), equations 2 to 4 without alpha_t, for one score at a hard target."""
    p = 1 / (1 + math.exp(-logit))
    p_t = p if y else 1 - p
    gamma_v = scale * (1 - min(max(g, 0), 1))
    return -(gamma_b + gamma_v) / gamma_b * (1 - p_t) ** (gamma_b + gamma_v) * math.log(p_t)


def some(rows=6, classes=4, *, seed=0, hard=False):
    g = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(rows, classes, generator=g, dtype=torch.float64)
    target = torch.rand(rows, classes, generator=g, dtype=torch.float64) * (
        torch.rand(rows, classes, generator=g) < 0.5
    )
    return logits.requires_grad_(), (target > 0).double() if hard else target


RATIO = torch.tensor([0.0, 0.3, 0.9, 7.0], dtype=torch.float64)


@pytest.mark.parametrize(("gamma", "scale"), [(2.0, 8.0), (1.5, 4.0), (0.5, 0.2)])
def test_at_hard_targets_the_loss_is_the_papers(gamma, scale):
    logits, target = some(hard=True)
    expected = [
        [restated(logits[i, c].item(), target[i, c] > 0, RATIO[c].item(), gamma, scale) for c in range(4)]
        for i in range(6)
    ]
    ours = equalized_focal(logits, target, focusing_factors(RATIO, gamma=gamma, scale=scale), gamma=gamma)
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64))


def test_at_soft_targets_each_class_is_quality_focal_of_its_own_exponent():
    logits, target = some()
    gamma_c = focusing_factors(RATIO)
    columns = [quality_focal(logits[:, c], target[:, c], beta=gamma_c[c].item()) * gamma_c[c] / 2 for c in range(4)]
    torch.testing.assert_close(equalized_focal(logits, target, gamma_c), torch.stack(columns, 1))


def test_exponents_run_from_gamma_plus_scale_to_gamma():
    torch.testing.assert_close(focusing_factors(RATIO), torch.tensor([10, 7.6, 2.8, 2], dtype=torch.float64))
    assert (focusing_factors(RATIO, scale=0.0) == 2).all()
    assert not focusing_factors(RATIO.clone().requires_grad_()).requires_grad
    assert focusing_factors(RATIO.half()).dtype == torch.float32


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_gradient_agrees_with_finite_differences_and_with_the_closed_form(gamma):
    logits, target = some()
    gamma_c = focusing_factors(RATIO, gamma=gamma, scale=3.0)
    assert torch.autograd.gradcheck(lambda x: equalized_focal(x, target, gamma_c, gamma=gamma), logits)
    (gradient,) = torch.autograd.grad(equalized_focal(logits, target, gamma_c, gamma=gamma).sum(), logits)
    torch.testing.assert_close(equalized_focal_gradient(logits, target, gamma_c, gamma=gamma), gradient.abs())


def test_exponents_are_detached():
    logits, target = some()
    gamma_c = focusing_factors(RATIO).requires_grad_()
    equalized_focal(logits, target, gamma_c).sum().backward()
    assert gamma_c.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_extreme_logits_are_finite(dtype, gamma):
    logits = torch.tensor([[-1e4, -103.0, -90.0, 0.0, 90.0, 1e4]]).to(dtype).requires_grad_()
    gamma_c = focusing_factors(torch.linspace(0, 1, 6), gamma=gamma)
    for target in (0.0, 0.5, 1.0):
        loss = equalized_focal(logits, torch.full((1, 6), target), gamma_c, gamma=gamma)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert logits.grad.isfinite().all()
        assert equalized_focal_gradient(logits, torch.full((1, 6), target), gamma_c, gamma=gamma).isfinite().all()


def test_a_perfect_score_costs_nothing():
    logits = torch.tensor([[0.3]], requires_grad=True)
    target = logits.detach().sigmoid()
    for gamma in (0.5, 2.0):
        gamma_c = torch.tensor([gamma])
        loss = equalized_focal(logits, target, gamma_c, gamma=gamma)
        loss.sum().backward()
        assert loss.item() == 0
        assert logits.grad.isfinite().all()
        assert equalized_focal_gradient(logits, target, gamma_c, gamma=gamma).item() == 0


def test_nothing():
    empty = torch.zeros(0, 3)
    assert equalized_focal(empty, empty, torch.full((3,), 2.0)).shape == (0, 3)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_in_balance_it_is_quality_focal(gamma):
    """Before the first batch, and with scale 0 in every batch."""
    a, b = assignment(), assignment(seed=1)
    term, flat = (EqualizedFocal(GradientRatio(3), gamma=gamma, scale=scale) for scale in (8.0, 0.0))
    expected = weights_of(QualityFocal(beta=gamma), a, cross_entropy(a))
    torch.testing.assert_close(weights_of(term, a, cross_entropy(a)), expected)
    torch.testing.assert_close(weights_of(flat, a, cross_entropy(a)), expected)
    expected = weights_of(QualityFocal(beta=gamma), b, cross_entropy(b))
    torch.testing.assert_close(weights_of(flat, b, cross_entropy(b)), expected)
    assert not torch.allclose(weights_of(term, b, cross_entropy(b)), expected, rtol=0.01)


def test_a_run_restated_batch_by_batch():
    """Weights from the ratio so far; gradients, by autograd, of the loss before the preserving factor."""
    term = EqualizedFocal(GradientRatio(3), gamma=1.5, scale=4.0)
    sums = torch.zeros(2, 3, dtype=torch.float64)
    for seed in range(3):
        a = assignment(images=3, seed=seed)
        weights = weights_of(term, a, cross_entropy(a))
        ratio = torch.ones(3) if seed == 0 else sums[0] / sums[1] / (sums[0] / sums[1]).max()
        gamma_c = 1.5 + 4.0 * (1 - ratio)
        logits = a.logits.detach().double().requires_grad_()
        bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, a.target_scores.double(), reduction="none")
        raw = gamma_c / 1.5 * (a.target_scores - logits.sigmoid()).abs() ** gamma_c
        expected = raw * (bce.sum() / (raw * bce).sum())
        torch.testing.assert_close(weights, expected.float(), rtol=1e-4, atol=1e-5)
        gradient = torch.autograd.grad((raw * bce).sum(), logits)[0].abs()
        batch = torch.stack([(gradient * a.positive).sum((0, 1)), (gradient * ~a.positive).sum((0, 1))])
        sums = DECAY * sums + batch
    torch.testing.assert_close(term.gradients.sums, sums.float(), rtol=1e-4, atol=1e-5)


def test_the_modulation_carries_gradient_and_the_preserving_factor_does_not():
    a = assignment()
    loss = cross_entropy(a)
    weights = weights_of(EqualizedFocal(GradientRatio(3), gamma=2.0, scale=8.0), a, loss)
    (ours,) = torch.autograd.grad((weights * loss).sum(), a.logits)
    (plain,) = torch.autograd.grad(quality_focal(a.logits, a.target_scores).sum(), a.logits)
    ratio = ours / plain
    torch.testing.assert_close(ratio, ratio.median().expand_as(ratio), rtol=1e-3, atol=0)
