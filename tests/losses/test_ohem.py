"""Online hard example mining: the hardest, exactly as many as asked for."""

from __future__ import annotations

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of, without_positives

from yolo_balance.losses import negatives, ohem
from yolo_balance.losses.ohem import HardNegatives


@pytest.fixture(autouse=True)
def _images_of_few_anchors(monkeypatch):
    monkeypatch.setattr(negatives, "FEWEST", 1)


def restated(loss, num):
    """The hardest by sorting a list."""
    taken = sorted(range(len(loss)), key=lambda i: -loss[i])[:num]
    return [i in taken for i in range(len(loss))]


@pytest.mark.parametrize("num", [0, 1, 7, 29, 30, 31, 1000])
@pytest.mark.parametrize("values", [1000, 3, 1])
def test_ohem_takes_the_hardest_and_of_equal_ones_the_first(num, values):
    loss = torch.randint(values, (30,), generator=torch.Generator().manual_seed(num)).double()
    expected = restated(loss.tolist(), num)
    assert ohem(loss, num).tolist() == expected
    assert ohem(loss, torch.tensor(num)).tolist() == expected
    assert sum(expected) == min(num, 30)


def test_each_row_takes_its_own_number():
    loss = torch.rand(3, 20, generator=torch.Generator().manual_seed(0))
    taken = ohem(loss, torch.tensor([[0], [4], [99]]))
    assert taken.dtype == torch.bool
    for row, num in enumerate((0, 4, 99)):
        assert torch.equal(taken[row], ohem(loss[row], num))
    assert torch.equal(ohem(loss, 4)[2], ohem(loss[2], 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_extreme_losses(dtype):
    assert ohem(torch.tensor([0.0, 6e4, -torch.inf, 1.0], dtype=dtype), 2).tolist() == [False, True, False, True]


def test_nothing_and_one():
    assert ohem(torch.zeros(0), 3).shape == (0,)
    assert ohem(torch.zeros(1), 1).tolist() == [True]
    assert ohem(torch.zeros(1), 0).tolist() == [False]


# -- the term ----------------------------------------------------------------------------------------------------------


def restated_term(a, loss, ratio):
    """Image by image: who is read, then one constant over the batch."""
    own = loss.detach().double().sum(-1)
    mean = a.foreground.sum().item() / len(own)
    read = torch.zeros_like(a.foreground)
    for i in range(len(own)):
        negatives = [j for j in range(own.shape[1]) if not a.foreground[i, j]]
        positives = own.shape[1] - len(negatives)
        num = max(round(ratio * (positives or mean)), 1)
        for j in sorted(negatives, key=lambda j: -own[i, j].item())[:num]:
            read[i, j] = True
    constant = own[~a.foreground].sum() / own[read].sum()
    return torch.where(a.foreground, 1.0, torch.where(read, constant, 0.0)).float()


@pytest.mark.parametrize("ratio", [0.01, 0.5, 1.0, 1.9, 3.0])
def test_the_term_agrees_with_its_restatement(ratio):
    a = without_positives(assignment(images=4, foreground=0.1), 1)
    loss = cross_entropy(a)
    weights = weights_of(HardNegatives(ratio=ratio), a, loss)
    assert weights.shape == (4, 50, 1)
    assert not weights.requires_grad
    torch.testing.assert_close(weights.squeeze(-1), restated_term(a, loss, ratio))


def test_reading_all_gives_exactly_ones():
    a = without_positives(assignment(images=3), 2)
    assert (weights_of(HardNegatives(ratio=1e6), a, cross_entropy(a)) == 1).all()


def test_negatives_keep_their_loss_and_positives_theirs():
    a = without_positives(assignment(images=3, foreground=0.1), 0)
    loss = cross_entropy(a)
    weighted = loss * weights_of(HardNegatives(ratio=3.0), a, loss)
    torch.testing.assert_close(weighted[~a.foreground].sum(), loss[~a.foreground].sum())
    assert torch.equal(weighted[a.foreground], loss[a.foreground])


def test_negatives_that_are_not_read_have_no_gradient():
    a = assignment(images=3, foreground=0.1)
    loss = cross_entropy(a)
    weights = weights_of(HardNegatives(ratio=3.0), a, loss)
    (loss * weights).sum().backward()
    touched = (a.logits.grad != 0).any(-1)
    assert torch.equal(touched, weights.squeeze(-1) > 0)
    assert touched[~a.foreground].any()


def test_a_batch_of_clean_images_reads_one_negative_of_each():
    a = without_positives(assignment(images=3), 0, 1, 2)
    loss = cross_entropy(a)
    weights = weights_of(HardNegatives(ratio=3.0), a, loss)
    assert (weights > 0).sum(1).flatten().tolist() == [1, 1, 1]
    torch.testing.assert_close((weights * loss).sum(), loss.sum())
