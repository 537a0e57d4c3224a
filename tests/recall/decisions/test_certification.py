"""Certificates of simulated worlds, and of splits that a test can write down."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from helpers.matrices import sampled
from scipy.special import expit, logit, ndtr

from yolo_balance.errors import ConfigError
from yolo_balance.recall import Outcomes, interval
from yolo_balance.recall.decisions.certificate import Terms, level_words
from yolo_balance.recall.decisions.certification import certify_outcomes
from yolo_balance.recall.evidence.betting import fewest_clean_units
from yolo_balance.recall.matching import NONE

RATE, SHIFT = 0.6, 2.0
"""False boxes on a clean image at any confidence; logits of false boxes are N(0, 1), of found objects N(2, 1)."""


def outcomes(false_image, false_confidence, object_image, object_confidence, images, object_class=None, classes=1):
    """A split of which each object has one box, at the confidence given; 0 for an object without a box."""
    objects = len(object_image)
    boxed = np.flatnonzero(object_confidence)
    kinds = np.zeros(objects, np.int64) if object_class is None else np.asarray(object_class, np.int64)
    found = np.r_[np.full(len(false_image), NONE), boxed]
    nothing = np.full(len(found), NONE)
    return Outcomes(
        confidence=np.r_[false_confidence, np.asarray(object_confidence)[boxed]].astype(float),
        predicted=np.r_[np.zeros(len(false_image), np.int64), kinds[boxed]],
        image=np.r_[false_image, np.asarray(object_image)[boxed]].astype(np.int64),
        found=found,
        own=nothing,
        own_iou=np.zeros(len(found), np.float32),
        other=nothing,
        other_iou=np.zeros(len(found), np.float32),
        box=np.zeros((len(found), 4), np.float32),
        object_class=kinds,
        object_image=np.asarray(object_image, np.int64),
        object_box=np.zeros((objects, 4), np.float32),
        prime_iou=np.zeros(objects, np.float32),
        prime_score=np.zeros(objects, np.float32),
        files=tuple(f"{i}.png" for i in range(images)),
        unit=np.arange(images),
        num_classes=classes,
    )


def world(rng, clean, defective, clustered):
    """Clean images first; an image in three has three times as many false boxes where alarms are clustered."""
    images = clean + defective
    rate = RATE * (3 * (rng.random(images) < 1 / 3) if clustered else 1)
    false_image = np.repeat(np.arange(images), rng.poisson(rate, images))
    per_image = rng.integers(1, 4, defective) if clustered else np.ones(defective, np.int64)
    object_image = clean + np.repeat(np.arange(defective), per_image)
    scores = [expit(rng.normal(mean, 1, n)) for mean, n in ((0, len(false_image)), (SHIFT, len(object_image)))]
    return outcomes(false_image, scores[0], object_image, scores[1], images)


def truth(threshold, cap, clustered):
    """Capped false boxes per image, and share of images with every object found, of all parts there may be."""
    above, found = 1 - ndtr(logit(threshold)), 1 - ndtr(logit(threshold) - SHIFT)

    def capped(rate):
        chances = [np.exp(-rate) * rate**k / np.prod(np.arange(1, k + 1)) for k in range(cap)]
        return cap - sum((cap - k) * p for k, p in enumerate(chances))

    if not clustered:
        return capped(RATE * above), found
    return capped(3 * RATE * above) / 3, np.mean([found, found**2, found**3])


def allowed(alpha, worlds):
    """The count of false statements that a true rate of alpha exceeds once in a thousand times."""
    tail, k = 1.0, -1
    while tail > 1e-3:
        k += 1
        tail -= comb(worlds, k) * alpha**k * (1 - alpha) ** (worlds - k)
    return k


@pytest.mark.parametrize("worlds", sampled([60, 2000], [60]))
@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("images", sampled([(300, 60), (0, 200), (1000, 20), (3000, 200)], [(300, 60), (0, 200)]))
def test_a_statement_is_false_in_no_more_worlds_than_the_level_says(images, clustered, worlds):
    """The target is the recall where the true budget ends, the hardest to tell."""
    rng, budget, cap = np.random.default_rng(sum(images)), 0.1, 3
    grid = expit(np.linspace(-2, 6, 801))
    edge = next(t for t in grid if truth(t, cap, clustered)[0] <= budget)
    target = truth(edge, cap, clustered)[1]
    wrong = certified = 0
    for _ in range(worlds):
        answer = certify_outcomes(
            world(rng, *images, clustered), ["crack"], np.array([0.9]), Terms({"crack": target * 0.97}, budget)
        )
        alarms, recall = truth(answer.classes["crack"].threshold, cap, clustered)
        row = answer.classes["crack"]
        holds = alarms <= budget and recall >= row.target
        wrong += (answer.answer == "certified" and not holds) or (answer.answer == "refuted" and recall >= row.target)
        certified += answer.answer == "certified"
    assert wrong <= allowed(0.05, worlds)


def split(clean=400, alarmed=0, found=60, missed=0):
    """Clean images, some with a false box at .9, and images with an object found at .8 or missed."""
    objects = np.r_[np.full(found, 0.8), np.zeros(missed)]
    images = np.arange(clean, clean + found + missed)
    return outcomes(np.arange(alarmed), np.full(alarmed, 0.9), images, objects, clean + found + missed)


def certified(of, **terms):
    return certify_outcomes(of, ["crack"], np.array([0.5]), Terms(**terms))


def test_a_certificate_is_a_sentence():
    answer = certified(split(alarmed=9), targets={"crack": 0.9})
    assert (answer.answer, answer.exit_code) == ("certified", 0)
    assert answer.statement == (
        "With 95 % confidence, on images like these: at most 0.1 false boxes per clean image (counting at most 3 an image); "
        "every crack found on at least 90 % of images with crack."
    )
    row = answer.classes["crack"]
    assert (row.n, row.hits) == (60, 60)
    assert row.low == interval(60, 60, method="exact")[0]
    content = answer.to_dict()
    assert content["false_alarms"]["bound"] <= content["false_alarms"]["budget"] == 0.1
    assert content["false_alarms"]["measured"] == 9 / 400
    assert content["needed"] == {"clean_images": 0, "objects": {"crack": 0}}


def test_what_is_missing_is_counted():
    fewest = fewest_clean_units(0.1, 3, 0.025)
    answer = certified(split(clean=50, found=20), targets={"crack": 0.9})
    assert (answer.exit_code, answer.needed.clean_images) == (2, fewest - 50)
    assert answer.statement == (
        f"Cannot be certified: it takes 16 more images with crack and {fewest - 50} more clean images."
    )
    assert certified(split(clean=fewest, found=36), targets={"crack": 0.9}).exit_code == 0
    assert certified(split(clean=fewest - 1, found=36), targets={"crack": 0.9}).exit_code == 2


def test_a_promise_that_is_ruled_out_is_refuted():
    answer = certified(split(found=30, missed=30), targets={"crack": 0.9})
    assert (answer.exit_code, answer.statement) == (
        1,
        "Refuted: crack is found on at most 63.2% of images, promised were 90.0%.",
    )
    sure = outcomes(np.arange(400), np.ones(400), [400], [0.8], 401)  # a false box of confidence 1 on each clean image
    assert certified(sure).statement.startswith("Refuted: no thresholds keep at most 0.1 false boxes per clean image")


def test_rejected_images_take_fewer_clean_ones():
    answer = certified(split(clean=80), budget=None, overkill=0.05)
    assert answer.exit_code == 0
    assert answer.false_alarms.bound == interval(0, 80, method="exact")[1]
    assert "at most 5.00% of clean images rejected" in answer.statement
    assert certified(split(clean=70), budget=None, overkill=0.05).needed.clean_images == 2


def test_later_looks_spend_less():
    first, second = (certified(split(), targets={"crack": 0.9}, number=k) for k in (1, 2))
    assert second.classes["crack"].low < first.classes["crack"].low
    assert "With 93.7 % confidence" in second.statement
    assert "With 95 % confidence" in certified(split(), number=2, grows=True).statement
    assert [level_words(share) for share in (0.95, 0.9375, 0.99, 0.9999)] == ["95 %", "93.7 %", "99 %", "99.9 %"]


@pytest.mark.parametrize(
    ("of", "terms", "line"),
    [
        (split(), {"targets": {"dent": 0.9}}, "targets: expected classes of the model, crack, got dent"),
        (split(found=0), {"targets": {"crack": 0.9}}, "targets.crack: the split has no object of a promised class"),
        (outcomes([0], [np.nan], [1], [0.5], 2), {}, "weights: expected finite confidences, got some that are not"),
        (
            outcomes([0], [0.5], [1] * 5, [0.5] * 5, 2),
            {"hit": "objects"},
            "--cap: expected at least 5, the most objects",
        ),
    ],
)
def test_a_split_that_says_nothing_is_one_line(of, terms, line):
    with pytest.raises(ConfigError) as e:
        certified(of, **terms)
    assert str(e.value).startswith(line)
    assert "\n" not in str(e.value)
