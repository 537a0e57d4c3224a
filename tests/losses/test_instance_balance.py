"""Instance-balanced positives: every draw's laws, all outcomes enumerated on small input, and equal shares."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of, without_positives
from helpers.matrices import sampled

from yolo_balance.losses import instance_balanced_positives
from yolo_balance.losses.instance_balance import InstanceBalanced


def enumerated(gt, num):
    """Every outcome and its probability: floor(num / K) each, then one more each at random, then from all the rest."""
    num = min(num, len(gt))
    objects = sorted(set(gt))
    least, most = num // len(objects), -(-num // len(objects))
    members = [[i for i, t in enumerate(gt) if t == o] for o in objects]
    outcomes: dict[frozenset[int], Fraction] = {}

    def add(taken, chance):
        outcomes[taken] = outcomes.get(taken, Fraction(0)) + chance

    by_object = [list(combinations(m, min(len(m), least))) for m in members]
    for choice in product(*by_object):
        given = frozenset(i for part in choice for i in part)
        chance = Fraction(1)
        for options in by_object:
            chance /= len(options)
        one_more = [[i for i in m if i not in given] for m in members if most > least and len(m) > least]
        draws = list(product(*one_more))
        for extra in draws:
            wanted = num - len(given)
            if wanted <= len(extra):
                subsets = list(combinations(extra, wanted))
            else:
                rest = [i for i in range(len(gt)) if i not in given and i not in extra]
                subsets = [(*extra, *fill) for fill in combinations(rest, wanted - len(extra))]
            for subset in subsets:
                add(given | set(subset), chance / len(draws) / len(subsets))
    return outcomes


SMALL = [
    ([0, 0, 0, 0, 1, 2, 2], 4),  # one object is short, and a remainder
    ([5, 5, 5, 9, 9, 9], 3),  # a remainder alone
    ([5, 9, 5, 9, 5, 9], 4),
    ([3, 3, 3, 3, 1, 2], 5),  # what two objects cannot give comes from the third
    ([7, 7, 7, 7], 2),  # a single object: a plain draw
    ([4, 1, 8], 2),
    ([4, 1, 8], 0),
    ([4, 1, 8], 9),
    ([4], 1),
]


@pytest.mark.parametrize("case", sampled(SMALL, [SMALL[0], SMALL[3]]), ids=str)
def test_draws_are_distributed_as_the_rule_says(case):
    gt, num = case
    draws, g, seen = 3000, torch.Generator().manual_seed(0), Counter()
    for _ in range(draws):
        mask = instance_balanced_positives(torch.tensor(gt), num, generator=g)
        seen[frozenset(i for i, taken in enumerate(mask.tolist()) if taken)] += 1
    outcomes = enumerated(gt, num)
    assert set(seen) <= set(outcomes)
    for outcome, chance in outcomes.items():
        error = 5 * (float(chance * (1 - chance)) / draws) ** 0.5
        assert seen[outcome] / draws == pytest.approx(float(chance), abs=error + 1e-9)


@pytest.mark.parametrize("num", [0, 1, 8, 9, 40, 59, 60, 61])
def test_exactly_as_many_are_taken_and_no_object_gives_less_than_its_share(num):
    gt = torch.randint(9, (60,), generator=torch.Generator().manual_seed(num)) ** 2
    for count in (num, torch.tensor(num)):
        taken = instance_balanced_positives(gt, count)
        assert taken.dtype == torch.bool
        assert taken.sum() == min(num, 60)
        objects = gt.unique()
        for t in objects:
            assert taken[gt == t].sum() >= min((gt == t).sum(), num // len(objects))


@pytest.mark.parametrize("num", [5, 20, 31, 40])
def test_objects_that_have_enough_give_as_equal_a_number_as_possible(num):
    gt = torch.arange(4).repeat_interleave(torch.tensor([10, 11, 30, 90]))
    taken = instance_balanced_positives(gt, num)
    given = [taken[gt == t].sum().item() for t in range(4)]
    assert max(given) - min(given) <= (num % 4 > 0)


def test_no_positives():
    empty = torch.zeros(0, dtype=torch.int64)
    assert instance_balanced_positives(empty, 3).shape == (0,)


def test_a_generator_decides_the_draw_and_leaves_the_global_one_alone():
    gt = torch.arange(5).repeat(40)
    state = torch.get_rng_state()
    one, same, other = (
        instance_balanced_positives(gt, 50, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


# -- weights -----------------------------------------------------------------------------------------------------------


def restated_weights(gt):
    """Every object the same share of N."""
    count = Counter(gt)
    return [len(gt) / (len(count) * count[t]) for t in gt]


def test_weights_are_what_drawing_amounts_to_up_to_scale():
    gt = torch.arange(3).repeat_interleave(torch.tensor([20, 40, 140]))
    g = torch.Generator().manual_seed(0)
    mean = sum(instance_balanced_positives(gt, 30, generator=g).float() for _ in range(2000)) / 2000
    expected = torch.tensor(restated_weights(gt.tolist())) * 30 / 200
    for t in range(3):
        assert mean[gt == t].mean().item() == pytest.approx(expected[gt == t].mean().item(), rel=1e-3)
    assert (mean - expected).abs().max() < 0.06


# -- the term ----------------------------------------------------------------------------------------------------------


def batch(**options):
    return without_positives(assignment(images=4, foreground=0.4, **options), 2)


def shares(a):
    """N / (K * n) over the batch, objects named by image and box."""
    names = [(i, a.gt[i, j].item()) for i, j in a.foreground.nonzero().tolist()]
    return torch.tensor(restated_weights(names))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_term_gives_every_object_of_the_batch_its_share(dtype):
    a = batch(dtype=dtype)
    loss, mask = cross_entropy(a), a.foreground
    w, own = shares(a), loss.detach().sum(-1)[mask]
    weights = weights_of(InstanceBalanced(), a, loss)
    assert weights.shape == (4, 50, 1)
    assert weights.dtype == torch.float32
    assert not weights.requires_grad
    assert (weights[~mask] == 1).all()
    torch.testing.assert_close(weights[mask].squeeze(-1), w * (own.sum() / (w * own).sum()))
    torch.testing.assert_close((weights * loss)[mask].sum(), loss[mask].sum())


def test_box_weights_keep_the_sum_of_what_ultralytics_weighs_boxes_by():
    a = batch()
    mask, scores = a.foreground, a.target_scores.sum(-1)
    w = shares(a)
    weights = InstanceBalanced().box_weights(a)
    assert weights.shape == (4, 50)
    assert (weights[~mask] == 1).all()
    torch.testing.assert_close(weights[mask], w * (scores[mask].sum() / (w * scores[mask]).sum()))
    torch.testing.assert_close((weights * scores)[mask].sum(), scores[mask].sum())


def test_ids_of_what_is_not_foreground_do_not_matter():
    a, b = batch(), batch()
    b.gt = torch.where(b.foreground, b.gt, torch.randint(-(10**9), 10**9, b.gt.shape))
    for one, other in (
        (InstanceBalanced().box_weights(a), InstanceBalanced().box_weights(b)),
        *[[weights_of(InstanceBalanced(), x, cross_entropy(x)) for x in (a, b)]],
    ):
        assert torch.equal(one, other)


def test_one_positive_per_object_gives_exactly_ones():
    a = assignment(images=3)
    a.foreground[:] = False
    a.foreground[:, :4] = True
    a.gt[:, :4] = torch.arange(12).view(3, 4)
    assert (weights_of(InstanceBalanced(), a, cross_entropy(a)) == 1).all()
    a.target_scores = a.target_scores.clamp(min=0.1)
    assert (InstanceBalanced().box_weights(a) == 1).all()


def test_a_batch_without_objects():
    a = without_positives(assignment(images=3), 0, 1, 2)
    a.objects, a.present = torch.zeros(3, 0, 4), torch.zeros(3, 0, dtype=torch.bool)
    assert (weights_of(InstanceBalanced(), a, cross_entropy(a)) == 1).all()
    assert (InstanceBalanced().box_weights(a) == 1).all()
