"""Laws of the remarks and tables of a training."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.config import SamplingConfig
from yolo_balance.sampling import ClassStatistics, Exposure, SamplingSchedule
from yolo_balance.views.training_console import deviation_line, exposure_table, feedback_line, unreached_lines

NAMES = ["scratch", "pit"]
STATISTICS = ClassStatistics.of([[0], [0, 1]], 2)


@pytest.mark.parametrize(
    ("epochs", "last", "heading"),
    [(3, 3, "over all epochs"), (3, 7, "over epochs 5 to 7"), (1, 8, "over epoch 8"), (1, 1, "over all epochs")],
)
def test_the_exposure_names_the_epochs_that_it_sums(epochs, last, heading):
    exposure = Exposure(NAMES, STATISTICS)
    exposure.start_epoch(None)  # the loader is made before the first epoch starts
    for epoch in range(epochs):
        exposure.start_epoch(None)
        exposure.start_epoch(None, again=True)
        exposure.add(np.array([[3 - epoch, 1], [0, 0]]), [0, 1], 2)
    assert exposure.epochs == epochs
    first, *_ = exposure_table(exposure, last).splitlines()
    assert first.endswith(heading)


@pytest.mark.parametrize(("side", "cause"), [(1.96, "are 2.0 px or less"), (2.5, "after cropping and scaling")])
def test_a_class_that_reaches_the_network_in_no_box_has_its_true_cause(side, cause):
    exposure = Exposure(NAMES, STATISTICS)
    for epoch in (1, 2):
        exposure.start_epoch(None)
        exposure.add(np.array([[3, 1], [0, 2]]), [0], 2)
        assert exposure.unreached().tolist() == [1] * (epoch == 1)
        (line,) = unreached_lines(exposure, [1], np.array([side]), epoch, 160)
        assert line.startswith(f"Exposure: pit: 3 boxes drawn in epoch {epoch}, none reached the network: ")
        assert cause in line


def test_classes_that_val_is_too_small_to_steer_by_are_named_with_the_rule():
    assert feedback_line(["a", "b"], np.array([12, 40]), 0.95) is None
    line = feedback_line(["a", "b", "c"], np.array([11, 40, 0]), 0.95)
    assert line == (
        "balance.sampling.feedback: val is too small to steer by for c (0) and a (11): their factors stay as they are. A "
        "class needs 12 objects in val: with fewer, the 95% interval of its recall may be wider than 0.5"
    )
    assert "for 0 (0), 1 (0), 2 (0), 3 (0), 4 (0) and 1195 more: feedback follows no class. " in feedback_line(
        [str(i) for i in range(1200)], np.zeros(1200, int), 0.95
    )


def test_partners_of_the_plan_are_no_deviation_and_partners_outside_the_plan_are():
    options = SamplingConfig()
    plan = SamplingSchedule(options, STATISTICS, NAMES, seed=0).balanced
    asked = np.round(3000 * STATISTICS.box_shares(plan.expectation)).astype(int)
    far = asked + np.array([-500, 500])

    def line(own, partners, outside):
        exposure = Exposure(NAMES, STATISTICS)
        exposure.start_epoch(plan)
        exposure.add(np.stack([own, partners]), [0], 100, outside)
        exposure.set_counts(exposure.counts())
        return deviation_line(exposure, 1, options, 100)

    assert line(asked, 3 * far, 0) is None  # dealt from the few images shown lately
    assert "picked outside the plan, by a transform of another kind" in line(asked, 3 * far, 1)
    assert "the loader gave other images than the plan" in line(far, 3 * asked, 0)
