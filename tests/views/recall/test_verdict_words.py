"""The rows of the table of verdicts say of each class what it would take to know more."""

import pytest

from yolo_balance.recall.evidence import verdicts
from yolo_balance.recall.evidence.needs import boxes_for_half_width, more_objects
from yolo_balance.recall.report import ClassRecall
from yolo_balance.views.recall.verdict_words import independent, needed, verdict


def found(hits, n, target=None, n_effective=None):
    return ClassRecall(
        n, hits, hits / n if n else None, 0.4 if n else None, 0.9 if n else None, 0.3, target, 0.95, n_effective
    )


def test_without_a_target_objects_are_missing_until_the_interval_is_narrow():
    assert needed(found(8, 10)) == f"{more_objects(10, 0.8)} more for ±0.1"
    assert needed(found(8, 10, n_effective=4.5)) == f"{more_objects(4.5, 0.8)} more for ±0.1"
    assert needed(found(800, 1000)) == ""


def test_without_objects_a_first_look_takes_as_many_as_a_narrow_interval():
    assert needed(found(0, 0)) == f"{boxes_for_half_width()} for a first look"
    assert needed(found(0, 0, target=0.9)) == verdicts.needed(0, None, "no data", target=0.9)


@pytest.mark.parametrize("target", [0.3, 0.6, 0.9])
def test_with_a_target_it_is_what_the_gate_says(target):
    row = found(8, 10, target, 7.5)
    assert needed(row) == verdicts.needed(10, 0.8, row.verdict, target=target)


def test_independent_objects_are_told_where_they_read_otherwise():
    assert independent(found(8, 10)) is None
    assert independent(found(8, 10, n_effective=9.99)) is None
    assert independent(found(8, 10, n_effective=9.9)) == 9.9


def test_verdicts_are_in_the_house_s_words():
    assert verdict(found(0, 0, target=0.9)) == "no data"
    assert verdict(found(3, 4)) == "no target"
    assert verdict(found(6, 7, target=0.3)) == "target met"
    assert verdict(found(4, 9, target=0.95)) == "target missed"
