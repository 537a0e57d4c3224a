"""Laws of image classification's cross-entropy with its parts, and their papers restated slowly."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from yolo_balance.losses.cross_entropy import balanced_cross_entropy


def batch(n=12, classes=4, *, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=g, dtype=torch.float64)
    return logits.to(dtype).requires_grad_(), torch.randint(classes, (n,), generator=g)


WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.25], dtype=torch.float64)
OFFSETS = torch.tensor([0.0, -1.0, -3.0, -0.5], dtype=torch.float64)


def restated(logits, target, class_weights=None, gamma=None, offsets=None):
    """One sample at a time."""
    losses, factors = [], []
    for row, t in zip(logits.tolist(), target.tolist(), strict=True):
        z = [x + (0 if offsets is None else offsets[c].item()) for c, x in enumerate(row)]
        p = math.exp(z[t]) / sum(math.exp(x) for x in z)
        losses.append(-math.log(p))
        factors.append(1 if gamma is None else (1 - p) ** gamma)
    ratio = sum(losses) / sum(m * ce for m, ce in zip(factors, losses, strict=True))
    weights = [1 if class_weights is None else class_weights[t].item() for t in target.tolist()]
    return sum(w * m * ratio * ce for w, m, ce in zip(weights, factors, losses, strict=True)) / len(losses)


PARTS = {
    "none": {},
    "weights": {"class_weights": WEIGHTS},
    "focal": {"gamma": 2.0},
    "focal-below-one": {"gamma": 0.5},
    "offsets": {"offsets": OFFSETS},
    "all": {"class_weights": WEIGHTS, "gamma": 1.0, "offsets": OFFSETS},
}


@pytest.fixture(params=PARTS)
def parts(request):
    return PARTS[request.param]


@pytest.mark.parametrize("n", [1, 2, 12])
def test_the_loss_agrees_with_the_papers_restated(parts, n):
    logits, target = batch(n)
    expected = restated(logits.detach(), target, **parts)
    assert balanced_cross_entropy(logits, target, **parts).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_without_any_part_it_is_ultralytics_loss_bit_by_bit(dtype):
    for seed in range(20):
        logits, target = batch(33, seed=seed, dtype=dtype)
        ours, theirs = balanced_cross_entropy(logits, target), F.cross_entropy(logits, target, reduction="mean")
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
        gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)]
        assert torch.equal(*gradients)


@pytest.mark.parametrize(
    "neutral",
    [{"gamma": 0.0}, {"class_weights": torch.ones(4)}, {"offsets": torch.zeros(4)}, {"offsets": OFFSETS * 0 + 3}],
)
def test_neutral_parts_change_nothing(neutral):
    logits, target = batch()
    ours, theirs = balanced_cross_entropy(logits, target, **neutral), F.cross_entropy(logits, target)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))


def test_the_focal_part_keeps_the_batchs_loss_and_moves_it_to_hard_samples():
    logits, target = batch()
    plain, ours = F.cross_entropy(logits, target), balanced_cross_entropy(logits, target, gamma=2.0)
    torch.testing.assert_close(ours, plain)
    hard = F.cross_entropy(logits, target, reduction="none").argmax()
    shares = [torch.autograd.grad(loss, logits)[0].abs().sum(1) for loss in (plain, ours)]
    assert shares[1][hard] / shares[1].sum() > shares[0][hard] / shares[0].sum()


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_gradient_is_the_papers_times_a_constant(gamma):
    """The modulation carries gradient, the factor that preserves the sum does not."""
    logits, target = batch()
    ours = balanced_cross_entropy(logits, target, gamma=gamma, class_weights=WEIGHTS, offsets=OFFSETS)
    ce = F.cross_entropy(logits + OFFSETS, target, reduction="none")
    modulated = (1 - (-ce).exp()) ** gamma * ce
    ratio = (ce.sum() / modulated.sum()).item()
    expected = (WEIGHTS[target] * ratio * modulated).mean()
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients)
    assert torch.autograd.gradcheck(
        lambda x: balanced_cross_entropy(x, target, class_weights=WEIGHTS, offsets=OFFSETS), logits
    )


def test_class_weights_scale_a_batch_of_one_class():
    """The mean is over samples: torch's weighted mean would give the same loss whatever the weight."""
    logits, _ = batch()
    target = torch.full((12,), 2)
    ours = balanced_cross_entropy(logits, target, class_weights=WEIGHTS)
    torch.testing.assert_close(ours, 2 * F.cross_entropy(logits, target))


def test_only_differences_of_offsets_matter():
    logits, target = batch()
    torch.testing.assert_close(
        balanced_cross_entropy(logits, target, offsets=OFFSETS),
        balanced_cross_entropy(logits, target, offsets=OFFSETS + 7),
    )


def test_the_order_of_samples_does_not_matter(parts):
    logits, target = batch()
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        balanced_cross_entropy(logits, target, **parts), balanced_cross_entropy(logits[order], target[order], **parts)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("parts", [name for name in PARTS if name != "none"], indirect=True)
def test_extreme_logits_are_finite(parts, dtype, sign):
    _, target = batch()
    logits = (sign * 1e4 * F.one_hot(target, 4)).to(dtype).requires_grad_()
    parts = {k: v.float() if isinstance(v, torch.Tensor) else v for k, v in parts.items()}
    loss = balanced_cross_entropy(logits, target, **parts)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert loss.dtype == torch.float32


def test_values_are_never_looked_at(parts):
    """Tensors without values stand for a device that must not be waited for: reading one raises."""
    logits, target = batch()
    parts = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in parts.items()}
    assert balanced_cross_entropy(logits.to("meta"), target.to("meta"), **parts).shape == ()
