"""Laws of calibrations: the two rules restated slowly, what they leave alone, and the folds of what is held out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from helpers.comparisons import random_outcomes
from helpers.outcomes import pooled

from yolo_balance.losses.logit_adjustment import logit_offsets
from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.recall.decisions.calibration import Fit, fit, halves, out_of_fold, prior_shifts, shifted

SEEDS = range(6)


def outcomes(seed, **options):
    return random_outcomes(np.random.default_rng(seed), images=60, **options)[1]


def simulated(seed, effects, boxes=3000, slope=1.0, clean=True):
    """One box an image, a hit with the chance sigmoid(slope logit(confidence) + effect of its class)."""
    rng = np.random.default_rng(seed)
    images = []
    for i in range(boxes):
        c, x = int(rng.integers(len(effects))), rng.normal(0, 1.5)
        hit = rng.random() < 1 / (1 + math.exp(-slope * x - effects[c]))
        objects = [c] if hit or not clean else []
        iou = np.full((len(objects), 1), float(hit))
        images.append(ImageOutcome.of(iou, objects, [c], [1 / (1 + math.exp(-x))], file=f"{i:04d}.png"))
    return Outcomes.pool(images, len(effects))


def changed(o, boxes, seed=9):
    """The same with other confidences of some boxes."""
    other = np.random.default_rng(seed).uniform(0.02, 0.98, len(o.confidence))
    return dataclasses.replace(o, confidence=np.where(boxes, other, o.confidence))


def terms(o, images=None):
    """Per box that is fitted, (logit, whether it is a hit, class), as the docstring says."""
    rows, clean = [], set(range(o.images)) - set(o.object_image.tolist())
    for i in range(len(o.confidence)):
        image, is_hit = o.image[i], o.found[i] >= 0
        counts = image in clean if clean else True
        if o.confidence[i] < 0.01 or not (is_hit or counts) or (images is not None and not images[image]):
            continue
        p = min(o.confidence[i], 1 - 1e-4)
        rows.append((math.log(p / (1 - p)), float(is_hit), o.predicted[i]))
    known = {c for _, y, c in rows if y}
    return [row for row in rows if row[2] in known]


def newton(rows, num_classes, strength):
    """The penalised regression by Newton's method on an explicit design matrix."""
    design = np.array([[x, 1.0, *(float(c == k) for k in range(num_classes))] for x, _, c in rows])
    y = np.array([row[1] for row in rows])
    penalty = np.diag([0.0, 0.0] + [1 / strength**2] * num_classes)
    theta = np.zeros(num_classes + 2)
    for _ in range(60):
        p = 1 / (1 + np.exp(-design @ theta))
        gradient = design.T @ (p - y) + penalty @ theta
        theta = theta - np.linalg.solve(design.T @ (design * (p * (1 - p))[:, None]) + penalty, gradient)
    return theta


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("counts", [[800, 150, 15], [7, 7, 7], [5, 0, 1], [3], [10**7, 1]])
def test_prior_shifts_agree_with_the_paper_restated(counts, tau):
    shifts = prior_shifts(counts, tau=tau)
    pi = [n / sum(counts) for n in counts]
    for c, n in enumerate(counts):
        expected = -tau * math.log(pi[c]) + tau * math.log(max(pi)) if n else 0
        assert shifts[c] == pytest.approx(expected, abs=1e-12)


def test_prior_shifts_take_off_what_the_loss_of_that_name_adds():
    counts = np.array([800, 150, 15])
    np.testing.assert_allclose(prior_shifts(counts, tau=0.7), -logit_offsets(counts, tau=0.7), atol=1e-12)


