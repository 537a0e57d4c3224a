"""Laws of a comparison: what differs is found, what does not is null, and names are data wherever they are written."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import simulated_run
from helpers.pages import HOSTILE, Page

from yolo_balance.comparison import Comparison, Key
from yolo_balance.comparison.comparison import COLUMNS
from yolo_balance.comparison.figures import Resampling, Split
from yolo_balance.errors import DataError
from yolo_balance.recall.split_counts import COUNTS, SplitCounts
from yolo_balance.views.comparison import comparison_page
from yolo_balance.views.comparison.comparison_console import render

OBJECTS = np.repeat([0, 1], [60, 30])
TRAIN = [500, 11]
RARE = Key("recall", "class", "rare", 0.1)
COMMON = Key("recall", "class", "common", 0.1)


def experiment(recall, *, seeds=3, objects=OBJECTS, names=("common", "rare"), **measured):
    """Runs per arm, each object of a class found with the arm's probability; the same hard images in every run."""
    hard = np.random.default_rng(0).random(len(objects))
    runs = {}
    for arm, by_class in recall.items():
        runs[arm] = []
        for seed in range(seeds):
            luck = np.random.default_rng([seed, len(arm)]).random(len(objects))
            found = 0.7 * hard + 0.3 * luck < np.asarray(by_class)[objects]
            runs[arm].append(simulated_run(seed, found, objects=objects, names=names, **measured.get(arm, {})))
    return runs


def compared(runs, train=TRAIN, first="stock", seeds=(0, 1, 2), **options):
    return Comparison.of(runs, train, first=first, seeds=seeds, resamples=400, **options)


def of(comparison, arm):
    return next(found for found in comparison.arms if found.name == arm)


def test_what_gains_what_loses_and_what_is_null():
    comparison = compared(experiment({"stock": [0.6, 0.4], "better": [0.6, 0.7], "worse": [0.6, 0.1]}))
    found = {arm: of(comparison, arm).figure(RARE).difference for arm in ("better", "worse")}
    assert {arm: d.verdict for arm, d in found.items()} == {"better": "gain", "worse": "loss"}
    for d in found.values():
        assert d.low < d.value < d.high
        assert (d.over, d.seeds) == ("seeds and images", 3)
    null = of(comparison, "better").figure(COMMON).difference
    assert null.verdict == "null"
    assert null.low <= 0 <= null.high
    assert all(figure.difference is None for figure in of(comparison, "stock").figures)


def test_the_difference_is_that_of_the_means():
    runs = experiment({"stock": [0.6, 0.2], "better": [0.5, 0.6]})
    comparison = compared(runs)
    for c, key in ((0, COMMON), (1, RARE)):
        recall = {
            arm: np.mean([(run.detections.object_confidence[c == OBJECTS] > 0).mean() for run in found])
            for arm, found in runs.items()
        }
        figure = of(comparison, "better").figure(key)
        assert figure.mean == pytest.approx(recall["better"])
        assert figure.difference.value == pytest.approx(recall["better"] - recall["stock"])


def test_an_arm_against_itself_is_null_everywhere():
    runs = experiment({"stock": [0.6, 0.3]})
    comparison = compared({**runs, "again": runs["stock"]})
    differences = [figure.difference for figure in of(comparison, "again").figures if figure.difference]
    assert {(d.value, d.low, d.high, d.verdict) for d in differences} == {(0.0, 0.0, 0.0, "null")}
    assert comparison.verdicts == len(differences) == 2 * 4 + 4 + 2


