"""Laws of the share of a gap: the formula written out, and null where no gap is shown."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import simulated_run
from helpers.pages import Page
from scipy import stats

from yolo_balance.comparison import Comparison, RunFigures
from yolo_balance.comparison.comparison import COLUMNS
from yolo_balance.comparison.figures import Resampling
from yolo_balance.comparison.paired_statistics import SEED
from yolo_balance.views.comparison import comparison_page
from yolo_balance.views.comparison.comparison_console import render

OBJECTS = np.repeat([0, 1], [60, 40])
RARE = OBJECTS == 1
NAMES = ("common", "rare")
RESAMPLES = 300
METRICS = ["rare_recall_fa0.1", "rare_recall_fa1.0", "rare_ap50", "common_ap50", "map50_95"]
LEVELS = {"stock": 0.2, "arm": 0.6, "oracle": 0.7}


def runs_of(levels=LEVELS, seeds=3, *, objects=OBJECTS, ap=None):
    """Runs per arm that find each rare object with the arm's probability; AP as `ap` has it by arm and seed."""
    hard, runs = np.random.default_rng(0).random(len(objects)), {}
    for arm, level in levels.items():
        runs[arm] = []
        for seed in range(seeds):
            luck = np.random.default_rng([seed, len(arm)]).random(len(objects))
            found = 0.7 * hard + 0.3 * luck < np.where(objects == 1, level, 0.6)
            value = ap[arm][seed] if ap else level / 2
            measured = {"map50_95": value, "ap50": {"common": 0.5, "rare": value}}
            runs[arm].append(simulated_run(seed, found, objects=objects, names=NAMES, **measured))
    return runs


def compared(runs, *, gap=("stock", "oracle"), first="stock", **options) -> Comparison:
    return Comparison.of(
        runs, [500, 11], first=first, seeds=range(3), resamples=RESAMPLES, confidence=0.9, gap=gap, **options
    )


def arms_of(comparison):
    return {arm.name: arm for arm in comparison.arms}


def replicates(values, resampling, seeds):
    """Replicates of a mean over seeds, written out from (seeds, 1 + B) values."""
    drawn, t, z = resampling.seeds(seeds), stats.t.ppf(0.95, seeds - 1) if seeds > 1 else 1, stats.norm.ppf(0.95)
    found = []
    for b in range(1, RESAMPLES + 1):
        mean = sum(float(values[s][b]) for s in range(seeds)) / seeds
        if seeds > 1:
            whole = sum(float(values[s][0]) for s in range(seeds)) / seeds
            spread = sum(int(drawn[b][s]) * (float(values[s][0]) - whole) for s in range(seeds)) / seeds
            mean += spread * (seeds / (seeds - 1)) ** 0.5 * t / z
        found.append(mean)
    return found


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_share_of_recall_is_the_formula_written_out(seeds):
    runs = runs_of(seeds=seeds)
    resampling = Resampling(np.arange(200), RESAMPLES, 0.9, SEED)

    def recall(run: RunFigures):
        hits = run.detections.object_confidence[RARE] > 0
        return [
            sum(w * h for w, h in zip(row, hits, strict=True)) / sum(row)
            for row in resampling.images[:, :100][:, RARE].tolist()
        ]

    read = {arm: [recall(run) for run in found] for arm, found in runs.items()}
    apart = {
        arm: [[a - s for a, s in zip(*pair, strict=True)] for pair in zip(read[arm], read["stock"], strict=True)]
        for arm in ("arm", "oracle")
    }
    over, under = (replicates(apart[arm], resampling, seeds) for arm in ("arm", "oracle"))
    ratios = [a / b for a, b in zip(over, under, strict=True) if b > 0]
    mean = {arm: sum(row[0] for row in rows) for arm, rows in apart.items()}
    found = arms_of(compared(runs))["arm"]
    for metric in METRICS[:2]:
        assert found.share[metric] == pytest.approx(mean["arm"] / mean["oracle"])
        assert found.share_interval[metric] == pytest.approx(tuple(np.percentile(ratios, [5, 95])))


def test_the_share_of_ap_is_that_of_the_mean_differences_with_seeds_resampled():
    ap = {"stock": [0.20, 0.22, 0.19], "arm": [0.26, 0.27, 0.27], "oracle": [0.30, 0.31, 0.30]}
    found = arms_of(compared(runs_of(ap=ap)))["arm"]
    apart = {arm: [a - s for a, s in zip(ap[arm], ap["stock"], strict=True)] for arm in ("arm", "oracle")}
    resampling = Resampling(np.arange(200), RESAMPLES, 0.9, SEED)
    over, under = (replicates([[d] * (RESAMPLES + 1) for d in apart[arm]], resampling, 3) for arm in apart)
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    for metric in ("map50_95", "rare_ap50"):
        assert found.share[metric] == pytest.approx(sum(apart["arm"]) / sum(apart["oracle"]))
        assert found.share_interval[metric] == pytest.approx(tuple(np.percentile(ratios, [5, 95])))
    assert (found.share["common_ap50"], found.share_interval["common_ap50"]) == (None, None)  # all have .5


