"""Laws of a run's sampling over its epochs, of feedback, and of what the run says about its exposure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.factors import class_uniform_factors, effective_number_factors, inverse_frequency_factors
from helpers.outcomes import pooled

from yolo_balance.config import SamplingConfig
from yolo_balance.errors import ConfigError
from yolo_balance.recall import RecallReport, interval
from yolo_balance.sampling import ClassStatistics, Exposure, RecallFeedback, SamplingSchedule, repeat_factors
from yolo_balance.sampling.exposure import share_deviation
from yolo_balance.sampling.feedback import informative

NAMES = ["scratch", "pit", "crack"]
IMAGES = [[0]] * 60 + [[1]] * 12 + [[2]] * 3 + [[0, 2]] + [[]] * 24
STATISTICS = ClassStatistics.of(IMAGES, 3)


def schedule(**options):
    return SamplingSchedule(SamplingConfig(**options), STATISTICS, NAMES, seed=0)


@pytest.mark.parametrize("strategy", ["repeat_factor", "inverse_frequency", "effective_number", "class_uniform"])
def test_every_strategy_raises_the_rare_class_and_keeps_the_background(strategy):
    plan = schedule(strategy=strategy, beta=0.99, power=1.0).balanced
    shares = STATISTICS.box_shares(plan.expectation)
    assert shares[2] > 2 * STATISTICS.box_shares()[2]
    assert plan.expectation[STATISTICS.background].sum() == pytest.approx(24)
    assert plan.size == 100


@pytest.mark.parametrize(
    ("strategy", "reference", "options"),
    [
        ("repeat_factor", repeat_factors, {"threshold": 0.4, "power": 0.7, "aggregate": "mean"}),
        ("inverse_frequency", inverse_frequency_factors, {"power": 0.7, "frequency": "instance"}),
        ("effective_number", effective_number_factors, {"beta": 0.9, "frequency": "sqrt(image*instance)"}),
        ("class_uniform", class_uniform_factors, {}),
    ],
)
@pytest.mark.parametrize("max_repeat", [None, 1.5])
def test_images_with_objects_have_the_factors_of_the_reference_form(strategy, reference, options, max_repeat):
    held = ~STATISTICS.background
    factors = schedule(strategy=strategy, max_repeat=max_repeat, **options).balanced.factors
    np.testing.assert_array_equal(factors[held], reference(IMAGES, 3, max_repeat=max_repeat, **options)[held])


@pytest.mark.parametrize("epoch_size", [0.3, 1.0, 1.7])
def test_images_of_a_class_together_appear_as_often_as_expected(epoch_size):
    """Also where several classes share a factor: here the two that are not repeated."""
    plan = schedule(power=1.0, epoch_size=epoch_size).balanced
    for epoch in range(20):
        seen = np.bincount(plan.epoch(epoch), minlength=100)
        for c in range(4):  # by the rarest class of an image, 3 for background
            held = STATISTICS.rarest == c
            assert abs(seen[held].sum() - plan.expectation[held].sum()) < 1


def test_class_uniform_asks_for_each_class_equally_often():
    """61, 12 and 4 images hold the three classes; one image holds the first and the last and counts for both."""
    boxes = np.array([1 / 3 + 1 / 3 / 4, 1 / 3, 1 / 3 + 1 / 3 / 61])
    shares = STATISTICS.box_shares(schedule(strategy="class_uniform").balanced.expectation)
    np.testing.assert_allclose(shares, boxes / boxes.sum())


def test_the_weighted_loader_of_tutorials_can_be_asked_for():
    """Restated: a class weighs all boxes / its own, an image the mean of its boxes' weights; drawn with replacement."""
    plan = schedule(
        strategy="inverse_frequency", power=1.0, frequency="instance", aggregate="mean", draw="independent"
    ).balanced
    boxes = np.array([61, 12, 4])
    weights = np.array([np.mean([77 / boxes[c] for c in image]) for image in IMAGES if image])
    held = ~STATISTICS.background
    np.testing.assert_allclose(plan.factors[held] / plan.factors[held].sum(), weights / weights.sum())
    drawn = np.bincount(np.concatenate([plan.epoch(e) for e in range(200)]), minlength=100)[72]
    assert drawn / 200 == pytest.approx(plan.expectation[72], rel=0.15)
    assert np.var([np.sum(plan.epoch(e) == 72) for e in range(200)]) > 1  # systematic draws: at most 1/4


