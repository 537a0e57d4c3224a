"""Console tables of many classes show the classes that matter, and say where the others are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.outcomes import pooled

from yolo_balance.config import BalanceConfig, SamplingConfig
from yolo_balance.losses.composition import ClassFactors
from yolo_balance.recall import RecallReport
from yolo_balance.recall.decisions.gate import Gate
from yolo_balance.recall.images import ImageRates, zones
from yolo_balance.run_folder.balance_file import resolved
from yolo_balance.sampling import ClassStatistics, Exposure, SamplingSchedule
from yolo_balance.views.recall.gate_console import render_gate
from yolo_balance.views.recall.images_console import render_rates, render_zones
from yolo_balance.views.recall.report_console import render_report
from yolo_balance.views.tables import MOST_CLASSES, class_table, rare_first, table
from yolo_balance.views.training_console import exposure_table, factors_table, plan_table

CLASSES = 1200
NAMES = [f"c{i}" for i in range(CLASSES)]
RARE, MISSED = set(range(0, CLASSES, 50)), set(range(0, CLASSES, 60))  # 24 classes, 20 classes
NONE = 7  # a class without an object


def drawn_tables():
    """Every table of a run, with the ids of classes that it has to show."""
    train = ClassStatistics.of(
        [[c] for c in range(CLASSES) if c != NONE for _ in range(1 if c in RARE else 2)], CLASSES
    )
    config = BalanceConfig(sampling=SamplingConfig(power=1.0))
    schedule = SamplingSchedule(config.sampling, train, NAMES, seed=0)
    natural, ones = train.box_shares(), np.ones(CLASSES)
    shown = train.box_shares(schedule.balanced.expectation)
    asked = np.where(np.isin(np.arange(CLASSES), list(RARE)), 3.0, 1.0)
    factors = ClassFactors.of(natural, shown, asked, ones, max_weight=10, columns=False)
    resolution = resolved(config, train, NAMES, schedule, factors)
    exposure = Exposure(NAMES, train)
    exposure.start_epoch(schedule.balanced)
    exposure.add(np.ones((2, CLASSES), int), list(range(CLASSES)), CLASSES)

    objects = [[c] for c in range(CLASSES) if c != NONE] + [[]]
    found = [[] if here and here[0] in MISSED else here for here in objects]
    val = pooled([[1] * len(here) for here in found], [[0.9] * len(here) for here in found], found, objects, CLASSES)
    targets = dict.fromkeys(NAMES, 0.1)
    report = RecallReport.of(val, NAMES, false_alarms=[0.5], targets=targets)
    return {
        "plan": (plan_table(resolution), RARE),
        "factors": (factors_table(resolution), RARE),
        "exposure": (exposure_table(exposure, 1), RARE),
        "report": (render_report(report), MISSED),
        "gate": (render_gate(Gate.of(report, targets)), MISSED),
        "rates": (render_rates(ImageRates.of(val, 0.5, NAMES), "a budget"), MISSED),
        "zones": (render_zones(zones(val, 0.5, 0.6, NAMES)), MISSED),
    }


@pytest.fixture(scope="module")
def tables():
    return drawn_tables()


@pytest.mark.parametrize("name", ["plan", "factors", "exposure", "report", "gate", "rates", "zones"])
def test_of_a_thousand_classes_the_rare_or_the_worst_are_shown(tables, name):
    text, expected = tables[name]
    shown = re.findall(r"^(?:met|missed|cannot conclude|no data|with)? *c(\d+) ", text, re.MULTILINE)
    assert len(shown) == MOST_CLASSES
    assert expected <= set(map(int, shown)) - {NONE}
    assert shown == sorted(shown, key=int)
    assert re.search(rf"^{MOST_CLASSES} of 1,200 classes are shown, .*; 1,170 more are in \w+\.\w+", text, re.MULTILINE)
    assert len(text.splitlines()) < MOST_CLASSES + 12


@pytest.mark.parametrize("classes", [1, MOST_CLASSES])
def test_few_classes_are_all_shown(classes):
    rows = [(f"c{i}", str(i)) for i in range(classes)]
    drawn = class_table(
        ("class", "n"), rows, rare_first(range(classes)), which="those", file="a.csv", after=[("all", "")]
    )
    assert drawn == table(("class", "n"), [*rows, ("all", "")])
