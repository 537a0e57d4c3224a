"""A run's loss terms: what the configuration becomes on counts, per head, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.config.losses import LossesConfig
from yolo_balance.errors import ConfigError
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.losses.carl import CARL
from yolo_balance.losses.class_weights import ClassWeights
from yolo_balance.losses.efl import EqualizedFocal
from yolo_balance.losses.eqlv2 import EQLv2
from yolo_balance.losses.focal import ClassicFocal, QualityFocal
from yolo_balance.losses.instance_balance import InstanceBalanced
from yolo_balance.losses.iou_balance import IoUBalancedNegatives
from yolo_balance.losses.isr import ISRPositive
from yolo_balance.losses.isr_negative import ISRNegative
from yolo_balance.losses.logit_adjustment import LogitAdjustment
from yolo_balance.losses.ohem import HardNegatives
from yolo_balance.sampling import ClassStatistics

NAMES = ["scratch", "pit", "crack"]
STATISTICS = ClassStatistics.of([np.array([0])] * 80 + [np.array([1])] * 16 + [np.array([2])] * 4, 3)


def resolved(losses, *, shown=(0.8, 0.16, 0.04), gain_ratio=0.1):
    options = LossesConfig.model_validate(losses).resolved()
    return RunLosses(options, STATISTICS, NAMES, np.array(shown), gain_ratio)


def kinds(losses, head=""):
    return [type(term) for term in resolved(losses).terms(head)]


def test_nothing_asked_is_no_term():
    assert kinds({}) == []
    assert resolved({}).state() == {}


def test_every_option_is_its_term():
    first = {"logit_adjustment": {}, "focal": {}, "eqlv2": {}, "class_weights": "inverse_frequency"}
    assert kinds(first) == [ClassWeights, LogitAdjustment, QualityFocal, EQLv2]
    assert kinds({"focal": {"form": "classic"}}) == [ClassicFocal]
    assert kinds({"efl": {}}) == [EqualizedFocal]
    assert kinds({"negatives": {"rule": "ohem"}, "positives": "instance_balanced"}) == [HardNegatives, InstanceBalanced]
    assert kinds({"negatives": {"rule": "iou_balanced", "draw": False}}) == [IoUBalancedNegatives]
    assert kinds({"isr": {}, "carl": {}}) == [ISRPositive, CARL]


def test_options_reach_their_terms():
    focal, isr, negatives, carl = resolved(
        {"focal": {"beta": 1.5}, "isr": {"k": 1.0, "bias": 0.3, "negatives": {"k": 0.7}}, "carl": {"gain": 0.2}}
    ).terms("")
    assert (focal.beta, isr.k, isr.bias, negatives.k) == (1.5, 1.0, 0.3, 0.7)
    assert (carl.gain, carl.gradient, carl.published) == (0.2, 0.1, False)
    assert resolved({"carl": {"gradient": 0.0, "gain": None}}).terms("")[0].gradient == 0.0


def test_the_preset_is_the_three_terms_at_the_papers_values_where_none_is_given():
    isr, negatives, carl = resolved({"pisa": True}).terms("")
    assert (isr.k, isr.bias, negatives.k, negatives.bias, carl.k, carl.bias) == (2.0, 0.0, 0.5, 0.0, 1.0, 0.2)
    isr, negatives, carl = resolved({"pisa": True, "isr": {"k": 1.0}, "carl": {"gain": 0.1}}).terms("")
    assert (isr.k, negatives.k, carl.gain) == (1.0, 0.5, 0.1)
    assert kinds({"pisa": True, "isr": {"negatives": None}}) == [ISRPositive, CARL]


def test_published_is_isr_without_negatives_and_carl_added_at_weight_one_with_its_whole_gradient():
    isr, carl = resolved({"pisa": "published"}).terms("")
    assert (isr.k, isr.bias) == (2.0, 0.0)
    assert (carl.k, carl.bias, carl.gain, carl.gradient, carl.published) == (1.0, 0.2, 1.0, 1.0, True)
    assert kinds({"pisa": "published", "isr": {"negatives": {}}}) == [ISRPositive, ISRNegative, CARL]


def test_heads_have_terms_and_gradients_of_their_own():
    run = resolved({"eqlv2": {}})
    assert run.terms("one2many") is run.terms("one2many")
    (many,), (one,) = run.terms("one2many"), run.terms("one2one")
    assert many.gradients is not one.gradients
    assert set(run.state()["gradients"]) == {"one2many", "one2one"}
    other = resolved({"eqlv2": {}})
    other.restore(run.state())
    assert other.state() == run.state()


def test_only_the_head_asked_for_has_terms():
    run = resolved({"focal": {}, "heads": "one2one"})
    assert run.terms("one2many") == []
    assert len(run.terms("one2one")) == 1
    run.check_heads(["one2many", "one2one"])
    with pytest.raises(ConfigError, match="the model has one head, got one2one"):
        run.check_heads([""])


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("inverse_frequency", [1, 5, 20]),
        ({"rule": "inverse_frequency", "power": 0.5}, [1, 5**0.5, 20**0.5]),
        ({"crack": 3.0}, [1, 1, 3]),
        ({"rule": "inverse_frequency", "values": {"crack": 3.0}}, [1, 5, 3]),
    ],
)
def test_class_weights_follow_the_rule_and_the_names(asked, expected):
    run = resolved({"class_weights": asked, "max_weight": 1000.0})
    np.testing.assert_allclose(run.factors.weight, expected)
    np.testing.assert_allclose(run.terms("")[0].weights.values.numpy(), run.factors.scaled, rtol=1e-6)


def test_the_cap_is_said_by_class():
    run = resolved({"class_weights": "inverse_frequency"}, shown=(0.5, 0.25, 0.25))
    (line,) = run.remarks()
    assert line == ("balance.losses: max_weight 10 lowers the class weight of pit from 5 to 4 and crack from 20 to 1")
    assert run.factors.product.max() == pytest.approx(10)


def test_a_stated_weight_stays_and_what_it_comes_to_is_said():
    run = resolved({"class_weights": {"crack": 3.0}, "max_weight": 5.0}, shown=(0.7, 0.2, 0.1))
    assert run.factors.weight.tolist() == [1, 1, 3]
    (line,) = run.remarks()
    assert "stated class weights go beyond max_weight 5 and stay: an object counts crack" in line


def test_what_the_cap_leaves_to_eqlv2_is_said_and_an_exponent_is_not_capped():
    lines = resolved({"eqlv2": {}}, shown=(0.5, 0.25, 0.25)).remarks()
    assert lines == [
        "balance.losses: max_weight 10 caps the weight of positives in eqlv2, up to 5: pit at 4 and crack at 1"
    ]
    assert resolved({"efl": {}}, shown=(0.5, 0.25, 0.25)).remarks() == []


def test_sampling_beyond_the_cap_is_said():
    lines = resolved({"isr": {"k": 2.0}}, shown=(0.2, 0.2, 0.6)).remarks()
    assert "sampling alone goes beyond max_weight 10 (crack 60 times as often as the commonest class)" in lines[-1]


def test_isr_within_the_cap_needs_no_class_weights():
    assert kinds({"isr": {"k": 2.0}}) == [ISRPositive]
    run = resolved({"isr": {"k": 2.0}}, shown=(0.4, 0.3, 0.3))
    assert [type(term) for term in run.terms("")] == [ClassWeights, ISRPositive]
