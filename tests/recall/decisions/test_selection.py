"""Laws of the score that ranks epochs, and of what a rule reads and refuses on a data set."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from yolo_balance.config import BalanceConfig, RecallConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.recall import ClassRecall, RecallReport, interval
from yolo_balance.recall.decisions.selection import STEP, Selection, composite
from yolo_balance.recall.report import BudgetRecall

NAMES = ["scratch", "pit", "crack", "dent"]


def rule(best="worst_class_recall", *, train=(90, 40, 20, 5), val=(9, 4, 2, 3), clean=10, names=NAMES, **options):
    config = RecallConfig.model_validate({"best": best, **options})
    return Selection.of(config, names, train=np.array(train), val=np.array(val), clean_images=clean)


def report(hits, n, *, second=None):
    """A report by hand: hits of n per class at the first budget, others at a second one that nothing may read."""
    budgets = []
    for counts in (hits, hits if second is None else second):
        classes = {
            name: ClassRecall(t, h, h / t, *interval(h, t), 0.5) if t else ClassRecall(0, 0, None, None, None, 0.5)
            for name, h, t in zip(NAMES, counts, n, strict=True)
        }
        budgets.append(BudgetRecall(0.1, 0.5, 0.1, classes))
    return RecallReport("val", 0.5, 0.95, 20, 10, tuple(budgets))


def scored(selection, hits=(9, 4, 2, 3), n=(9, 4, 2, 3), *, fitness=0.3, map50_95=0.3, overkill=0.0, **more):
    return selection.score(report(hits, n, **more), fitness=fitness, map50_95=map50_95, overkill=overkill)


@pytest.mark.parametrize("seed", range(20))
def test_epochs_are_ordered_by_floors_then_recall_then_fitness(seed):
    rng = np.random.default_rng(seed)
    epochs = []
    for _ in range(60):
        n = int(rng.integers(1, 30))
        recall = interval(int(rng.integers(0, n + 1)), n)[0]
        epochs.append((bool(rng.integers(2)), recall, float(rng.integers(1, 40) / 20)))
    values = [composite(recall, fitness, meets=meets) for meets, recall, fitness in epochs]
    for (a, x), (b, y) in itertools.combinations(zip(epochs, values, strict=True), 2):
        first, second = ((meets, recall if meets else 0, fitness) for meets, recall, fitness in (a, b))
        assert (x > y) == (first > second)
        assert (x == y) == (first == second)


def test_no_fitness_reorders_two_lower_bounds():
    bounds = sorted({interval(h, n)[0] for n in range(1, 80) for h in range(n + 1)})
    far = 0
    for low, high in itertools.pairwise(bounds):
        if high - low > STEP:
            far += 1
            for worse, better in ((1e6, 1e-9), (2.0, 1e-9), (1e-9, -1e6)):
                assert composite(low, worse, meets=True) < composite(high, better, meets=True)
    assert far > 0.99 * len(bounds) > 500


def test_bounds_that_agree_but_for_rounding_are_ties():
    third = math.fsum([0.1, 0.2]) / 3
    assert composite(third, 0.4, meets=True) == composite(third + 1e-12, 0.4, meets=True)
    assert composite(third, 0.5, meets=True) > composite(third + 1e-12, 0.4, meets=True)


def test_the_formula():
    assert composite(0.25, 1.0, meets=True) == 1 + 0.25 + STEP / 4
    assert composite(0.25, 1.0, meets=False) == 0.5
    assert composite(0.25, 3.0, meets=False) == 0.75


@pytest.mark.parametrize("meets", [True, False])
def test_what_found_nothing_is_last_and_what_is_no_number_stays_none(meets):
    assert composite(0.0, 0.0, meets=meets) == 0.0 < composite(0.0, 1e-4, meets=False)
    assert math.isnan(composite(0.5, math.nan, meets=meets))
    assert composite(0.5, math.inf, meets=meets) == math.inf


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("best", ["worst_class_recall", "rare_recall"])
def test_scores_agree_with_the_rule_restated(seed, best):
    rng = np.random.default_rng(seed)
    train, n = rng.permutation([80, 30, 10, 10]), rng.integers(0, 6, 4)
    rare = [c for c in range(4) if train[c] < np.median(train)]
    read = [c for c in range(4) if n[c] and (best == "worst_class_recall" or c in rare)]
    if not read:
        with pytest.raises(ConfigError):
            rule(best, train=train, val=n)
        return
    hits = [int(rng.integers(0, t + 1)) for t in n]
    score = scored(rule(best, train=train, val=n), hits, n.tolist(), second=[0] * 4)
    bounds = [interval(hits[c], int(n[c]))[0] for c in read]
    assert score.recall == pytest.approx(min(bounds) if best == "worst_class_recall" else np.mean(bounds))
    assert score.lowest == NAMES[read[int(np.argmin(bounds))]]
    assert (score.low, score.hits, score.n) == (min(bounds), hits[read[np.argmin(bounds)]], n[read[np.argmin(bounds)]])
    assert score.value == composite(score.recall, 0.3, meets=True)


def test_the_worst_class_by_hand():
    score = scored(rule(), hits=(9, 1, 2, 3))
    assert (score.lowest, score.hits, score.n) == ("pit", 1, 4)
    assert score.recall == score.low == interval(1, 4)[0]


def test_the_rare_classes_are_those_under_the_median_of_the_classes_there_are():
    assert rule("rare_recall").classes == ("crack", "dent")
    assert rule("rare_recall", train=(90, 40, 20, 0)).classes == ("crack",)  # median 40
    assert rule("rare_recall", train=(90, 40, 0, 0)).classes == ("pit",)  # median 65
    assert rule("rare_recall", val=(9, 4, 0, 3)).classes == ("dent",)
    assert rule("worst_class_recall", val=(9, 4, 0, 3)).classes == ("scratch", "pit", "dent")


def test_a_class_that_the_validation_had_no_object_of_is_no_data():
    score = scored(rule(), hits=(9, 4, 2, 0), n=(9, 4, 2, 0))
    assert score.lowest == "crack"
    with pytest.raises(DataError, match=r"the validation saw no object of scratch, pit, crack and dent$"):
        scored(rule(), hits=(0,) * 4, n=(0,) * 4)


FLOORS = {"floors": {"map50_95": 0.25, "overkill": 0.05}}


@pytest.mark.parametrize(
    ("map50_95", "overkill", "missed"),
    [
        (0.25, 0.05, ()),
        (0.2, 0.0, ("mAP50-95 0.2000 under 0.25",)),
        (0.3, 0.0625, ("overkill 0.0625 over 0.05",)),
        (0.1, 1.0, ("mAP50-95 0.1000 under 0.25", "overkill 1.0000 over 0.05")),
        (math.nan, 0.0, ("mAP50-95 nan under 0.25",)),
    ],
)
def test_floors_come_first(map50_95, overkill, missed):
    score = scored(rule(**FLOORS), map50_95=map50_95, overkill=overkill, fitness=0.5)
    assert score.missed == missed
    assert (score.value > scored(rule(**FLOORS), hits=(0,) * 4, fitness=0.1).value) == (not missed)
    assert scored(rule(), map50_95=map50_95, overkill=overkill).missed == ()


@pytest.mark.parametrize(
    ("best", "options", "lines"),
    [
        (
            "worst_class_recall",
            {"val": (0, 0, 0, 0)},
            ["best: worst_class_recall needs objects in val, which has none"],
        ),
        ("rare_recall", {"val": (0, 0, 0, 0)}, ["best: rare_recall needs objects in val, which has none"]),
        (
            "rare_recall",
            {"train": (7, 7, 7, 0)},
            [
                "best: rare_recall needs a class with fewer boxes in train than the median of 7; no class has fewer, "
                "scratch 7, pit 7 and crack 7"
            ],
        ),
        (
            "rare_recall",
            {"val": (9, 4, 0, 0), "clean": 0, **FLOORS},
            [
                "best: rare_recall needs objects of a rare class in val, without: crack and dent",
                "floors.overkill: needs defect-free images in val, which has none",
            ],
        ),
    ],
)
def test_what_the_data_does_not_have_is_said(best, options, lines):
    with pytest.raises(ConfigError) as caught:
        rule(best, **options)
    assert caught.value.problems == [f"balance.recall.{line}" for line in lines]


def test_what_decides_nothing_is_remarked():
    assert rule(**FLOORS).remarks == ()
    (line,) = rule(train=(90, 40, 20, 0)).remarks
    assert line.startswith("balance.recall.best: worst_class_recall is that of a class without boxes in train")
    assert line.endswith(": dent")
    (line,) = rule(floors={"overkill": 0.1}).remarks
    assert line == (
        "balance.recall.floors.overkill: 0.1 cannot be missed, the first budget of 0.1 false boxes per defect-free "
        "image allows no more images to be rejected"
    )
    assert rule(floors={"overkill": 1.0}, false_alarms=[2.0]).remarks
    assert not rule(floors={"overkill": 0.9}, false_alarms=[2.0]).remarks


def test_runs_may_be_compared_where_the_rule_is_the_same():
    assert rule().by == rule(targets={"pit": 0.5}, false_alarms=[0.1, 9.0]).by
    others = [
        rule("rare_recall"),
        rule(**FLOORS),
        rule(floors={"map50_95": 0.25}),
        rule(iou=0.75),
        rule(confidence=0.9),
        rule(false_alarms=[0.2]),
    ]
    assert len({selection.by for selection in (rule(), *others)}) == 7


WEIGHTS = {"worst_class_recall": 1, "map50_95": 0.5, "rare_recall": 2, "mean_recall": 0.25, "map50": 0.75}


@pytest.mark.parametrize("seed", range(10))
def test_weights_take_the_mean_of_the_figures_restated(seed):
    rng = np.random.default_rng(seed)
    hits = [int(rng.integers(0, t + 1)) for t in (9, 4, 2, 3)]
    lows = [interval(h, t)[0] for h, t in zip(hits, (9, 4, 2, 3), strict=True)]
    selection = rule(WEIGHTS)
    assert (selection.classes, selection.rare) == (tuple(NAMES), ("crack", "dent"))
    score = selection.score(report(hits, (9, 4, 2, 3)), fitness=0.3, map50_95=0.2, map50=0.6, overkill=None)
    by_hand = 1 * min(lows) + 0.5 * 0.2 + 2 * np.mean(lows[2:]) + 0.25 * np.mean(lows) + 0.75 * 0.6
    assert score.recall == pytest.approx(by_hand / 4.5)
    assert score.value == composite(score.recall, 0.3, meets=True)
    assert score.lowest == NAMES[int(np.argmin(lows))]


@pytest.mark.parametrize("best", ["worst_class_recall", "rare_recall"])
def test_one_weight_is_the_rule_of_that_name(best):
    hits = (7, 1, 1, 0)
    named, weighted = scored(rule(best), hits), scored(rule({best: 3.0}), hits)
    assert (named.value, named.lowest) == (weighted.value, weighted.lowest)


def test_weights_of_map_alone_rank_by_it_and_floors_still_come_first():
    selection = rule({"map50_95": 2}, **FLOORS)
    values = [scored(selection, map50_95=m, fitness=0.5).value for m in (0.2, 0.26, 0.3)]
    assert values == sorted(values)
    assert scored(selection, map50_95=0.2).missed == ("mAP50-95 0.2000 under 0.25",)
    assert scored(rule({"map50_95": 2}), map50_95=math.nan).recall == 0


def test_weights_ask_the_data_for_what_their_figures_need_and_are_named_in_the_rule():
    with pytest.raises(ConfigError, match="needs a class with fewer boxes in train than the median"):
        rule({"rare_recall": 1, "map50": 1}, train=(7, 7, 7, 0))
    assert rule({"map50": 1}, train=(7, 7, 7, 0)).remarks == ()
    (line,) = rule({"map50": 1, "worst_class_recall": 2}, train=(90, 40, 20, 0)).remarks
    assert line.endswith("and the other figures decide: dent")
    assert rule({"map50": 1, "worst_class_recall": 2}).by.startswith("1 map50 + 2 worst_class_recall at 0.1 false")


@pytest.mark.parametrize(
    ("best", "message"),
    [
        (
            "fitnes",
            "balance.recall.best: expected 'fitness', 'worst_class_recall' or 'rare_recall'",
        ),
        (2, "balance.recall.best: expected 'fitness', 'worst_class_recall' or 'rare_recall'"),
        ({}, "balance.recall.best: expected a weight for one of the figures worst_class_recall, rare_recall, mean"),
        ({"map": 1}, "balance.recall.best.map: expected one of the figures worst_class_recall, rare_recall, mean"),
        ({"map50": 0}, "balance.recall.best.map50: expected a weight above 0 and at most 1000000, got 0"),
        ({"map50": "a"}, "balance.recall.best.map50: expected a weight above 0 and at most 1000000, got a"),
        ({True: 1}, "balance.recall.best.true: expected one of the figures"),
    ],
)
def test_weights_that_cannot_be_are_one_line(best, message):
    with pytest.raises(ConfigError) as caught:
        BalanceConfig.load({"recall": {"best": best}})
    (line,) = caught.value.problems
    assert line.startswith(message)
