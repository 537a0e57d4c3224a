"""How many objects a recall needs, against counting up one by one."""

from __future__ import annotations

from math import floor

import numpy as np
import pytest
from scipy.special import betainc

from yolo_balance.recall import interval
from yolo_balance.recall.evidence.needs import (
    boxes_for_half_width,
    boxes_for_verdict,
    boxes_to_show,
    more_objects,
    objects_to_show,
)


def slow(recall, target, confidence):
    """The first of 20 sizes in a row whose exact lower bound reaches the target."""

    def shows(n):
        return interval(floor(recall * n + 1e-9), n, confidence=confidence, method="exact")[0] >= target

    n = 1
    while not all(shows(m) for m in range(n, n + 20)):
        n += 1
    return n


@pytest.mark.parametrize("seed", range(4))
def test_objects_to_show_is_what_counting_up_finds(seed):
    rng = np.random.default_rng(seed)
    for _ in range(12):
        target = float(rng.uniform(0.02, 0.95))
        recall = min(target + float(rng.uniform(0.06, 0.6)), 1.0)
        confidence = float(rng.choice([0.8, 0.95, 0.99]))
        assert objects_to_show(recall, target, confidence) == slow(recall, target, confidence)


@pytest.mark.parametrize(("recall", "target"), [(0.95, 0.9), (0.99, 0.95), (19 / 20, 0.8), (2 / 3, 0.5), (0.1, 0.01)])
def test_objects_to_show_of_round_figures(recall, target):
    assert objects_to_show(recall, target) == slow(recall, target, 0.95)


def test_with_every_one_found_it_is_the_verdict_s_own_number():
    for target in (0.5, 0.8, 0.9, 0.95):
        assert objects_to_show(1.0, target) == boxes_for_verdict(target)
    assert objects_to_show(1.0, 0.9) == 36


def test_a_target_that_is_not_exceeded_is_never_shown():
    assert objects_to_show(0.9, 0.9) is None
    assert objects_to_show(0.0, 0.5) is None
    assert objects_to_show(0.9 + 1e-9, 0.9) is None
    assert objects_to_show(1.0, 1.0) is None


def test_a_close_call_takes_many_and_is_found_all_the_same():
    n = objects_to_show(0.9 + 1e-5, 0.9)
    assert n > 1e9

    def shows(m):
        found = np.floor((0.9 + 1e-5) * m + 1e-9)
        return betainc(found, m - found + 1, 0.9) <= 0.025

    assert shows(n)
    assert shows(n + 19)
    assert not shows(n - 1)


@pytest.mark.parametrize("chunk", [20, 23, 64])
def test_the_size_of_a_chunk_changes_nothing(monkeypatch, chunk):
    expected = [objects_to_show(recall, target) for recall, target in ((0.97, 0.9), (0.63, 0.6), (0.5, 0.2))]
    objects_to_show.cache_clear()
    monkeypatch.setattr("yolo_balance.recall.evidence.needs.CHUNK", chunk)
    assert [objects_to_show(recall, target) for recall, target in ((0.97, 0.9), (0.63, 0.6), (0.5, 0.2))] == expected
    objects_to_show.cache_clear()


def test_more_is_what_is_missing_and_never_negative():
    assert more_objects(20, 1.0, 0.9) == 16
    assert more_objects(100, 1.0, 0.9) == 0
    assert more_objects(20, 0.9, 0.9) is None
    assert more_objects(19.5, 1.0, 0.9) == 17  # of an effective sample, no part of an object
    assert more_objects(5, 1.0, 0.9, confidence=0.8) == slow(1.0, 0.9, 0.8) - 5


def test_without_a_target_more_is_what_a_tenth_takes():
    assert more_objects(0, 0.9) == boxes_for_half_width() == 42
    assert more_objects(30, 0.5) == boxes_for_half_width(recall=0.5) - 30
    assert more_objects(50, 0.9) == 0


def test_29_show_nine_tenths_at_a_one_sided_level():
    assert boxes_to_show() == 29