def test_rare_is_under_the_median_and_a_group_s_recall_the_mean_over_its_classes():
    objects, names = np.repeat([0, 1, 2, 4], 12), ("a", "b", "c", "not in val", "never trained")
    found = np.concatenate([np.arange(12) < hits for hits in (12, 9, 3, 6)])
    runs = {"stock": [simulated_run(0, found, objects=objects, names=names)]}
    comparison = compared(runs, [90, 20, 5, 4, 0], seeds=(0,))
    assert {name: counts.group for name, counts in comparison.classes.items()} == {
        "a": "common",
        "b": "common",
        "c": "rare",
        "not in val": "rare",
        "never trained": None,
    }
    figure = of(comparison, "stock").figure
    assert figure(Key("recall", "group", "common", 1.0)).mean == pytest.approx((1 + 0.75) / 2)
    assert figure(Key("recall", "group", "rare", 1.0)).mean == pytest.approx(0.25)
    assert figure(Key("reached", "group", "common")).mean == pytest.approx(0.4)
    assert "in neither group, without boxes in train: never trained" in render(comparison)


def test_with_one_seed_intervals_are_over_images_and_ap_has_none():
    comparison = compared(experiment({"stock": [0.6, 0.2], "better": [0.6, 0.6]}, seeds=1), seeds=(0,))
    better = of(comparison, "better")
    assert better.figure(RARE).difference.over == "images"
    assert better.figure(RARE).difference.verdict == "gain"
    ap = better.figure(Key("map50_95")).difference
    assert (ap.over, ap.low, ap.verdict) == ("seeds", None, None)
    assert "with one seed: they say nothing of what another seed would give" in render(comparison)


def test_average_precision_is_compared_over_paired_seeds():
    runs = experiment({"stock": [0.6, 0.2], "better": [0.6, 0.2]})
    values = {"stock": [0.30, 0.35, 0.40], "better": [0.41, 0.45, 0.51]}
    for arm, found in runs.items():
        runs[arm] = [
            simulated_run(run.seed, np.ones(90), objects=OBJECTS, map50_95=value)
            for run, value in zip(found, values[arm], strict=True)
        ]
    d = of(compared(runs), "better").figure(Key("map50_95")).difference
    assert d.value == pytest.approx(0.32 / 3)
    assert d.low == pytest.approx(0.32 / 3 - 4.302653 * np.std([0.11, 0.10, 0.11], ddof=1) / 3**0.5)
    assert (d.over, d.verdict) == ("seeds", "gain")


def test_a_class_that_few_images_hold_cannot_be_told():
    objects = np.repeat([0, 1], [60, 5])
    comparison = compared(experiment({"stock": [0.6, 0.0], "better": [0.6, 1.0]}, objects=objects))
    d = of(comparison, "better").figure(RARE).difference
    assert (d.value, d.verdict) == (1.0, "too few images")
    assert comparison.verdicts < 14


def test_a_class_without_objects_is_no_data():
    comparison = compared(experiment({"stock": [0.6, 0.2], "better": [0.6, 0.6]}, objects=np.zeros(40, np.int64)))
    figure = of(comparison, "better").figure(RARE)
    assert (figure.mean, figure.difference) == (None, None)
    assert of(comparison, "better").figure(Key("recall", "group", "rare", 0.1)).mean is None
    assert "no data" in render(comparison)


def test_seeds_are_paired_and_the_others_count_for_the_mean_alone():
    runs = experiment({"stock": [0.6, 0.2], "better": [0.6, 0.6]}, seeds=4)
    all_of_both = of(compared({**runs, "stock": runs["stock"][:2], "better": runs["better"][:2]}), "better")
    part = of(compared({**runs, "stock": runs["stock"][:2]}), "better")
    assert part.figure(RARE).difference == all_of_both.figure(RARE).difference
    assert len(part.figure(RARE).runs) == 4
    apart = compared({"stock": runs["stock"][:1], "better": runs["better"][1:]})
    assert of(apart, "better").figure(RARE).difference is None
    assert apart.others == ()