def test_a_class_named_gets_its_factor():
    s = schedule(classes={"pit": 3.5})
    assert s.class_factors[1] == 3.5
    assert s.balanced.factors[60] == 3.5


def test_full_shows_every_image_with_an_object_in_every_epoch():
    for strategy in ("repeat_factor", "inverse_frequency", "effective_number", "class_uniform"):
        plan = schedule(strategy=strategy, epoch_size="full").balanced
        assert plan.size == np.ceil(plan.factors.sum())
        for epoch in range(3):
            assert set(plan.epoch(epoch)) == set(range(100))


def test_background_gets_its_share_and_hard_images_come_more_often_within_it():
    s = schedule(background={"share": 0.4, "hard": True, "gain": 2.0})
    assert s.balanced.expectation[STATISTICS.background].sum() == pytest.approx(40)
    hard = np.zeros(100, bool)
    hard[[80, 81]] = True
    s.follow(np.ones(3), hard)
    e = s.balanced.expectation
    assert e[STATISTICS.background].sum() == pytest.approx(40)
    assert e[80] == pytest.approx(3 * e[90])


def test_background_asked_for_where_there_is_none_is_said():
    expected = r"balance.sampling.background: expected background images for a share of 0.3, but all 2 train images"
    with pytest.raises(ConfigError, match=expected):
        SamplingSchedule(SamplingConfig(background=0.3), ClassStatistics.of([[0], [1]], 2), ["a", "b"], 0)
    SamplingSchedule(SamplingConfig(background=0.0), ClassStatistics.of([[0], [1]], 2), ["a", "b"], 0)


def test_open_and_close_draw_naturally_at_the_same_length():
    s = schedule(open=2, close=3, epoch_size=2.0, power=1.0)
    natural = [e for e in range(10) if s.natural(e, 10)]
    assert natural == [0, 1, 7, 8, 9]
    assert s.plan(0, 10) is s.plan(9, 10)
    assert s.plan(2, 10) is s.balanced
    np.testing.assert_array_equal(np.bincount(s.plan(0, 10).epoch(0), minlength=100), 2)


@pytest.mark.parametrize(("epochs", "natural"), [(12, [0, 1, 2, 3, 11]), (30, [*range(10), 28, 29]), (3, [0])])
def test_a_share_of_the_run_may_be_drawn_naturally(epochs, natural):
    s = schedule(open=0.33, close=0.08)
    assert [e for e in range(epochs) if s.natural(e, epochs)] == natural


def test_the_plan_is_the_same_object_until_something_changes():
    s = schedule()
    before = s.balanced
    s.follow(np.ones(3), np.zeros(100, bool))
    assert s.balanced is before
    s.follow(np.array([1.0, 1.0, 2.0]), np.zeros(100, bool))
    assert s.balanced is not before
    assert s.balanced.size == before.size


def test_multipliers_stay_under_the_cap():
    s = schedule(max_repeat=2.0, power=1.0, threshold=1.0)
    s.follow(np.array([1.0, 9.0, 9.0]), np.zeros(100, bool))
    assert s.balanced.factors[~STATISTICS.background].max() == 2.0


def test_options_a_strategy_has_no_use_for_are_named():
    assert SamplingConfig(strategy="class_uniform", power=1.0, aggregate="mean").unused() == ["aggregate", "power"]
    assert SamplingConfig(strategy="repeat_factor", power=1.0, beta=0.9).unused() == ["beta"]
    assert SamplingConfig(strategy="effective_number").unused() == []


# ---------------------------------------------------------------------------------------------------------------------
# Feedback
# ---------------------------------------------------------------------------------------------------------------------


def report(hits, n):
    """A report in which so many of n objects per class are found, on one clean image."""
    boxes = [(np.ones(h, bool), np.full(h, 0.9), np.full(h, c)) for c, h in enumerate(hits)]
    objects = [np.repeat(c, k) for c, k in enumerate(n)]
    empty = (np.zeros(0, bool), np.zeros(0), np.zeros(0))
    hit, confidence, predicted = zip(*boxes, empty, strict=True)
    outcomes = pooled(hit, confidence, predicted, [*objects, np.zeros(0)], num_classes=len(n))
    return RecallReport.of(outcomes, NAMES[: len(n)], false_alarms=[0.1])


def test_the_class_behind_gets_the_larger_factor():
    feedback = RecallFeedback(3, gain=1.0, smoothing=0.0)
    assert feedback.observe(report([20, 10, 0], [20, 20, 20])).all()
    low = [interval(h, 20)[0] for h in (20, 10, 0)]
    np.testing.assert_allclose(feedback.multipliers(), [1.0, low[0] / low[1], low[0] / 0.1])  # the floor


