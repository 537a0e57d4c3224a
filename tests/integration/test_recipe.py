"""Laws of `balance: auto`: its values follow from counts by stated rules, and stated keys stay."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from yolo_balance.config import BalanceConfig, SamplingConfig, apply_overrides
from yolo_balance.integration.arms import lay_over
from yolo_balance.integration.training.train import check
from yolo_balance.recipe import MOST_APPEARANCES, fill, repeat_cap
from yolo_balance.sampling import ClassStatistics, SamplingSchedule

AUTO = BalanceConfig.load("auto")
FILLED = {"strategy", "power", "max_repeat", "partners", "foreground_mosaic"}
STATABLE = {
    "strategy": ["repeat_factor", "inverse_frequency", "effective_number", "class_uniform"],
    "power": [0.0, 0.5, 0.75, 2.0],
    "frequency": ["image", "instance", "sqrt(image*instance)"],
    "threshold": ["median", 0.02],
    "beta": [0.9, 0.999],
    "aggregate": ["max", "mean"],
    "max_repeat": [None, 3.0, 40.0],
    "partners": [True, False],
    "foreground_mosaic": [False],
    "background": [None, 0.2, {"share": 0.9, "hard": True}],
    "epoch_size": [0.5, 2.0, "full"],
    "classes": [None, {"d": 2.5}],
    "feedback": [None, {"gain": 0.5}],
}


def statistics(*images, background=0):
    """Images of one class each, so many of every class, and background."""
    return ClassStatistics.of([[c] for c, n in enumerate(images) for _ in range(n)] + [[]] * background, len(images))


def names(counts):
    return list("abcd")[: counts.num_classes]


def filled(sampling, counts):
    """The section with auto's keys, as stated in full, and the lines that explain it."""
    config, choices = fill(BalanceConfig.load({"auto": True, "sampling": sampling}), counts, names(counts))
    return config.sampling, [choice.line for choice in choices]


def stated(options):
    return options.model_dump(exclude_unset=True)


def appearances(options, counts):
    """Expected appearances in an epoch of the image with objects that comes most often."""
    plan = SamplingSchedule(options, counts, names(counts), seed=0).balanced
    return plan.expectation[~counts.background].max()


def random_counts(rng):
    images = [rng.choice(4, rng.integers(1, 4), p=[0.7, 0.2, 0.07, 0.03]).tolist() for _ in range(300)]
    return ClassStatistics.of([[0], [1], [2], [3], *images, *([[]] * int(rng.choice([9, 40, 2000])))], 4)


def random_statement(rng):
    return {key: values[rng.integers(len(values))] for key, values in STATABLE.items() if rng.random() < 0.3}


@pytest.mark.parametrize("section", ["auto", {"auto": True}])
def test_auto_is_a_section(section):
    assert BalanceConfig.load({"model": "x.pt", "balance": section}) == AUTO
    assert not AUTO.off()
    assert BalanceConfig.load(AUTO.model_dump(exclude_unset=True)) == AUTO


@pytest.mark.parametrize("content", [{"balance": "auto"}, {"balance": {"auto": True}}, {}], ids=str)
def test_a_key_may_be_set_beside_it(content):
    given = {} if content else {"balance": "auto"}
    result = apply_overrides(content, {**given, "balance.recall.targets.crack": 0.9, "balance.sampling.power": 0.75})
    assert result["balance"] == {"auto": True, "recall": {"targets": {"crack": 0.9}}, "sampling": {"power": 0.75}}


def test_without_auto_nothing_is_filled_in():
    config = BalanceConfig.load({"recall": {"iou": 0.75}, "sampling": {"power": 0.75}})
    assert fill(config, statistics(90, 10), ["a", "b"]) == (config, [])


@pytest.mark.parametrize("sampling", [..., {}], ids=["left out", "empty"])
@pytest.mark.parametrize("images", [(9,), (5, 5), (0, 7), (4, 0, 4), (0, 0)], ids=str)
def test_where_nothing_is_to_be_balanced_everything_is_off(images, sampling):
    asked = AUTO if sampling is ... else BalanceConfig.load({"auto": True, "sampling": sampling})
    counts = statistics(*images, background=3)
    config, choices = fill(asked, counts, names(counts))
    assert config.off()
    assert [choice.line.endswith("there is nothing to balance)") for choice in choices] == [True]


def test_stated_keys_stay_where_nothing_is_to_be_balanced():
    options, _ = filled({"background": 0.3}, statistics(5, 5, background=5))
    assert options.background.share == 0.3