def test_each_run_is_compared_with_that_of_its_own_seed():
    rare = OBJECTS == 1
    hits = {0: 5, 2: 10, 3: 20}

    def run(seed, more):
        return simulated_run(seed, ~rare | (np.cumsum(rare) <= hits[seed] + more), objects=OBJECTS)

    comparison = compared({"stock": [run(s, 0) for s in (0, 2, 3)], "better": [run(s, s) for s in (3, 2)]})
    better = of(comparison, "better")
    assert better.figure(RARE).difference.value == pytest.approx((2 + 3) / 2 / 30)
    assert better.figure(RARE).runs == {2: pytest.approx(12 / 30), 3: pytest.approx(23 / 30)}
    assert of(comparison, "stock").figure(RARE).mean == pytest.approx(35 / 90)


def test_a_group_s_recall_in_a_resample_is_the_mean_over_the_classes_it_holds():
    objects = np.array([0, 0, 0, 1, 2])
    run = simulated_run(0, [1, 0, 1, 0, 1], objects=objects, names=("a", "b", "c"))
    split = Split(("a", "b", "c"), {"rare": (), "common": (0, 1, 2)}, (0, 5, 3, 1, 1))
    resampling = Resampling(10, 50, 0.95, seed=0)
    recall = resampling.recall([run], split)
    assert recall.shape == (51, 1, 2, 5)
    for weights, row in zip(resampling.images, recall[:, 0, 0], strict=True):
        held = [
            [(w, f) for w, f, c in zip(weights, (1, 0, 1, 0, 1), objects, strict=False) if c == k] for k in range(3)
        ]
        each = [sum(w * f for w, f in one) / sum(w for w, _ in one) for one in held if sum(w for w, _ in one)]
        assert np.isnan(row[0])
        assert row[1] == (pytest.approx(sum(each) / len(each)) if each else pytest.approx(np.nan, nan_ok=True))


def test_without_a_run_of_the_first_arm_there_are_no_differences():
    comparison = compared({"stock": [], **experiment({"better": [0.6, 0.6]})}, failed=["stock, seed 0: no"])
    assert [arm.name for arm in comparison.arms] == ["better"]
    assert comparison.others == ()
    assert "failed: stock, seed 0: no" in render(comparison)


def test_runs_that_cannot_be_paired_are_refused():
    runs = experiment({"stock": [0.6, 0.2]})
    for other in (
        simulated_run(0, np.ones(90), objects=OBJECTS, split="test"),
        simulated_run(0, np.ones(90), objects=OBJECTS, budgets=(0.1, 2.0)),
        simulated_run(0, np.ones(90), objects=OBJECTS, names=("rare", "common")),
        simulated_run(0, np.ones(90), objects=OBJECTS[::-1]),
    ):
        with pytest.raises(DataError, match="other, seed 0 was read on other images, classes or budgets"):
            compared({**runs, "other": [other]})
    with pytest.raises(DataError, match="no run finished"):
        compared({"stock": []})


def test_the_same_runs_give_the_same_comparison():
    runs = experiment({"stock": [0.6, 0.2], "better": [0.6, 0.6]})
    assert compared(runs) == compared(runs)
    alone, among = compared(runs), compared({"stock": runs["stock"], "x": runs["better"][:2], "better": runs["better"]})
    assert of(alone, "better") == of(among, "better")


def test_steps_off_by_more_than_two_per_cent_are_said():
    recall = {"stock": [0.6, 0.2], "more": [0.6, 0.2], "near": [0.6, 0.2]}
    text = render(compared(experiment(recall, stock={"steps": 1000}, more={"steps": 1030}, near={"steps": 1019})))
    assert "warning: more made 1030 optimiser steps, +3.0% of stock's" in text
    assert "near made" not in text


NAMES = ("=1+1", "<b>[red]rare & \n</b>")


@pytest.fixture
def strange():
    runs = experiment({"@stock": [0.6, 0.2], "[bold]<i>": [0.6, 0.6]}, names=NAMES)
    return compared(runs, first="@stock", changes={"[bold]<i>": ["data <script> instead of a"]})


