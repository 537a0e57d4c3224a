"""What two readings show against each other."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.outcomes import pooled

from yolo_balance import RecallReport
from yolo_balance.recall import interval
from yolo_balance.recall.report import ClassRecall
from yolo_balance.run_folder.history import EpochRecall
from yolo_balance.views.recall.changes import ClassChange, against, change, since_last_epoch


def reading(hits, n):
    return ClassRecall(n, hits, hits / n, *interval(hits, n), 0.5) if n else ClassRecall(0, 0, None, None, None, 0.5)


def row(epoch, name, hits, n, budget=0.1):
    here = reading(hits, n)
    return EpochRecall(epoch, name, budget, n, hits, here.recall, here.bounds, 0.5, 0.1)


def test_only_intervals_that_do_not_overlap_show_a_change():
    rng = np.random.default_rng(0)
    seen = set()
    for n in rng.integers(1, 60, 300):
        a, b = (reading(int(hits), int(n)) for hits in rng.integers(0, n + 1, 2))
        found = change(a, b)
        apart = not any(a.low <= x <= a.high and b.low <= x <= b.high for x in (a.low, a.high, b.low, b.high))
        assert found.verdict == ("cannot conclude" if not apart else "rose" if b.recall > a.recall else "fell")
        assert found.difference == b.recall - a.recall
        seen.add(found.verdict)
    assert seen == {"rose", "fell", "cannot conclude"}


def test_intervals_that_touch_show_nothing():
    a, b = ClassRecall(10, 3, 0.3, 0.1, 0.5, 0.5), ClassRecall(10, 7, 0.7, 0.5, 0.9, 0.5)
    assert change(a, b).verdict == change(b, a).verdict == "cannot conclude"


def test_without_data_on_either_side_there_is_no_change():
    some, none = reading(1, 2), reading(0, 0)
    assert [change(*pair) for pair in ((some, none), (none, some), (None, some), (some, None))] == [None] * 4


def test_the_last_epoch_is_held_against_the_one_before():
    rows = [row(e, "a", hits, 40) for e, hits in ((1, 40), (5, 2), (9, 38))] + [row(9, "a", 0, 40, budget=1.0)]
    rows += [row(9, "new", 1, 2), row(5, "gone", 1, 2)]
    assert since_last_epoch(rows, 0.1) == {"a": ClassChange(pytest.approx(0.9), "rose"), "new": None}
    assert since_last_epoch(rows, 1.0) == {}
    assert since_last_epoch(rows, 0.5) == {}
    assert since_last_epoch([], 0.1) == {}


def test_budgets_are_the_same_as_far_as_the_file_tells():
    rows = [row(1, "a", 1, 9, budget=0.333333), row(2, "a", 1, 9, budget=0.333333)]
    assert since_last_epoch(rows, 1 / 3) == {"a": ClassChange(0.0, "cannot conclude")}


def test_a_baseline_is_read_at_the_same_budget():
    split = pooled([[1]] * 40, [[0.9]] * 40, [[0]] * 40, [[0]] * 40, 2)
    empty = pooled([[]] * 40, [[]] * 40, [[]] * 40, [[0]] * 40, 2)
    good, bad = (RecallReport.of(o, ["a", "b"], false_alarms=[0.1, 1.0]) for o in (split, empty))
    assert against(bad, good, 0.1) == {"a": ClassChange(1.0, "rose"), "b": None}
    assert against(good, bad, 1.0) == {"a": ClassChange(-1.0, "fell"), "b": None}
    assert against(RecallReport.of(split, ["a", "b"], false_alarms=[2.0]), good, 0.1) == {}
    assert against(RecallReport.of(split, ["x", "b"], false_alarms=[0.1]), good, 0.1) == {"a": None, "b": None}
