"""Laws of the verdicts: what an interval says of a promise, and of a change."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.recall import ClassRecall, ImageOutcome, Outcomes, RecallReport, interval
from yolo_balance.recall.decisions.gate import Gate
from yolo_balance.recall.evidence.verdicts import best_lower_bound, change, needed, verdict


def row(hits, n, confidence=0.95):
    low, high = interval(hits, n, confidence=confidence)
    return ClassRecall(n, hits, hits / n, low, high, 0.3, confidence=confidence)


def slow(hits, n, target, confidence):
    """The definition, by trying what n found would have given."""
    low, high = interval(hits, n, confidence=confidence)
    if low >= target:
        return "met"
    if high < target:
        return "missed"
    return "missed" if interval(n, n, confidence=confidence)[0] >= target else "cannot conclude"


@pytest.mark.parametrize("seed", range(4))
def test_a_verdict_is_what_trying_says(seed):
    rng = np.random.default_rng(seed)
    seen = set()
    for _ in range(150):
        n = int(rng.integers(1, 120))
        hits = int(rng.binomial(n, rng.random()))
        target, confidence = float(rng.uniform(0.05, 1)), float(rng.choice([0.8, 0.95, 0.99]))
        low, high = interval(hits, n, confidence=confidence)
        answer = verdict(n, low, high, target=target, confidence=confidence)
        assert answer == slow(hits, n, target, confidence)
        seen.add(answer)
    assert seen == {"met", "missed", "cannot conclude"}


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 2, 20, 35, 4000])
def test_the_best_lower_bound_is_that_of_all_found(n, confidence):
    assert best_lower_bound(n, confidence) == pytest.approx(interval(n, n, confidence=confidence)[0], abs=1e-12)


def test_by_hand():
    assert verdict(35, *interval(35, 35), target=0.9) == "met"
    assert verdict(34, *interval(34, 34), target=0.9) == "cannot conclude"  # all found, and still too few
    assert verdict(35, *interval(34, 35), target=0.9) == "missed"  # n would have sufficed
    assert verdict(5, *interval(1, 5), target=0.9) == "missed"  # too few, and ruled out all the same
    assert verdict(5, *interval(4, 5), target=0.9) == "cannot conclude"
    assert verdict(20, *interval(20, 20), target=1.0) == "cannot conclude"
    assert verdict(20, *interval(19, 20), target=1.0) == "missed"


def test_a_bound_that_is_the_target_meets_it():
    assert verdict(12, 0.5, 0.9, target=0.5) == "met"
    assert verdict(2, 0.1, 0.9, target=0.9) == "cannot conclude"  # the upper bound does not rule it out


def test_no_objects_no_data_whatever_the_bounds():
    assert verdict(0, None, None, target=0.9) == "no data"
    assert verdict(0, 0.0, 1.0, target=0.9) == "no data"


def test_an_effective_sample_size_decides_like_as_many_objects():
    assert verdict(40.0, 0.5, 0.95, target=0.9) == "missed"
    assert verdict(34.57, 0.5, 0.95, target=0.9) == "cannot conclude"  # 34.57 / (34.57 + 3.84) is just under .9
    assert verdict(34.58, 0.5, 0.95, target=0.9) == "missed"


def test_a_row_says_its_own_verdict():
    low, high = interval(20, 20)
    assert ClassRecall(20, 20, 1.0, low, high, 0.3).verdict is None
    assert ClassRecall(20, 20, 1.0, low, high, 0.3, 0.8).verdict == "met"
    assert ClassRecall(20, 20, 1.0, low, high, 0.3, 0.9).verdict == "cannot conclude"
    assert ClassRecall(0, 0, None, None, None, 0.3, 0.9).verdict == "no data"
    low, high = interval(18, 20, confidence=0.5)
    assert ClassRecall(20, 18, 0.9, low, high, 0.3, 0.95, 0.5).verdict == "missed"  # 20 of 20 show .95 at level .5


@pytest.mark.parametrize(
    ("hits", "n", "target", "words"),
    [
        (20, 20, 0.8, ""),
        (19, 20, 0.8, "13 more objects at this recall"),
        (16, 20, 0.8, "retrain: measured recall is not above the target, more images will not help"),
        (5, 20, 0.8, "retrain: measured recall is not above the target, more images will not help"),
        (20, 20, 0.9, "15 more objects at this recall"),
        (34, 34, 0.9, "1 more object at this recall"),
        (17, 20, 0.9, "retrain: measured recall is not above the target, and at least 15 more objects"),
        (30, 34, 0.9, "retrain: measured recall is not above the target, and at least 1 more object"),
        (20, 20, 1.0, "no number of objects shows a recall of 1"),
        (0, 0, 0.9, "35 objects, every one being found"),
    ],
)
def test_what_is_needed_is_said(hits, n, target, words):
    low, high = interval(hits, n) if n else (None, None)
    judged = verdict(n, low, high, target=target)
    assert needed(n, hits / n if n else None, judged, target=target) == words


@pytest.mark.parametrize("seed", range(3))
def test_objects_named_as_needed_suffice(seed):
    rng = np.random.default_rng(seed)
    checked = 0
    for _ in range(60):
        n = int(rng.integers(5, 60))
        hits, target = int(rng.binomial(n, 0.9)), float(rng.uniform(0.5, 0.9))
        low, high = interval(hits, n)
        words = needed(n, hits / n, verdict(n, low, high, target=target), target=target)
        if words.endswith("at this recall"):
            total = n + int(words.split()[0])
            found = int(np.floor(hits / n * total + 1e-9))
            assert verdict(total, *interval(found, total), target=target) == "met"
            checked += 1
    assert checked > 5


def test_a_change_needs_intervals_apart():
    assert change(interval(5, 40), interval(30, 40)) == "rose"
    assert change(interval(30, 40), interval(5, 40)) == "fell"
    assert change(interval(10, 40), interval(14, 40)) == "cannot conclude"
    assert change(interval(5, 40), interval(5, 40)) == "cannot conclude"
    assert change(None, interval(40, 40)) == change(interval(40, 40), None) == "cannot conclude"


def test_intervals_that_touch_decide_nothing():
    assert change((0.1, 0.5), (0.5, 0.9)) == change((0.5, 0.9), (0.1, 0.5)) == "cannot conclude"


@pytest.mark.parametrize("seed", range(3))
def test_the_other_way_round_a_rise_is_a_fall(seed):
    rng = np.random.default_rng(seed)
    mirror = {"rose": "fell", "fell": "rose", "cannot conclude": "cannot conclude"}
    seen = set()
    for _ in range(60):
        before, after = (interval(int(rng.binomial(50, p)), 50) for p in rng.random(2))
        answer = change(before, after)
        assert change(after, before) == mirror[answer]
        seen.add(answer)
    assert len(seen) == 3


def test_finding_one_more_never_turns_a_missed_target_into_an_undecided_one():
    """Objects of one image are worth less when all are found, and so was what they could have shown."""

    def report(found):
        images = [pooled_image(found[2 * i : 2 * i + 2]) for i in range(len(found) // 2)]
        outcomes = Outcomes.pool([*images, ImageOutcome.of([], [], [], [])], 1)
        return RecallReport.of(outcomes, ["crack"], false_alarms=[0.1], targets={"crack": 0.88})

    def pooled_image(found):
        return ImageOutcome.of(np.eye(2)[:, np.flatnonzero(found)], [0, 0], [0] * sum(found), [0.9] * sum(found))

    whole, one_less = [True] * 40, [True] * 39 + [False]
    rows = [report(found).budgets[0].classes["crack"] for found in (whole, one_less)]
    assert [row.images for row in rows] == [20, 20]
    assert rows[0].n_effective == 20 < rows[1].n_effective
    assert [row.verdict for row in rows] == ["cannot conclude", "cannot conclude"]
    promised = Gate.of(report(one_less), {"crack": 0.88})
    assert (promised.exit_code, promised.promises[0].verdict) == (2, "cannot conclude")
