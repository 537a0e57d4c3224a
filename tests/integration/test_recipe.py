"""Laws of `balance: auto`: its values follow from counts by stated rules, and what is stated beside it stays."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from ultralytics import YOLO

from yolo_balance import attach
from yolo_balance.config import BalanceConfig, SamplingConfig, apply_overrides
from yolo_balance.integration.arms import lay_over
from yolo_balance.integration.training.train import check
from yolo_balance.recipe import MOST_APPEARANCES, explained, repeat_cap, resolve
from yolo_balance.sampling import ClassStatistics, SamplingSchedule, class_inverse_frequency

AUTO = BalanceConfig.load("auto")


def statistics(*images, background=0):
    """Images of one class each, so many of every class, and background."""
    return ClassStatistics.of([[c] for c, n in enumerate(images) for _ in range(n)] + [[]] * background, len(images))


def appearances(counts, cap):
    options = SamplingConfig(strategy="inverse_frequency", power=1.0, max_repeat=cap)
    return SamplingSchedule(options, counts, [str(c) for c in range(counts.num_classes)], seed=0).balanced.expectation


@pytest.mark.parametrize("section", ["auto", {"auto": True}])
def test_auto_is_a_section(section):
    assert BalanceConfig.load({"model": "x.pt", "balance": section}) == AUTO
    assert not AUTO.off()
    assert BalanceConfig.load(AUTO.model_dump(exclude_unset=True)) == AUTO


def test_a_key_may_be_set_beside_it():
    content = apply_overrides({"balance": "auto"}, {"balance.recall.targets.crack": 0.9})
    assert content["balance"] == {"auto": True, "recall": {"targets": {"crack": 0.9}}}


def test_without_auto_nothing_is_filled_in():
    config = BalanceConfig.load({"recall": {"iou": 0.75}})
    assert resolve(config, statistics(90, 10)) is config
    assert explained(config, statistics(90, 10)) == []


@pytest.mark.parametrize("images", [(9,), (5, 5), (0, 7), (4, 0, 4)], ids=str)
def test_where_nothing_is_to_be_balanced_everything_is_off(images):
    assert resolve(AUTO, statistics(*images)).off()
    assert all("there is nothing to balance" in line for line in explained(AUTO, statistics(*images)))


def test_classes_come_equally_often():
    counts = statistics(60, 30, 10, 0)
    plan = SamplingSchedule(resolve(AUTO, counts).sampling, counts, list("abcd"), seed=0).balanced
    np.testing.assert_allclose(counts.box_shares(plan.expectation), [1 / 3, 1 / 3, 1 / 3, 0])


def test_what_is_stated_stays():
    counts = statistics(60, 30, 10)
    config = BalanceConfig.load({"auto": True, "sampling": None, "losses": {"focal": {}}, "recall": {"iou": 0.75}})
    resolved = resolve(config, counts)
    assert (resolved.sampling, resolved.losses, resolved.recall) == (None, config.losses, config.recall)
    assert explained(config, counts) == []
    beside = resolve(BalanceConfig.load({"auto": True, "losses": {"focal": {}}}), counts)
    assert beside.losses == config.losses
    assert beside.sampling == resolve(AUTO, counts).sampling


def test_every_value_is_explained():
    counts = statistics(60, 30, 10, background=300)
    resolved = resolve(AUTO, counts).model_dump(exclude_unset=True)
    lines = explained(AUTO, counts)
    for line in lines:
        key, _, rest = line.partition(": ")
        value = resolved
        for part in key.split(".")[1:]:
            value = value[part]
        assert rest.startswith(f"{yaml.safe_dump(value).removesuffix('...' + chr(10)).strip()} ("), line
    assert any("foreground_mosaic: true" in line for line in lines)


@pytest.mark.parametrize("background", [0, 2000])
@pytest.mark.parametrize("images", [(170, 6), (1000, 87, 1), (500, 3, 3), (10_000, 1), (30, 20, 10)], ids=str)
def test_no_image_comes_more_often_than_was_measured(images, background):
    counts = statistics(*images, background=background)
    cap = repeat_cap(counts, class_inverse_frequency(counts, power=1.0))
    assert appearances(counts, cap).max() <= MOST_APPEARANCES
    if cap is not None:
        assert appearances(counts, cap + 0.5).max() > MOST_APPEARANCES


def test_an_arm_may_be_auto():
    base = {"model": "x.pt", "balance": {"recall": {"false_alarms": [0.5]}}}
    assert lay_over(base, {"balance": "auto"})["balance"] == {"auto": True, "recall": {"false_alarms": [0.5]}}
    assert check({**base, "data": "d.yaml", "balance": "auto"})[0] == AUTO


def test_a_run_says_what_auto_is_on_its_data(tiny_data, tmp_path, caplog):
    model = attach(YOLO("yolo11n.yaml"), "auto")
    given = {"epochs": 1, "imgsz": 32, "batch": 8, "plots": False, "device": "cpu", "verbose": False}
    model.train(data=str(tiny_data), project=str(tmp_path), name="run", **given)
    written = yaml.safe_load((tmp_path / "run" / "balance.yaml").read_text())
    assert written["balance"] == {"auto": True}
    options = written["resolved"]["options"]
    assert options["sampling"]["strategy"] == "inverse_frequency"
    assert BalanceConfig.load(options) == resolve(AUTO, model.trainer.statistics)
