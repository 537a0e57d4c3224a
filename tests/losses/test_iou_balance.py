"""IoU-balanced negatives: the published sampler enumerated on small input, and the laws of every draw."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, tensors, weights_of, without_positives

from yolo_balance.losses import iou_balanced_negatives, negatives
from yolo_balance.losses.iou_balance import IoUBalancedNegatives, iou_balanced_weights


@pytest.fixture(autouse=True)
def _images_of_few_anchors(monkeypatch):
    monkeypatch.setattr(negatives, "FEWEST", 1)


def in_bins(max_iou, bins):
    """Positions in each of K equal bins over [0, highest]."""
    highest = max(max_iou)
    members = [[] for _ in range(bins)]
    for i, iou in enumerate(max_iou):
        members[min(int(iou / highest * bins), bins - 1) if highest > 0 else 0].append(i)
    return members


def enumerated(max_iou, num, bins):
    """Libra R-CNN's sampler: every outcome, a frozenset, and its exact probability."""
    num = min(num, len(max_iou))
    members = in_bins(max_iou, bins)
    by_bin = [list(combinations(m, min(len(m), num // bins))) for m in members]
    outcomes: dict[frozenset[int], Fraction] = {}
    for choice in product(*by_bin):
        given = frozenset(i for part in choice for i in part)
        rest = [i for i in range(len(max_iou)) if i not in given]
        fills = list(combinations(rest, num - len(given)))
        for fill in fills:
            outcome = given | set(fill)
            chance = Fraction(1, len(fills))
            for options in by_bin:
                chance /= len(options)
            outcomes[outcome] = outcomes.get(outcome, Fraction(0)) + chance
    return outcomes


def drawn_slowly(max_iou, num, bins, rng):
    """One draw of the same sampler, for input too large to enumerate."""
    num = min(num, len(max_iou))
    taken = []
    for members in in_bins(max_iou, bins):
        taken += rng.sample(members, min(len(members), num // bins))
    rest = [i for i in range(len(max_iou)) if i not in taken]
    return taken + rng.sample(rest, num - len(taken))


SMALL = [
    ([0.0, 0.05, 0.1, 0.2, 0.5, 0.9], 4, 3),  # a bin that is short
    ([0.0, 0.0, 0.0, 0.4, 0.7, 0.7, 0.9], 5, 3),  # ties, and a remainder
    ([0.0] * 5, 3, 3),  # no overlap at all
    ([0.3, 0.1, 0.2, 0.6], 2, 1),  # one bin: a plain draw
    ([0.1, 0.2, 0.8], 2, 5),  # more bins than asked for
    ([0.1, 0.2, 0.8], 3, 2),
    ([0.1, 0.2, 0.8], 9, 2),
    ([0.1, 0.2, 0.8], 0, 2),
    ([0.4], 1, 3),
]


@pytest.mark.parametrize(("max_iou", "num", "bins"), SMALL)
def test_draws_are_distributed_as_the_published_sampler(max_iou, num, bins):
    draws = 20_000
    rows = torch.tensor(max_iou).expand(draws, -1)
    masks = iou_balanced_negatives(rows, num, bins=bins, generator=torch.Generator().manual_seed(0))
    outcomes = enumerated(max_iou, num, bins)
    code = (masks * 2 ** torch.arange(len(max_iou))).sum(-1)
    assert set(code.tolist()) <= {sum(2**i for i in outcome) for outcome in outcomes}
    for outcome, chance in outcomes.items():
        share = (code == sum(2**i for i in outcome)).double().mean().item()
        assert share == pytest.approx(float(chance), abs=5 * (float(chance * (1 - chance)) / draws) ** 0.5 + 1e-9)


@pytest.mark.parametrize(("max_iou", "num", "bins"), SMALL)
def test_weights_are_the_expected_mask_exactly(max_iou, num, bins):
    outcomes = enumerated(max_iou, num, bins)
    expected = [float(sum(chance for taken, chance in outcomes.items() if i in taken)) for i in range(len(max_iou))]
    assert iou_balanced_weights(torch.tensor(max_iou), num, bins=bins).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("num", "bins"), [(7, 3), (30, 3), (45, 4), (58, 2)])
def test_weights_are_the_mean_of_many_masks(num, bins):
    g = torch.Generator().manual_seed(num)
    max_iou = torch.rand(60, generator=g, dtype=torch.float64) ** 3  # few of high overlap
    masks = iou_balanced_negatives(max_iou.expand(4000, -1), num, bins=bins, generator=g)
    weights = iou_balanced_weights(max_iou, num, bins=bins)
    assert (masks.double().mean(0) - weights).abs().max() < 0.045  # over 5 standard errors of the worst entry
    rng, slow = random.Random(num), torch.zeros(60, dtype=torch.float64)
    for _ in range(4000):
        slow[drawn_slowly(max_iou.tolist(), num, bins, rng)] += 1 / 4000
    assert (slow - weights).abs().max() < 0.045


@pytest.mark.parametrize("num", [0, 1, 10, 59, 60, 61])
def test_exactly_as_many_are_taken_as_asked_for_or_all(num):
    g = torch.Generator().manual_seed(num)
    max_iou = torch.rand(60, generator=g)
    for count in (num, torch.tensor(num)):
        assert iou_balanced_negatives(max_iou, count, generator=g).sum() == min(num, 60)
        assert iou_balanced_weights(max_iou, count).sum().item() == pytest.approx(min(num, 60), rel=1e-6)


def test_every_bin_gives_its_share_or_all_it_has():
    max_iou = torch.rand(3000, generator=torch.Generator().manual_seed(0)) ** 4
    taken = iou_balanced_negatives(max_iou, 301, bins=7)
    for members in in_bins(max_iou.tolist(), 7):
        assert taken[members].sum() >= min(len(members), 301 // 7)


def test_a_mask_selects_what_indexing_would():
    g = torch.Generator().manual_seed(1)
    max_iou, mask = torch.rand(40, generator=g), torch.rand(40, generator=g) < 0.5
    max_iou[~mask] += 1  # what may not be taken does not stretch the bins
    dense = iou_balanced_weights(max_iou, 11, mask=mask)
    torch.testing.assert_close(dense[mask], iou_balanced_weights(max_iou[mask], 11))
    assert (dense[~mask] == 0).all()
    drawn = iou_balanced_negatives(max_iou.expand(4000, -1), 11, generator=g, mask=mask.expand(4000, -1))
    assert (drawn.sum(-1) == 11).all()
    assert not drawn[:, ~mask].any()
    assert (drawn.float().mean(0) - dense).abs().max() < 0.045
    assert torch.equal(iou_balanced_negatives(max_iou, 99, mask=mask), mask)


def test_each_row_takes_its_own_number_from_bins_of_its_own():
    g = torch.Generator().manual_seed(2)
    max_iou, mask = torch.rand(3, 30, generator=g) * torch.tensor([[0.1], [1.0], [0.0]]), torch.rand(3, 30) < 0.7
    num = torch.tensor([[3], [12], [8]])
    weights = iou_balanced_weights(max_iou, num, mask=mask)
    drawn = iou_balanced_negatives(max_iou.repeat(1, 1), num, mask=mask)
    for row, count in enumerate((3, 12, 8)):
        torch.testing.assert_close(weights[row], iou_balanced_weights(max_iou[row], count, mask=mask[row]))
        assert drawn[row].sum() == count
        assert not drawn[row, ~mask[row]].any()


def test_nothing_to_take():
    empty = torch.zeros(0)
    assert iou_balanced_negatives(empty, 3).shape == iou_balanced_weights(empty, 3).shape == (0,)
    none = torch.zeros(5, dtype=torch.bool)
    assert not iou_balanced_negatives(torch.rand(5), 3, mask=none).any()
    assert (iou_balanced_weights(torch.rand(5), 3, mask=none) == 0).all()


def test_a_generator_decides_the_draw_and_leaves_the_global_one_alone():
    max_iou = torch.rand(200, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    one, same, other = (
        iou_balanced_negatives(max_iou, 50, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    max_iou = torch.rand(50, generator=torch.Generator().manual_seed(0)).to(dtype)
    weights = iou_balanced_weights(max_iou, 20)
    assert weights.dtype == torch.float32
    assert torch.equal(weights, iou_balanced_weights(max_iou.float(), 20))
    assert iou_balanced_negatives(max_iou, 20).sum() == 20


def test_the_weights_do_not_depend_on_the_order_of_samples():
    g = torch.Generator().manual_seed(0)
    max_iou, order = torch.rand(50, generator=g), torch.randperm(50, generator=g)
    assert torch.equal(iou_balanced_weights(max_iou, 20)[order], iou_balanced_weights(max_iou[order], 20))


# -- the term ----------------------------------------------------------------------------------------------------------


def batch(**options):
    a = without_positives(assignment(images=4, foreground=0.15, **options), 1)
    a.present[2, 1:] = False
    a.present[1] = False
    return a


def numbers(a, ratio):
    positives = a.foreground.sum(-1).tolist()
    mean = sum(positives) / len(positives)
    return [max(round(ratio * (p or mean)), 1) for p in positives]


def test_the_expectation_agrees_with_its_restatement_image_by_image():
    a = batch()
    loss = cross_entropy(a)
    own = loss.detach().sum(-1)
    chance = torch.zeros(4, 50)
    for i, num in enumerate(numbers(a, 1.5)):
        negative = ~a.foreground[i]
        chance[i, negative] = iou_balanced_weights(a.max_iou[i, negative], num, bins=4)
    negative = ~a.foreground
    expected = torch.where(negative, chance * (own[negative].sum() / (own * chance).sum()), 1.0)
    weights = weights_of(IoUBalancedNegatives(ratio=1.5, bins=4, draw=False), a, loss)
    torch.testing.assert_close(weights.squeeze(-1), expected)


def test_a_draw_reads_as_many_negatives_of_each_image_and_keeps_their_loss():
    a = batch()
    loss = cross_entropy(a)
    term = IoUBalancedNegatives(ratio=1.5, bins=3, draw=True)
    weights = weights_of(term, a, loss)
    assert weights.shape == (4, 50, 1)
    assert not weights.requires_grad
    read = (weights.squeeze(-1) > 0) & ~a.foreground
    assert read.sum(-1).tolist() == numbers(a, 1.5)
    assert weights.squeeze(-1)[read].unique().numel() == 1
    assert (weights[a.foreground] == 1).all()
    torch.testing.assert_close((weights * loss).sum(), loss.sum())
    assert not torch.equal(weights, weights_of(term, a, loss))


@pytest.mark.parametrize("draw", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_and_boxes(draw, dtype):
    a = batch(dtype=dtype)
    a.boxes, a.objects = a.boxes.to(dtype), a.objects.to(dtype)
    loss = cross_entropy(a)
    weights = weights_of(IoUBalancedNegatives(ratio=3.0, bins=3, draw=draw), a, loss)
    assert weights.dtype == torch.float32
    torch.testing.assert_close((weights * loss).sum(), loss.sum())


@pytest.mark.parametrize("draw", [True, False])
def test_reading_all_gives_exactly_ones(draw):
    a = batch()
    assert (weights_of(IoUBalancedNegatives(ratio=1e6, bins=3, draw=draw), a, cross_entropy(a)) == 1).all()


@pytest.mark.parametrize("draw", [True, False])
def test_a_batch_of_clean_images_is_finite_and_keeps_its_loss(draw):
    a = without_positives(assignment(images=3), 0, 1, 2)
    a.present[:] = False
    loss = cross_entropy(a)
    weights = weights_of(IoUBalancedNegatives(ratio=3.0, bins=3, draw=draw), a, loss)
    torch.testing.assert_close((weights * loss).sum(), loss.sum())
    if draw:
        assert (weights > 0).sum(1).flatten().tolist() == [1, 1, 1]


def test_the_drawing_term_reads_no_value_back_to_the_cpu():
    a = batch()
    a = replace(a, **{name: x.detach().to("meta") for name, x in tensors(a).items()})
    weights_of(IoUBalancedNegatives(ratio=3.0, bins=3, draw=True), a, cross_entropy(a))