def test_classes_come_equally_often():
    counts = statistics(60, 30, 10, 0)
    plan = SamplingSchedule(fill(AUTO, counts, names(counts))[0].sampling, counts, names(counts), seed=0).balanced
    np.testing.assert_allclose(counts.box_shares(plan.expectation), [1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("seed", range(60))
def test_exactly_the_keys_left_out_are_filled(seed):
    """Stated keys stay, the others of the recipe follow its rules for them, and each has its line."""
    rng = np.random.default_rng(seed)
    counts, statement = random_counts(rng), random_statement(rng)
    options, lines = filled(statement, counts)
    kept = stated(SamplingConfig(**statement))
    assert {key: value for key, value in stated(options).items() if key in statement} == kept
    assert set(stated(options)) <= set(statement) | FILLED
    assert {"strategy", "max_repeat", "partners"} <= set(stated(options))
    if statement:
        assert sorted(line.partition(": ")[0].split(".")[2] for line in lines) == sorted(stated(options))
    for key in stated(options):
        (line,) = [line for line in lines if line.startswith(f"balance.sampling.{key}: ")]
        assert line.endswith(" (stated)") == (key in statement)


@pytest.mark.parametrize("seed", range(30))
def test_a_statement_in_full_leaves_auto_nothing_to_fill(seed):
    """Stating what auto filled changes nothing, and a section that states every key is the same without auto."""
    rng = np.random.default_rng(seed)
    counts = random_counts(rng)
    options, _ = filled(random_statement(rng), counts)
    again, lines = filled(stated(options), counts)
    assert again == options
    complete, lines = filled(options.model_dump(), counts)
    assert complete == BalanceConfig.load({"sampling": options.model_dump()}).sampling == options
    assert all(line.endswith(" (stated)") for line in lines)


@pytest.mark.parametrize("seed", range(30))
def test_any_part_of_what_auto_gives_may_be_stated(seed):
    rng = np.random.default_rng(seed)
    counts = random_counts(rng)
    whole = fill(AUTO, counts, names(counts))[0].sampling
    part = {key: value for key, value in stated(whole).items() if rng.random() < 0.5}
    assert filled(part, counts)[0] == whole


@pytest.mark.parametrize("seed", range(30))
def test_the_cap_is_the_largest_that_the_stated_keys_allow(seed):
    """Restated: no half step above it keeps the image that comes most often within ten appearances."""
    rng = np.random.default_rng(seed)
    counts, statement = random_counts(rng), random_statement(rng)
    statement.pop("max_repeat", None)
    options, _ = filled(statement, counts)
    lowest = max([1.0, *(statement.get("classes") or {}).values()])
    if options.max_repeat is None:
        assert appearances(options, counts) <= MOST_APPEARANCES
        return
    assert appearances(options.model_copy(update={"max_repeat": None}), counts) > MOST_APPEARANCES
    assert options.max_repeat >= lowest
    if options.max_repeat > lowest:
        assert appearances(options, counts) <= MOST_APPEARANCES
    above = options.model_copy(update={"max_repeat": options.max_repeat + 0.5})
    assert appearances(above, counts) > MOST_APPEARANCES


@pytest.mark.parametrize("strategy", ["effective_number", "class_uniform"])
def test_a_key_that_the_stated_strategy_has_no_use_for_is_not_filled(strategy):
    options, _ = filled({"strategy": strategy}, statistics(60, 30, 10))
    assert "power" not in stated(options)
    assert options.unused() == []


def test_repeat_factors_beside_auto_have_their_published_power():
    assert filled({"strategy": "repeat_factor"}, statistics(60, 30, 10))[0].power == 0.5


def test_partners_that_are_off_leave_mosaics_alone():
    counts = statistics(60, 30, 10, background=900)
    assert filled({}, counts)[0].foreground_mosaic
    assert not filled({"partners": False}, counts)[0].foreground_mosaic


def test_other_sections_stay():
    counts = statistics(60, 30, 10)
    config = BalanceConfig.load({"auto": True, "sampling": None, "losses": {"focal": {}}, "recall": {"iou": 0.75}})
    resolved, choices = fill(config, counts, names(counts))
    assert (resolved.sampling, resolved.losses, resolved.recall) == (None, config.losses, config.recall)
    assert [choice.line for choice in choices] == ["balance.sampling: null (stated)"]
    beside, _ = fill(BalanceConfig.load({"auto": True, "losses": {"focal": {}}}), counts, names(counts))
    assert beside.losses == config.losses
    assert beside.sampling == fill(AUTO, counts, names(counts))[0].sampling


def test_every_value_is_explained():
    options, lines = filled({"background": {"share": 0.8}, "power": 0.75}, statistics(60, 30, 10, background=300))
    values = stated(options)
    for line in lines:
        key, _, rest = line.removeprefix("balance.sampling.").partition(": ")
        assert rest.startswith(f"{yaml.safe_dump(values[key], default_flow_style=True).splitlines()[0]} ("), line
    assert "balance.sampling.power: 0.75 (stated)" in lines
    assert any(line.startswith("balance.sampling.foreground_mosaic: true (80.0% background") for line in lines)


@pytest.mark.parametrize("background", [0, 2000])
@pytest.mark.parametrize("images", [(170, 6), (1000, 87, 1), (500, 3, 3), (10_000, 1), (30, 20, 10)], ids=str)
def test_no_image_comes_more_often_than_was_measured(images, background):
    counts = statistics(*images, background=background)
    options = SamplingConfig(strategy="inverse_frequency", power=1.0)
    cap = repeat_cap(options, counts, names(counts))
    assert appearances(options.model_copy(update={"max_repeat": cap}), counts) <= MOST_APPEARANCES
    if cap is not None:
        assert appearances(options.model_copy(update={"max_repeat": cap + 0.5}), counts) > MOST_APPEARANCES


def test_an_arm_may_be_auto():
    base = {"model": "x.pt", "balance": {"recall": {"false_alarms": [0.5]}}}
    assert lay_over(base, {"balance": "auto"})["balance"] == {"auto": True, "recall": {"false_alarms": [0.5]}}
    assert check({**base, "data": "d.yaml", "balance": "auto"})[0] == AUTO
