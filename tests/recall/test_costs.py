"""Laws of the cheapest threshold."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from helpers.outcomes import pooled
from helpers.splits import NAMES, pool, split
from pydantic import TypeAdapter

from yolo_balance import BalanceConfig
from yolo_balance.recall import Outcomes
from yolo_balance.recall.costs import CheapestThreshold, cheapest_threshold
from yolo_balance.recall.images import ImageRates
from yolo_balance.resolution import name_problems


def cost_at(images, threshold, costs, overkill, rate=None):
    """Image by image; costs one per class."""
    defective, clean = [i for i in images if len(i[1])], [i for i in images if not len(i[1])]
    rate = len(defective) / len(images) if rate is None else rate
    escaped = [max(costs[c] for c in i[1]) for i in defective if not any(i[3] >= threshold)]
    wrong = sum(any(i[3] >= threshold) for i in clean)
    return rate * sum(escaped) / len(defective) + (1 - rate) * overkill * wrong / len(clean)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rate", [None, 0.01, 0.7])
def test_the_cheapest_is_what_trying_every_threshold_gives(seed, rate):
    images = split(seed)
    rng = np.random.default_rng(seed)
    costs, overkill = rng.choice([0.1, 0.7, 3, 30], 3).tolist(), float(rng.choice([0.1, 1, 4]))
    found = cheapest_threshold(pool(images), NAMES, dict(zip(NAMES, costs, strict=True)), overkill, rate)
    tops = sorted({max(i[3]) for i in images if len(i[3])})
    candidates = [*tops, float(np.nextafter(np.float32(tops[-1]), np.float32(2)))]
    tried = [cost_at(images, t, costs, overkill, rate) for t in candidates]
    assert found.threshold == next(t for t, c in zip(candidates, tried, strict=True) if c <= min(tried) + 1e-9)
    assert found.cost == pytest.approx(min(tried))
    assert found.pass_all == pytest.approx(cost_at(images, 9.0, costs, overkill, rate))
    rates = ImageRates.of(pool(images), found.threshold, NAMES)
    assert (found.escape, found.overkill) == (rates.escape.rate, rates.overkill.rate)
    share = np.mean([len(i[1]) > 0 for i in images]) if rate is None else rate
    assert found.defect_rate == share
    assert found.reject_all == pytest.approx((1 - share) * overkill)
    np.testing.assert_allclose(found.curve, list(zip(candidates, tried, strict=True)))


def line():
    """Defective: a at .8, a and b at .4, b without a box. Clean: .6, .3, none."""
    return pooled(
        hit=[[1], [1], [], [0, 0], [0], []],
        confidence=[[0.8], [0.4], [], [0.6, 0.1], [0.3], []],
        predicted=[[0], [0], [], [1, 0], [1], []],
        objects=[[0], [0, 1], [1], [], [], []],
        num_classes=2,
    )


def test_by_hand():
    found = cheapest_threshold(line(), ["a", "b"], {"b": 10.0}, 2.0)
    assert found.threshold == 0.4
    assert found.cost == pytest.approx((10 + 2) / 6)  # the image without a box escapes, the clean one at .6 does not
    assert (found.escape, found.overkill) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert found.pass_all == pytest.approx((2 + 10 + 10) / 6)  # class a is left out: as much as one overkill
    assert found.reject_all == pytest.approx(1.0)
    assert [t for t, _ in found.curve] == pytest.approx([0.3, 0.4, 0.6, 0.8, 0.8])


def test_defects_that_are_rare_on_the_line_raise_the_threshold():
    rare = cheapest_threshold(line(), ["a", "b"], 5.0, 2.0, 0.001)
    assert rare.threshold == 0.8
    assert rare.overkill == 0
    assert rare.defect_rate == 0.001
    assert rare.pass_all == pytest.approx(0.005)


def test_where_passing_everything_is_cheapest_no_box_reaches_the_threshold():
    found = cheapest_threshold(line(), ["a", "b"], 0.0, 1.0)
    assert found.threshold == 0.8  # equal to passing all: the lower of the two
    outcomes = pooled([[1], [0]], [[0.5], [0.5]], [[0], [0]], [[0], []], 1)
    found = cheapest_threshold(outcomes, ["a"], 1.0, 2.0)
    assert found.threshold == np.nextafter(np.float32(0.5), np.float32(1))
    assert (found.cost, found.escape, found.overkill) == (found.pass_all, 1.0, 0.0)


@pytest.mark.parametrize("n", [2, 50])
def test_of_equal_costs_the_lowest_threshold_whatever_the_rounding(n):
    """A defective and a clean image at each confidence: every threshold costs the same."""
    scores = np.linspace(0.1, 0.9, n).tolist()
    outcomes = pooled([[1]] * n + [[0]] * n, [[s] for s in scores * 2], [[0]] * 2 * n, [[0]] * n + [[]] * n, 1)
    found = cheapest_threshold(outcomes, ["a"], 0.1, 0.1)
    assert found.threshold == 0.1
    assert len({round(cost, 12) for _, cost in found.curve}) == 1


@pytest.mark.parametrize("n", [1, 198, 199, 200, 201, 1000])
def test_a_curve_has_few_points_both_ends_and_the_cheapest(n):
    rng = np.random.default_rng(n)
    scores = rng.permutation(np.linspace(0.1, 0.9, n)).tolist()
    objects = [[0] if rng.random() < 0.3 + 0.6 * s else [] for s in scores]
    outcomes = pooled([[]] + [[0]] * n + [[]], [[]] + [[s] for s in scores] + [[]], [[]] + [[0]] * n + [[]],
                      [[0], *objects, []], 1)  # fmt: skip
    found = cheapest_threshold(outcomes, ["a"], 1.3, 1.0)
    thresholds = [t for t, _ in found.curve]
    assert thresholds == sorted(set(thresholds))
    assert len(thresholds) == n + 1 if n < 199 else 199 <= len(thresholds) <= 200
    assert thresholds[0] == min(scores)
    assert thresholds[-1] > max(scores)
    assert (found.threshold, found.cost) in found.curve
    assert found.cost == pytest.approx(min(cost for _, cost in found.curve))


def test_without_any_box_everything_is_passed_at_any_threshold():
    found = cheapest_threshold(pooled([[], []], [[], []], [[], []], [[0], []], 1), ["a"], 5.0, 1.0)
    assert (found.threshold, found.cost, found.escape, found.overkill) == (0.0, 2.5, 1.0, 0.0)


def test_without_clean_or_without_defective_images_nothing_is_known():
    assert cheapest_threshold(pooled([[1]], [[0.5]], [[0]], [[0]], 1), ["a"], 5.0, 1.0) is None
    assert cheapest_threshold(pooled([[0]], [[0.5]], [[0]], [[]], 1), ["a"], 5.0, 1.0) is None
    assert cheapest_threshold(Outcomes.pool([], 1), ["a"], 5.0, 1.0) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"dent": 5.0}, 1.0), "expected escape costs of a, b, got one of dent"),
        (({"a": -1.0}, 1.0), "expected costs >= 0"),
        ((5.0, -1.0), "expected costs >= 0"),
        ((5.0, 1.0, 0.0), r"expected defect_rate in \(0, 1\), got 0.0"),
        ((5.0, 1.0, 1.0), r"expected defect_rate in \(0, 1\), got 1.0"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cheapest_threshold(line(), ["a", "b"], *arguments)


def test_json_round_trips():
    found = cheapest_threshold(line(), ["a", "b"], 10, 1)
    content = json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))
    assert TypeAdapter(CheapestThreshold).validate_python(content) == found


def test_costs_of_a_class_that_the_data_does_not_have_are_refused():
    def problems(escape):
        return name_problems(BalanceConfig.load({"recall": {"costs": {"escape": escape}}}), ["scratch", "crack"])

    assert problems({"crack": 1000}) == problems(1000) == []
    assert problems({"dent": 1000}) == [
        "balance.recall.costs.escape.dent: the data has no class dent, its classes are scratch, crack"
    ]