def test_smoothing_is_a_moving_average_from_the_first_validation():
    feedback = RecallFeedback(2, smoothing=0.75)
    feedback.observe(report([20, 10], [20, 20]))
    feedback.observe(report([20, 20], [20, 20]))
    ten, twenty = interval(10, 20)[0], interval(20, 20)[0]
    np.testing.assert_allclose(feedback.recall, [twenty, 0.75 * ten + 0.25 * twenty])


def test_gain_zero_changes_nothing():
    feedback = RecallFeedback(2, gain=0.0)
    feedback.observe(report([20, 0], [20, 20]))
    np.testing.assert_array_equal(feedback.multipliers(), 1)


def test_a_class_whose_n_cannot_tell_is_frozen():
    feedback = RecallFeedback(3)
    assert feedback.observe(report([20, 0, 0], [20, 11, 0])).tolist() == [True, False, False]
    np.testing.assert_array_equal(feedback.multipliers(), 1)
    assert informative(np.array([0, 1, 11, 12, 500]), 0.95).tolist() == [False, False, False, True, True]
    assert informative(np.array([15]), 0.999).tolist() == [False]


def test_the_state_survives_a_file():
    feedback, twin = RecallFeedback(3), RecallFeedback(3)
    feedback.observe(report([20, 3, 0], [20, 20, 5]))
    twin.restore(json.loads(json.dumps(feedback.state(NAMES))), NAMES)
    np.testing.assert_array_equal(twin.recall, feedback.recall)
    np.testing.assert_array_equal(twin.multipliers(), feedback.multipliers())


# ---------------------------------------------------------------------------------------------------------------------
# Exposure
# ---------------------------------------------------------------------------------------------------------------------


def test_the_deviation_chance_explains_is_that_of_independent_draws():
    rng = np.random.default_rng(0)
    images = [rng.choice(3, rng.integers(0, 4), p=[0.7, 0.2, 0.1]) for _ in range(50)]
    statistics = ClassStatistics.of(images, 3)
    expectation = rng.uniform(0.5, 3, 50)
    boxes = np.stack([np.bincount(image, minlength=3) for image in images])
    drawn = np.stack([boxes[rng.choice(50, 400, p=expectation / expectation.sum())].sum(0) for _ in range(4000)])
    shares = drawn / drawn.sum(1, keepdims=True)
    predicted = share_deviation(statistics, expectation, statistics.box_shares(expectation), round(drawn.sum(1).mean()))
    np.testing.assert_allclose(shares.std(0), predicted, rtol=0.05)


def exposure_of(main, partners, plan):
    exposure = Exposure(NAMES, STATISTICS)
    exposure.start_epoch(plan)
    exposure.add(np.array([main, partners]), np.repeat([0, 1, 2], np.array(main)), images=100)
    return exposure


def test_what_chance_and_the_tolerance_explain_is_not_remarked_on():
    plan = schedule(power=1.0).balanced
    asked = np.round(1e5 * STATISTICS.box_shares(plan.expectation)).astype(int)
    assert exposure_of(asked, 3 * asked, plan).deviations() == []
    off = asked + np.array([-500, 250, 250])
    assert exposure_of(off, 3 * off, plan).deviations() == []  # half a point
    few = asked // 2000
    few[2] += 2
    assert exposure_of(few, 3 * few, plan).deviations() == []  # four points, of fifty boxes


def test_what_they_do_not_explain_is_named_with_its_side():
    plan = schedule(power=1.0).balanced
    asked = np.round(1e5 * STATISTICS.box_shares(plan.expectation)).astype(int)
    natural = np.round(3e5 * STATISTICS.box_shares()).astype(int)
    off = exposure_of(asked, natural, plan).deviations()
    assert [d.name for d in off] == NAMES
    assert all(d.partners for d in off)
    assert not any(d.partners for d in exposure_of(natural, asked, plan).deviations())
    assert exposure_of(natural, natural, None).deviations() == []  # nothing was asked for


def test_counts_survive_being_summed_over_ranks():
    one, two = exposure_of([5, 3, 1], [9, 2, 4], None), exposure_of([1, 1, 1], [2, 2, 2], None)
    summed = one.counts() + two.counts()
    one.set_counts(summed)
    np.testing.assert_array_equal(one.picked, [[6, 4, 2], [11, 4, 6]])
    np.testing.assert_array_equal(one.reached, [6, 4, 2])
    assert one.images == 200