def test_prior_shifts_are_nothing_where_classes_are_equal_or_unknown():
    with np.errstate(all="raise"):
        for counts, tau in (([4, 4], 1.0), ([0, 0], 1.0), ([], 1.0), ([800, 15, 0], 0.0)):
            assert prior_shifts(np.array(counts, np.int64), tau=tau).tolist() == [0] * len(counts)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_the_fit_agrees_with_newtons_method(seed, clean, strength):
    o = outcomes(seed, clean=clean, ties=bool(seed % 2))
    images = np.arange(o.images) % 3 > 0 if seed > 2 else None
    found = fit(o, strength=strength, images=images)
    np.testing.assert_allclose([found.a, found.b, *found.d], newton(terms(o, images), 3, strength), atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_effects_add_up_to_nothing(seed):
    assert fit(outcomes(seed), strength=100.0).d.sum() == pytest.approx(0, abs=1e-12)


def test_the_shift_undoes_a_class_s_effect():
    effects = np.array([0.5, 0.0, -0.5, -1.5])
    for slope in (1.0, 2.0):
        shifts = fit(simulated(0, effects, slope=slope), strength=10.0).shifts
        np.testing.assert_allclose(shifts, (effects - effects.mean()) / slope, atol=0.3)


def test_after_the_shift_there_is_nothing_left_to_fit():
    o = simulated(1, [0.0, -2.0, 1.0])
    shifts = fit(o, strength=100.0).shifts
    again = dataclasses.replace(o, confidence=shifted(o.confidence, o.predicted, shifts))
    kept = (o.confidence >= 0.01) & (again.confidence >= 0.01)
    assert kept.mean() > 0.98
    np.testing.assert_allclose(fit(again, strength=100.0).shifts, 0, atol=0.05)


def test_equal_classes_are_not_shifted():
    hits, scores = [True, False, True, False], [0.9, 0.6, 0.4, 0.2]
    image = (hits * 2, scores * 2, [0] * 4 + [1] * 4, [0, 0, 1, 1])
    o = pooled(*([part] * 5 for part in image), 2)
    np.testing.assert_allclose(fit(o).shifts, 0, atol=1e-6)


def test_the_weaker_the_effects_are_expected_the_smaller_they_are():
    o = simulated(2, [0.0, -2.0])
    sizes = [np.abs(fit(o, strength=strength).shifts).max() for strength in (1e-3, 0.03, 0.1, 1.0, 10.0)]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1e-3 < 0.5 < sizes[-1]


def test_a_class_of_few_hits_is_shrunk():
    o = simulated(3, [0.0, -2.0], boxes=4000)
    few = np.sort(np.r_[np.flatnonzero(o.predicted == 0), np.flatnonzero((o.predicted == 1) & o.hit)[:3]])
    found, of_all = (np.abs(fit(part, strength=0.3).shifts).max() for part in (o.subset(few), o))
    assert 0 < found < 0.2 < 0.6 < of_all


def test_a_class_without_a_hit_has_no_part():
    o = simulated(4, [0.0, -1.0, 0.5])
    without = np.where((o.predicted == 2) & o.hit, 0.001, o.confidence)  # under the floor
    o = dataclasses.replace(o, confidence=without)
    found = fit(o)
    assert found.d[2] == 0
    alone = fit(o.subset(np.flatnonzero(o.predicted < 2)))
    np.testing.assert_allclose([found.a, found.b, *found.d], [alone.a, alone.b, *alone.d], atol=1e-5)
    assert np.abs(found.d[:2]).min() > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_false_boxes_on_defective_images_count_only_without_clean_ones(seed):
    for clean in (True, False):
        o = outcomes(seed, clean=clean)
        other = fit(changed(o, ~o.hit & ~o.on_clean))
        assert np.array_equal(other.d, fit(o).d) == clean


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_under_the_floor_decide_nothing(seed):
    o = outcomes(seed)
    low = np.random.default_rng(seed).random(len(o.confidence)) < 0.3
    one, other = (dataclasses.replace(o, confidence=np.where(low, c, o.confidence)) for c in (0.001, 0.0099))
    assert np.array_equal(fit(one).d, fit(other).d)


def test_where_confidence_says_nothing_of_hits_nothing_is_shifted():
    o = simulated(5, [0.0, -1.0], slope=-1.0)
    found = fit(o)
    assert found.a < 0
    assert not found.usable
    assert found.shifts.tolist() == [0, 0]
    assert not Fit(0.0, 0.0, np.ones(2)).usable


def test_without_hits_or_false_boxes_nothing_is_shifted():
    nothing = pooled([[], []], [[], []], [[], []], [[0], []], 2)
    hits = pooled([[True], []], [[0.5], []], [[0], []], [[0], []], 2)
    false = pooled([[], [False]], [[], [0.5]], [[], [0]], [[0], []], 2)
    for o in (nothing, hits, false, Outcomes.pool([], 2)):
        assert fit(o).shifts.tolist() == [0, 0]
        assert np.array_equal(out_of_fold(o).confidence, o.confidence)


def test_saturated_confidences_are_fitted_and_shifted():
    o = pooled([[True, False]] * 9, [[1.0, 0.0]] * 9, [[0, 1]] * 9, [[0]] * 9, 2)
    with np.errstate(all="raise"):
        assert np.isfinite(fit(o).shifts).all()
        assert shifted(np.array([1.0, 0.0]), np.array([0, 1]), np.array([-3.0, 3.0])).tolist() == [1, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shift_keeps_a_class_s_order_and_is_one_in_the_logit(seed):
    rng = np.random.default_rng(seed)
    confidence = rng.random(500).astype(np.float32).astype(np.float64)
    predicted, shifts = rng.integers(0, 4, 500), np.array([-2.0, 0.0, 0.3, 4.0])
    after = shifted(confidence, predicted, shifts)
    for c in range(4):
        own = predicted == c
        assert np.array_equal(np.argsort(confidence[own], kind="stable"), np.argsort(after[own], kind="stable"))
    for p, q, c in zip(confidence, after, predicted, strict=True):
        assert math.log(q / (1 - q)) == pytest.approx(math.log(p / (1 - p)) + shifts[c], abs=1e-9)
    assert np.array_equal(after[predicted == 1], confidence[predicted == 1])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("clean", [True, False])
def test_halves_split_the_images_and_each_group_of_them_evenly(seed, clean):
    o = outcomes(seed, clean=clean)
    second = halves(o, seed=seed)
    assert second.shape == (o.images,)
    assert abs(2 * int(second.sum()) - o.images) <= 1
    objects = o.objects
    groups = {}
    for i in range(o.images):
        classes = set(o.object_class[o.object_image == i].tolist())
        rarest = min(classes, key=lambda c: (objects[c], c)) if classes else None
        groups.setdefault(rarest, []).append(bool(second[i]))
    assert len(groups) == 3 + clean
    for members in groups.values():
        assert abs(2 * sum(members) - len(members)) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_halves_follow_file_names_labels_and_seed_only(seed):
    o = outcomes(seed)
    second = halves(o, seed=seed)
    order = np.random.default_rng(seed).permutation(o.images)
    assert np.array_equal(halves(o.subset(order), seed=seed), second[order])
    assert np.array_equal(halves(changed(o, np.ones(len(o.confidence), bool)), seed=seed), second)
    assert not np.array_equal(halves(o, seed=seed + 1), second)


@pytest.mark.parametrize("seed", SEEDS)
def test_held_out_boxes_are_shifted_by_a_fit_on_the_other_half(seed):
    o = outcomes(seed)
    second, held_out = halves(o, seed=seed), out_of_fold(o, strength=0.5, seed=seed)
    for half in (True, False):
        shifts = fit(o.subset(np.flatnonzero(second != half)), strength=0.5).shifts
        here = second[o.image] == half
        expected = shifted(o.confidence[here], o.predicted[here], shifts)
        np.testing.assert_allclose(held_out.confidence[here], expected, atol=1e-5)
    kept = dataclasses.replace(held_out, confidence=o.confidence)
    assert all(np.array_equal(getattr(kept, f.name), getattr(o, f.name)) for f in dataclasses.fields(o))


@pytest.mark.parametrize("seed", SEEDS)
def test_shifts_of_a_half_do_not_depend_on_its_own_boxes(seed):
    o = simulated(seed, [0.0, -1.0, 1.0], boxes=300)
    own = halves(o, seed=seed)[o.image]
    other = changed(o, own)
    after, before = (out_of_fold(x, seed=seed).confidence for x in (other, o))
    shift = fit(o, images=~halves(o, seed=seed)).shifts
    assert np.abs(shift).min() > 0
    np.testing.assert_array_equal(after[own], shifted(other.confidence[own], o.predicted[own], shift))
    np.testing.assert_array_equal(before[own], shifted(o.confidence[own], o.predicted[own], shift))
    assert not np.array_equal(after[~own], before[~own])


@pytest.mark.parametrize("seed", SEEDS)
def test_what_each_box_found_stays_when_it_is_matched_again(seed):
    rng = np.random.default_rng(seed)
    iou, classes, guess = rng.random((4, 9)), rng.integers(0, 2, 4), rng.integers(0, 2, 9)
    score = rng.random(9)
    shifts = np.array([-1.5, 2.0])
    one, other = (ImageOutcome.of(iou, classes, guess, s) for s in (score, shifted(score, guess, shifts)))
    assert np.array_equal(one.found, other.found)
