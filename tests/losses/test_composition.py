"""How class factors multiply, and what caps their product."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolo_balance.losses import isr_positive_weights
from yolo_balance.losses.composition import ClassFactors, isr_class_factors

NATURAL = np.array([0.8, 0.15, 0.05])


def factors(asked=(1, 1, 1), shown=NATURAL, isr=(1, 1, 1), max_weight=10.0, columns=False, stated=False):
    asked, isr = np.array(asked, float), np.array(isr, float)
    return ClassFactors.of(
        NATURAL, np.asarray(shown), asked, isr, max_weight=max_weight, columns=columns, stated=stated
    )


def test_factors_are_relative_to_the_commonest_class_and_multiply():
    f = factors(asked=(1, 2, 4), shown=[0.5, 0.25, 0.25], isr=(1, 1.2, 1.5), max_weight=1000)
    np.testing.assert_allclose(f.sampling, [1, (0.25 / 0.15) / (0.5 / 0.8), 8])
    np.testing.assert_allclose(f.product, f.sampling * [1, 2.4, 6])


def test_the_mean_weight_of_the_objects_shown_is_one():
    f = factors(asked=(1, 2, 4), shown=[0.5, 0.25, 0.25])
    assert (f.scaled * [0.5, 0.25, 0.25]).sum() == pytest.approx(1)
    assert factors(asked=(1, 2, 4), columns=True).scaled.mean() == pytest.approx(1)


def test_no_product_goes_beyond_the_cap_while_sampling_is_within_it():
    f = factors(asked=(1, 5, 100), shown=[0.5, 0.25, 0.25], isr=(1, 2, 2))
    assert (f.product <= 10 + 1e-9).all()
    assert f.product[2] == pytest.approx(10)
    assert f.weight[2] == pytest.approx(10 / 8 / 2)


def test_a_weight_that_the_user_stated_is_never_lowered():
    options = {"asked": (1, 5, 3), "shown": [0.2, 0.2, 0.6], "isr": (1, 2, 2), "max_weight": 5}
    f = factors(**options, stated=[False, False, True])
    assert f.weight.tolist() == [1, factors(**options).weight[1], 3]
    assert f.product[2] == pytest.approx(48 * 3 * 2)


def test_what_sampling_asks_for_is_left_to_its_own_cap():
    f = factors(asked=(1, 1, 3), shown=[0.2, 0.2, 0.6], isr=(1, 1, 2))
    assert f.sampling[2] == pytest.approx(48)
    assert f.weight[2] * f.isr[2] == pytest.approx(1)
    assert f.product[2] == pytest.approx(48)


def test_room_is_what_the_cap_leaves_to_other_terms():
    f = factors(asked=(1, 2, 4))
    np.testing.assert_allclose(f.room, [10, 5, 2.5])
    np.testing.assert_allclose(factors(asked=(1, 2, 400)).room, [10, 5, 1])


def test_weights_of_cls_pw_enter_the_product_and_leave_the_cap_alone():
    f = factors(asked=(1, 2, 4))
    g = f.times(np.array([1, 3, 5.0]))
    np.testing.assert_allclose(g.product, f.product * [1, 3, 5])
    assert (g.weight, g.room, g.scaled) == (f.weight, f.room, f.scaled)
    assert factors().times(np.ones(3)).by_loss
    assert [row["product"] for row in g.rows()] == [1, 6, 20]
    assert g.rows()[1].keys() - f.rows()[1].keys() == {"cls_pw"}


def test_neutral_factors_have_no_part():
    f = factors(shown=[0.5, 0.25, 0.25])
    assert not f.by_loss
    np.testing.assert_allclose(f.scaled, 1)
    assert factors(asked=(1, 1, 2)).by_loss


def test_classes_without_boxes_are_left_alone():
    natural = np.array([0.9, 0.1, 0.0])
    f = ClassFactors.of(natural, natural, np.ones(3), np.ones(3), max_weight=5, columns=False)
    np.testing.assert_allclose(f.product, 1)
    assert np.isfinite(isr_class_factors(natural, k=2, bias=0)).all()
    empty = ClassFactors.of(np.zeros(2), np.zeros(2), np.ones(2), np.ones(2), max_weight=5, columns=False)
    np.testing.assert_allclose(empty.scaled, 1)


@pytest.mark.parametrize(("k", "bias"), [(2.0, 0.0), (1.0, 0.3), (0.5, 0.0), (0.0, 0.0), (2.0, 1.0)])
def test_what_isr_adds_agrees_with_its_weights_on_many_positives(k, bias):
    """500, 100 and 5 positives of one object each: the mean weight by class is what was worked out beforehand."""
    counts = [500, 100, 5]
    label = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    iou = torch.rand(605, generator=torch.Generator().manual_seed(0))
    w = isr_positive_weights(iou, torch.arange(605), label, torch.ones(605), k=k, bias=bias)
    means = np.array([w[label == c].mean() for c in range(3)])
    expected = isr_class_factors(np.array(counts) / 605, k=k, bias=bias)
    np.testing.assert_allclose(means / means[0], expected, rtol=0.02)