def test_the_table_shows_names_as_they_are(strange):
    text = render(strange)
    assert "[bold]<i> against @stock (data <script> instead of a)" in text
    assert r"<b>[red]rare & \n</b>" in text
    assert "gain" in text


def test_the_csv_has_a_row_per_arm_and_figure_and_no_formula(strange):
    file = io.StringIO()
    csv.writer(file).writerows([COLUMNS, *strange.rows()])
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert len(rows) == sum(len(arm.figures) for arm in strange.arms)
    assert not any(value.startswith(tuple("=+@\t\r")) for row in rows for value in row.values())
    row = next(r for r in rows if r["arm"] == "[bold]<i>" and r["name"] == NAMES[1] and r["budget"] == "0.1")
    figure = of(strange, "[bold]<i>").figure(Key("recall", "class", NAMES[1], 0.1))
    assert float(row["mean"]) == pytest.approx(figure.mean, abs=1e-5)
    assert float(row["low"]) == pytest.approx(figure.difference.low, abs=1e-5)
    assert row["verdict"] == "gain"


def test_the_page_escapes_names_and_needs_no_network(strange):
    page = comparison_page.render(strange)
    for raw in ("<script>", "<i>", "<b>", "http:", "https:", "src="):
        assert raw not in page
    assert "[bold]&lt;i&gt;" in page
    assert page.count('class="name gain"') == sum(
        figure.difference is not None and figure.difference.verdict == "gain"
        for figure in of(strange, "[bold]<i>").figures
    )


def test_any_names_make_a_page_a_table_and_rows():
    objects = np.repeat(np.arange(len(HOSTILE)), 7)
    runs = experiment({"stock": [0.4] * len(HOSTILE), "o<t>her": [0.6] * len(HOSTILE)}, objects=objects, names=HOSTILE)
    comparison = compared(runs, [*range(1, len(HOSTILE) + 1)])
    page = Page(comparison_page.render(comparison))  # fails where an element is not closed
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "t", "b"})
    assert HOSTILE[0] in page.text
    assert len(render(comparison).splitlines()) < 60
    assert len(comparison.rows()) == sum(len(arm.figures) for arm in comparison.arms)


def test_images_of_val_that_say_less_are_named_everywhere():
    runs = experiment({"stock": [0.6, 0.4], "own": [0.6, 0.7]}, seeds=2)
    counts = SplitCounts(ignored=2, first_ignored="7.png: no label", copies=3)
    for arm, shared in (("stock", 0), ("own", 5)):
        runs[arm] = [replace(run, counts=replace(counts, in_train=shared)) for run in runs[arm]]
    comparison = compared(runs, seeds=(0, 1))
    assert (comparison.ignored, comparison.copies, comparison.in_train) == (2, 3, 5)
    lines = (
        "2 of 185 images could not be used (7.png: no label)",
        "3 of 185 images are copies of another one, and identical images count once",
        "5 of 180 images of val are also in train: what is read is memory",
        "warning: 5 images of val are also in the train split of own",
    )
    for text in (render(comparison), Page(comparison_page.render(comparison)).text):
        assert all(line in text for line in lines)
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in comparison.rows()]
    found = {(row["arm"], row["measure"]): row["mean"] for row in rows if row["measure"] in COUNTS}
    assert found == {
        ("own", "in_train"): "5",
        **{(a, k): n for a in runs for k, n in (("ignored", "2"), ("copies", "3"))},
    }
    content = json.loads(comparison.to_json())
    assert [content[key] for key in COUNTS] == [2, 0, 0, 3, 5]
    assert json.loads(compared(experiment({"stock": [0.6, 0.4]})).to_json())["copies"] == 0


def test_the_json_is_plain(strange):
    content = json.loads(strange.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert content["schema"] == 1
    assert content["first"] == "@stock"
    assert content["classes"]["=1+1"] == {"train": 500, "val": 60, "images": 60, "group": "common"}
