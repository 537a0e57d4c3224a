"""Tests of one level: where a walk ends, which promises of a list hold, and what looks spend."""

from __future__ import annotations

import pytest

from yolo_balance.recall.evidence.several_tests import holm, last_of_walk, look_alpha, spent


@pytest.mark.parametrize("steps", [1, 2, 7, 2001])
def test_a_walk_ends_before_the_first_step_that_fails(steps):
    for fails in {0, 1, steps // 2, steps - 1, steps}:
        assert last_of_walk(steps, lambda step, fails=fails: step < fails) == (fails - 1 if fails else None)


def test_a_list_of_promises_is_holm_s():
    assert holm({"a": 0.012, "b": 0.03, "c": 0.024, "d": 0.5}, 0.05) == {"a"}
    assert holm({"a": 0.012, "b": 0.02, "c": 0.016, "d": 0.05}, 0.05) == {"a", "b", "c", "d"}
    assert holm({}, 0.05) == frozenset()


def test_looks_spend_less_and_less():
    assert [look_alpha(0.95, k, grows=True) for k in (1, 2, 3)] == pytest.approx([0.025, 0.0125, 0.00625])
    assert [look_alpha(0.95, k, grows=False) for k in (1, 2, 3)] == pytest.approx([0.05, 0.0125, 0.00625])
    assert spent(0.95, 50, grows=True) == pytest.approx(0.05)
    assert spent(0.95, 2, grows=False) == pytest.approx(0.0625)
