"""Laws of the verdicts: what an interval says of a promise, and of a change."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from scipy.special import bdtr

from yolo_balance.recall import ClassRecall, ImageOutcome, Outcomes, RecallReport, interval
from yolo_balance.recall.decisions.gate import Gate
from yolo_balance.recall.evidence.verdicts import change, needed, verdict
from yolo_balance.recall.report import BudgetRecall


def row(hits, n, confidence=0.95):
    low, high = interval(hits, n, confidence=confidence)
    return ClassRecall(n, hits, hits / n, low, high, 0.3, confidence=confidence)


def exact(hits, n, confidence=0.95):
    return interval(hits, n, confidence=confidence, method="exact")


def at_most(k, n, p):
    return sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def slow(hits, n, target, confidence):
    """Both tests of the target by sums of the binomial."""
    tail = (1 - confidence) / 2
    if 1 - at_most(hits - 1, n, target) <= tail:
        return "met"
    return "missed" if at_most(hits, n, target) < tail else "cannot conclude"


@pytest.mark.parametrize("seed", range(4))
def test_a_verdict_is_what_sums_of_the_binomial_say(seed):
    rng = np.random.default_rng(seed)
    seen = set()
    for _ in range(150):
        n = int(rng.integers(1, 120))
        hits = int(rng.binomial(n, rng.random()))
        target, confidence = float(rng.uniform(0.05, 1)), float(rng.choice([0.8, 0.95, 0.99]))
        answer = verdict(n, *exact(hits, n, confidence), target=target)
        assert answer == slow(hits, n, target, confidence)
        seen.add(answer)
    assert seen == {"met", "missed", "cannot conclude"}


@pytest.mark.parametrize("n", [10, 11, 17, 40, 100, 300, 3000])
@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_a_verdict_is_wrong_in_one_of_forty_splits_at_most(n, target):
    """Probabilities of every result of a detector at the target, the hardest to tell, summed without sampling."""
    hits = np.arange(n + 1)
    chances = np.diff(bdtr(hits, n, target), prepend=0.0)
    verdicts = np.array([verdict(n, *exact(int(h), n), target=target) for h in hits if chances[h] > 1e-9])
    chances = chances[chances > 1e-9]
    assert chances[verdicts == "missed"].sum() <= 0.025
    assert chances[verdicts == "met"].sum() <= 0.025 + 1e-9  # of one just below the target, at which `met` is wrong


def test_by_hand():
    assert verdict(36, *exact(36, 36), target=0.9) == "met"
    assert verdict(35, *exact(35, 35), target=0.9) == "cannot conclude"  # all found, and still too few
    assert verdict(40, *exact(38, 40), target=0.9) == "cannot conclude"  # as a good detector may well find
    assert verdict(5, *exact(1, 5), target=0.9) == "missed"  # few, and ruled out all the same
    assert verdict(20, *exact(20, 20), target=1.0) == "cannot conclude"
    assert verdict(20, *exact(19, 20), target=1.0) == "missed"


def test_a_bound_that_is_the_target_meets_it():
    assert verdict(12, 0.5, 0.9, target=0.5) == "met"
    assert verdict(2, 0.1, 0.9, target=0.9) == "cannot conclude"  # the upper bound does not rule it out


def test_no_objects_no_data_whatever_the_bounds():
    assert verdict(0, None, None, target=0.9) == "no data"
    assert verdict(0, 0.0, 1.0, target=0.9) == "no data"


def test_a_row_says_its_own_verdict():
    low, high = interval(20, 20)
    assert ClassRecall(20, 20, 1.0, low, high, 0.3).verdict is None
    assert ClassRecall(20, 20, 1.0, low, high, 0.3, 0.8).verdict == "met"
    assert ClassRecall(20, 20, 1.0, low, high, 0.3, 0.9).verdict == "cannot conclude"
    assert ClassRecall(0, 0, None, None, None, 0.3, 0.9).verdict == "no data"
    low, high = interval(12, 20)
    assert ClassRecall(20, 12, 0.6, low, high, 0.3, 0.85).verdict == "missed"
    assert ClassRecall(20, 12, 0.6, low, high, 0.3, 0.85, 0.99).verdict == "cannot conclude"


@pytest.mark.parametrize(
    ("hits", "n", "target", "words"),
    [
        (20, 20, 0.8, ""),
        (19, 20, 0.8, "14 more objects at this recall"),
        (16, 20, 0.8, "retrain: measured recall is not above the target"),
        (5, 20, 0.8, "retrain: the target is ruled out, more images will not help"),
        (20, 20, 0.9, "16 more objects at this recall"),
        (35, 35, 0.9, "1 more object at this recall"),
        (17, 20, 0.9, "retrain: measured recall is not above the target, and at least 16 more objects"),
        (31, 35, 0.9, "retrain: measured recall is not above the target, and at least 1 more object"),
        (20, 20, 1.0, "no number of objects shows a recall of 1"),
        (0, 0, 0.9, "36 objects, every one being found"),
    ],
)
def test_what_is_needed_is_said(hits, n, target, words):
    judged = verdict(n, *(exact(hits, n) if n else (None, None)), target=target)
    assert needed(n, hits / n if n else None, judged, target=target) == words


@pytest.mark.parametrize("seed", range(3))
def test_objects_named_as_needed_suffice(seed):
    rng = np.random.default_rng(seed)
    checked = 0
    for _ in range(60):
        n = int(rng.integers(5, 60))
        hits, target = int(rng.binomial(n, 0.9)), float(rng.uniform(0.5, 0.9))
        words = needed(n, hits / n, verdict(n, *exact(hits, n), target=target), target=target)
        if words.endswith("at this recall"):
            total = n + int(words.split()[0].replace(",", ""))
            found = int(np.floor(hits / n * total + 1e-9))
            assert verdict(total, *exact(found, total), target=target) == "met"
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


def test_a_class_with_several_objects_on_an_image_is_judged_on_images():
    """Two objects on each of 40 images: an image counts as found with both."""

    def report(found):
        images = [pooled_image(found[2 * i : 2 * i + 2]) for i in range(len(found) // 2)]
        outcomes = Outcomes.pool([*images, ImageOutcome.of([], [], [], [])], 1)
        return RecallReport.of(outcomes, ["crack"], false_alarms=[0.1], targets={"crack": 0.88})

    def pooled_image(found):
        return ImageOutcome.of(np.eye(2)[:, np.flatnonzero(found)], [0, 0], [0] * sum(found), [0.9] * sum(found))

    row = report([True] * 70 + [True, False] * 5).budgets[0].classes["crack"]
    assert (row.n, row.hits, row.judged_n, row.judged_hits) == (80, 75, 40, (35, 35))
    assert row.judged_bounds == exact(35, 40)
    assert row.verdict == "cannot conclude"
    older = replace(row, whole=None)  # five misses on one to five images
    assert older.judged_hits == (35, 39)
    assert older.judged_bounds == (exact(35, 40)[0], exact(39, 40)[1])
    promised = Gate.of(report([True] * 80), {"crack": 0.9}).promises[0]
    assert (promised.verdict, promised.needed) == ("met", "")
    promised = Gate.of(report([True] * 60), {"crack": 0.9}).promises[0]
    assert promised.needed == "6 more units at this recall"


def test_all_promises_together_need_no_correction_and_a_list_is_holm_s():
    def gate(**classes):
        rows = {name: row(*pair) for name, pair in classes.items()}
        report = RecallReport("val", 0.5, 0.95, 100, 50, (BudgetRecall(0.1, 0.3, 0.05, rows),))
        answer = Gate.of(report, dict.fromkeys(rows, 0.9))
        return answer.exit_code, [promise.verdict for promise in answer.promises]

    assert gate(a=(36, 36), b=(36, 36)) == (0, ["met", "met"])
    assert gate(a=(36, 36), b=(20, 20)) == (2, ["cannot conclude", "cannot conclude"])  # .9^36 is above .025 / 2
    assert gate(a=(60, 60), b=(20, 20)) == (2, ["met", "cannot conclude"])
    assert gate(a=(60, 60), b=(2, 20)) == (1, ["met", "missed"])
