"""Laws of the words for people: names stay apart."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_balance.text import distinct

NAMES = st.lists(st.sampled_from(["a", "b", "a (0)", "a (1)", "a (1) (2)", "a (2)", "", " (0)"]), max_size=9)


@settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(NAMES)
def test_distinct_names_differ_and_begin_as_they_did(names):
    different = distinct(names)
    assert len(set(different)) == len(different) == len(names)
    assert all(new.startswith(name) for name, new in zip(names, different, strict=True))
    assert distinct(different) == different


def test_names_that_nobody_shares_stay_as_they_are():
    assert distinct(["a", "a (0)", "b"]) == ["a", "a (0)", "b"]
