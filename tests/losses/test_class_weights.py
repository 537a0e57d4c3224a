"""Laws of the weights by class, and their papers restated slowly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers.assignments import assignment, cross_entropy, weights_of

from yolo_balance.losses.class_weights import (
    ClassWeights,
    effective_number_weights,
    inverse_frequency_weights,
    normalised,
)

RULES = [inverse_frequency_weights, effective_number_weights]
COUNTS = [np.array([800, 150, 15]), np.array([7, 7, 7]), np.array([5, 0, 1]), np.array([3])]


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_inverse_frequency_restated(counts, power):
    expected = [(max(counts) / n) ** power if n else 1 for n in counts]
    np.testing.assert_allclose(inverse_frequency_weights(counts, power=power), expected)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("beta", [Fraction(1, 2), Fraction(9, 10), Fraction(999, 1000), Fraction(1 - 1e-12)])
def test_effective_number_restated_in_exact_arithmetic(counts, beta):
    published = [(1 - beta) / (1 - beta ** int(n)) for n in counts if n]
    smallest = min(published)
    expected = [float((1 - beta) / (1 - beta ** int(n)) / smallest) if n else 1 for n in counts]
    np.testing.assert_allclose(effective_number_weights(counts, beta=float(beta)), expected, rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("counts", COUNTS)
def test_the_commonest_class_has_one_and_a_rarer_one_more(rule, counts):
    weights = rule(counts)
    present = counts > 0
    assert weights.dtype == np.float64
    assert weights[counts.argmax()] == 1
    assert (weights >= 1).all()
    assert (np.diff(weights[present][np.argsort(counts[present])]) <= 0).all()
    assert (weights[~present] == 1).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("counts", [np.zeros(3, np.int64), np.zeros(0, np.int64)])
def test_without_any_object_all_weigh_one(rule, counts):
    with np.errstate(all="raise"):
        assert rule(counts).tolist() == [1] * len(counts)


def test_neutral_parameters_weigh_all_classes_one():
    counts = np.array([1000, 10, 0, 1])
    with np.errstate(all="raise"):
        assert inverse_frequency_weights(counts, power=0.0).tolist() == [1] * 4
        assert effective_number_weights(counts, beta=0.0).tolist() == [1] * 4


def test_effective_number_is_safe_for_beta_near_one_and_many_objects():
    """With 1 - beta = 1e-12 the weights are the inverse frequency's up to the second term, n (1 - beta) / 2."""
    counts = np.array([10**7, 10**4, 1])
    np.testing.assert_allclose(
        effective_number_weights(counts, beta=1 - 1e-12), inverse_frequency_weights(counts), rtol=1e-5
    )
    np.testing.assert_allclose(effective_number_weights(counts, beta=0.9)[:2], 1)
    assert effective_number_weights(counts, beta=0.9)[2] == pytest.approx(10)


def test_normalised_weights_have_mean_one_over_an_epochs_boxes():
    shares = np.array([0.7, 0.2, 0.1])
    weights = normalised(np.array([1.0, 2.0, 10.0]), shares)
    assert (shares * weights).sum() == pytest.approx(1)
    np.testing.assert_allclose(weights / weights[0], [1, 2, 10])
    assert normalised(np.array([1.0, 3.0]), np.zeros(2)).tolist() == [1, 3]


def test_on_positives_each_positive_weighs_as_its_own_class():
    a = assignment(images=3)
    a.target_scores[:, ::2] = 0  # a positive is one whatever its target
    weights = weights_of(ClassWeights([0.5, 1.5, 3.0], on="positives"), a, cross_entropy(a))
    assert weights.shape == (3, 50, 3)
    for i in range(3):
        for j in range(50):
            for c in range(3):
                own = bool(a.foreground[i, j]) and int(a.target_labels[i, j]) == c
                assert weights[i, j, c] == ([0.5, 1.5, 3.0][c] if own else 1)


def test_on_columns_all_entries_of_a_class_weigh_as_it_does():
    a = assignment()
    weights = weights_of(ClassWeights(torch.tensor([0.5, 1.5, 3.0]), on="column"), a, cross_entropy(a))
    assert weights.shape == (1, 1, 3)
    assert weights.flatten().tolist() == [0.5, 1.5, 3.0]


def test_positives_move_the_balance_of_gradients_and_columns_leave_it():
    a = assignment()
    shares = []
    for term in (None, ClassWeights([1, 1, 5.0], on="positives"), ClassWeights([1, 1, 5.0], on="column")):
        loss = cross_entropy(a)
        weighted = loss if term is None else weights_of(term, a, loss) * loss
        gradient = torch.autograd.grad(weighted.sum(), a.logits)[0].abs()[..., 2]
        shares.append((gradient * a.positive[..., 2]).sum() / gradient.sum())
    assert shares[1] > 1.5 * shares[0]
    torch.testing.assert_close(shares[2], shares[0])


def test_labels_of_anchors_that_are_not_foreground_do_not_matter():
    a, b = assignment(), assignment()
    b.target_labels = torch.where(b.foreground, b.target_labels, 99)
    term = ClassWeights([0.5, 1.5, 3.0], on="positives")
    assert torch.equal(weights_of(term, a, cross_entropy(a)), weights_of(term, b, cross_entropy(b)))
