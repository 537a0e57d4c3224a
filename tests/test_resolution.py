"""Laws of the resolution: one answer for a configuration on data, or every problem of it at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from yolo_balance.config import BalanceConfig
from yolo_balance.errors import ConfigError
from yolo_balance.resolution import resolve
from yolo_balance.sampling import ClassStatistics, SamplingSchedule

NAMES = ["scratch", "pit", "crack"]
COUNTS = ClassStatistics.of([[0]] * 60 + [[1]] * 12 + [[2]] * 3 + [[0, 2]] + [[]] * 24, 3)
ARGUMENTS = {
    **{"task": "detect", "rect": False, "epochs": 10, "time": None, "val": True, "save": True},
    **{"cls_pw": 0.0, "seed": 3},
}


def resolved(balance, counts=COUNTS, **arguments):
    return resolve(BalanceConfig.load(balance), counts, NAMES, {**ARGUMENTS, **arguments})


def test_asked_stays_and_the_configuration_is_complete():
    asked = BalanceConfig.load({"auto": True, "sampling": {"power": 0.75}, "losses": {"pisa": True}})
    r = resolved(asked)
    assert r.asked is asked
    assert not r.config.auto
    assert (r.config.sampling.strategy, r.config.sampling.power) == ("inverse_frequency", 0.75)
    assert r.config.losses.isr.k == 2.0
    assert r.config.losses.carl is not None
    assert "balance.sampling.power: 0.75 (stated)" in r.explained


def test_a_resolution_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolved({}).config = BalanceConfig()


def test_resolving_the_resolved_gives_the_same_run():
    r = resolved({"auto": True, "sampling": {"background": 0.1}, "losses": {"pisa": True}})
    again = resolved(r.config)
    assert again.config == r.config
    assert again.explained == ()
    np.testing.assert_array_equal(again.shown, r.shown)
    np.testing.assert_array_equal(again.schedule.balanced.epoch(2), r.schedule.balanced.epoch(2))


@pytest.mark.parametrize("sampling", [None, {}, {"epoch_size": 0.5, "power": 1.0}, {"epoch_size": "full"}])
def test_schedule_and_shares_are_those_of_the_section(sampling):
    r = resolved({"sampling": sampling})
    if sampling is None:
        assert r.schedule is None
        assert r.images_per_epoch == COUNTS.num_images
        np.testing.assert_array_equal(r.shown, COUNTS.box_shares())
        return
    plan = SamplingSchedule(r.config.sampling, COUNTS, NAMES, seed=3).balanced
    assert r.images_per_epoch == plan.size
    np.testing.assert_array_equal(r.schedule.balanced.epoch(4), plan.epoch(4))
    np.testing.assert_array_equal(r.shown, COUNTS.box_shares(plan.expectation))


def test_every_problem_is_reported_at_once():
    balance = {
        "auto": True,
        "sampling": {"classes": {"dent": 2.0}, "feedback": {}},
        "losses": {"class_weights": {"hole": 2.0}},
        "recall": {"best": "rare_recall", "targets": {"chip": 0.9}, "calibration": {"rule": "fitted"}},
    }
    with pytest.raises(ConfigError) as caught:
        resolved(balance, rect=True, val=False, save=False, cls_pw=0.5)
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "balance.recall.targets.chip",
        "balance.sampling.classes.dent",
        "balance.losses.class_weights.hole",
        "rect",
        "balance.sampling.feedback",
        "cls_pw",
        "balance.recall.best",
        "balance.recall.best",
        "balance.recall.calibration",
    ]


def test_arguments_are_checked_against_the_filled_section():
    assert resolved({}, rect=True).schedule is None
    with pytest.raises(ConfigError, match="rect: expected false"):
        resolved("auto", rect=True)
    even = ClassStatistics.of([[0], [1], [2]], 3)
    assert resolved("auto", even, rect=True).config.off()


def test_image_folders_refuse_options_of_boxes_and_of_clean_images():
    balance = {"sampling": {"feedback": {}, "background": 0.3}, "recall": {"best": "rare_recall"}}
    with pytest.raises(ConfigError) as caught:
        resolved(balance, task="classify")
    assert caught.value.problems == [
        "balance.sampling.background: not for task classify",
        "balance.sampling.feedback: not for task classify",
        "balance.recall.best: not for task classify",
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Pastes
# ---------------------------------------------------------------------------------------------------------------------


def test_pastes_take_over_a_part_of_what_the_plan_wants():
    alone, both = resolved({"auto": True}), resolved({"auto": True, "synthesis": {}})
    np.testing.assert_allclose(both.shown, alone.shown, atol=0.005)
    plan, before = both.schedule.shown, alone.schedule.balanced
    assert alone.schedule.shown is before
    assert plan.pasted[0] == 0
    real = COUNTS.boxes_shown(plan.expectation)
    assert (plan.pasted[1:] > 0).all()
    assert (plan.pasted <= 0.5 * (real + plan.pasted) + 1e-9).all()
    crack = COUNTS.image_index[COUNTS.classes == 2]
    assert (plan.expectation[crack] < 0.8 * before.expectation[crack]).all()


def test_pastes_without_sampling_come_on_top_of_each_image_once():
    r = resolved({"synthesis": {}})
    np.testing.assert_allclose(r.schedule.shown.factors, 1.0)
    assert r.schedule.shown.pasted.tolist() == [0, 12, 4]
    assert r.shown == pytest.approx([61 / 93, 24 / 93, 8 / 93])


def test_objects_that_cannot_be_cut_are_not_counted_on():
    objects = np.array([60, 12, 1])
    asked = BalanceConfig.load({"synthesis": {"paste": {"share": 0.9, "p": 1.0}}})
    r = resolve(asked, COUNTS, NAMES, ARGUMENTS, objects=objects)
    assert r.schedule.shown.pasted[2] == 20


@pytest.mark.parametrize(
    ("paste", "more", "objects", "line"),
    [
        ({"classes": ["dent"]}, {}, None, "balance.synthesis.paste.classes.dent: the data has no class dent, its classes "
         "are scratch, pit, crack"),
        ({"keep_out": ["hole"]}, {}, None, "balance.synthesis.paste.keep_out.hole: the data has no class hole, its classes "
         "are scratch, pit, crack"),
        ({}, {"rect": True}, None, "rect: expected false with balance.synthesis, got true; rectangular batches fix the "
         "image order"),
        ({"close": 10}, {}, None, "balance.synthesis.paste.close: expected fewer than 10 epochs, got 10, which leaves no "
         "epoch with pastes"),
        ({}, {"task": "classify"}, None, "balance.synthesis: not for task classify"),
        ({}, {}, [60, 0, 0], "balance.synthesis.paste.classes: no object to cut of pit (12 boxes) and crack (4 boxes); "
         "boxes over a quarter of the image, at two of its borders or under other boxes are not cut"),
        ({"classes": ["pit", "crack"]}, {}, [60, 5, 0], "balance.synthesis.paste.classes: no object to cut of crack (4 "
         "boxes); boxes over a quarter of the image, at two of its borders or under other boxes are not cut"),
    ],
)  # fmt: skip
def test_a_paste_that_cannot_be_is_one_line(paste, more, objects, line):
    asked = BalanceConfig.load({"synthesis": {"paste": paste}})
    with pytest.raises(ConfigError) as caught:
        resolve(asked, COUNTS, NAMES, {**ARGUMENTS, **more}, objects=None if objects is None else np.array(objects))
    assert caught.value.problems == [line]


def test_where_no_class_is_rare_nothing_is_pasted():
    even = ClassStatistics.of([[0]] * 120 + [[1]] * 120 + [[2]] * 120, 3)
    assert resolved({"synthesis": {}}, even).schedule is None


def test_images_made_elsewhere_need_clean_images_and_share_the_share():
    asked, made = BalanceConfig.load({"synthesis": {"folder": "made"}}), np.array([0, 5, 50])
    r = resolve(asked, COUNTS, NAMES, ARGUMENTS, objects=COUNTS.boxes, made=made)
    assert r.schedule.shown.pasted.tolist() == [0, 12, 4]
    dirty = ClassStatistics.of([[0]] * 60 + [[1]] * 12, 3)
    with pytest.raises(
        ConfigError, match=r"^balance.synthesis.folder: expected clean train images.*all 72 have objects"
    ):
        resolve(asked, dirty, NAMES, ARGUMENTS, objects=dirty.boxes, made=made)