def test_stock_closes_nothing_and_the_oracle_all():
    for arm, share in (("stock", 0.0), ("oracle", 1.0)):
        found = arms_of(compared(runs_of()))[arm]
        shown = {metric: value for metric, value in found.share.items() if value is not None}
        assert shown == dict.fromkeys([m for m in METRICS if m != "common_ap50"], pytest.approx(share))
        assert all(found.share_interval[metric] == pytest.approx((share, share)) for metric in shown)


def test_without_a_gap_that_is_shown_there_is_no_share():
    for levels in ({**LEVELS, "oracle": 0.2}, {**LEVELS, "oracle": 0.21}):
        comparison = compared(runs_of(levels))
        assert comparison.gap["rare_recall_fa0.1"].verdict == "null"
        assert arms_of(comparison)["arm"].share["rare_recall_fa0.1"] is None
    one = compared(runs_of(seeds=1))
    assert one.gap["map50_95"].low is None  # one seed says nothing of AP
    assert arms_of(one)["arm"].share["map50_95"] is None
    few = compared(runs_of({**LEVELS, "stock": 0.0, "oracle": 1.0}, objects=np.repeat([0, 1], [60, 4])))
    assert few.gap["rare_recall_fa0.1"].verdict == "too few images"
    assert arms_of(few)["arm"].share["rare_recall_fa0.1"] is None


def test_an_oracle_below_stock_is_said():
    comparison = compared(runs_of({"stock": 0.4, "arm": 0.7, "oracle": 0.1}))
    assert comparison.gap["rare_recall_fa0.1"].verdict == "loss"
    assert arms_of(comparison)["arm"].share["rare_recall_fa0.1"] < 0
    assert "warning: oracle has a lower rare_recall_fa0.1 than stock" in render(comparison)


def test_the_seeds_that_all_three_have_are_read_whatever_arm_is_first():
    runs = runs_of()
    part = {**runs, "arm": runs["arm"][1:]}
    both = {arm: found[1:] for arm, found in runs.items()}
    assert arms_of(compared(part))["arm"].share == arms_of(compared(both))["arm"].share
    other = arms_of(compared({"arm": runs["arm"], **runs}, first="arm"))
    assert other["arm"].share == arms_of(compared(runs))["arm"].share
    shifted = {**runs, "oracle": [replace(run, seed=run.seed + 7) for run in runs["oracle"]]}
    assert compared(shifted).gap == dict.fromkeys(METRICS)


def test_without_a_run_of_the_oracle_all_shares_are_null_and_said():
    comparison = compared({**runs_of(), "oracle": []})
    assert comparison.gap == dict.fromkeys(METRICS)
    assert all(arm.share == dict.fromkeys(METRICS) for arm in comparison.arms)
    assert "warning: no gap can be read without a finished run of oracle" in render(comparison)
    assert "no gap shown" in Page(comparison_page.render(comparison)).text


def test_the_share_is_in_the_json_the_rows_the_table_and_the_page():
    comparison = compared(runs_of())
    share, (low, high) = (getattr(arms_of(comparison)["arm"], key)[METRICS[0]] for key in ("share", "share_interval"))
    content = json.loads(comparison.to_json())
    arm = next(arm for arm in content["arms"] if arm["name"] == "arm")
    assert (content["stock"], content["oracle"]) == ("stock", "oracle")
    assert list(content["gap"]) == list(arm["share"]) == METRICS
    assert arm["share"][METRICS[0]] == share
    assert arm["share_interval"][METRICS[0]] == [low, high]
    file = io.StringIO()
    csv.writer(file).writerows([COLUMNS, *comparison.rows()])
    rows = [row for row in csv.DictReader(io.StringIO(file.getvalue())) if row["measure"] == "share"]
    assert [row["name"] for row in rows if row["arm"] == "arm"] == METRICS
    row = next(row for row in rows if (row["arm"], row["name"]) == ("arm", METRICS[0]))
    assert [float(row[key]) for key in ("mean", "low", "high")] == pytest.approx([share, low, high], abs=1e-5)
    cell = f"{share:.0%} [{low:.0%}, {high:.0%}]".replace("%", " %")
    assert cell in render(comparison)
    assert cell in Page(comparison_page.render(comparison)).text


def test_without_an_oracle_nothing_is_said_of_a_gap():
    comparison = compared(runs_of(), gap=None)
    assert comparison.gap == {}
    assert all(arm.share == {} for arm in comparison.arms)
    assert "gap" not in render(comparison)
    assert "gap between" not in comparison_page.render(comparison)
