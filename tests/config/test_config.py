"""The YAML schema: what is read, what is refused, and the lines it is refused with."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from yolo_balance import BalanceConfig
from yolo_balance.config import apply_overrides, dotted_keys, parse_section, read_yaml
from yolo_balance.config.documents import json_schema
from yolo_balance.errors import ConfigError

ROOT = Path(__file__).parents[2]


def problems(section):
    return parse_section(section)[1]


@pytest.mark.parametrize("file", sorted((ROOT / "cfg").glob("*.yaml")), ids=lambda p: p.name)
def test_every_file_in_cfg_loads_and_opens_with_its_command(file):
    assert not BalanceConfig.load(file).off()
    assert file.read_text().startswith(f"# yolo_balance train cfg/{file.name}\n")


def test_nothing_asked_is_everything_off_but_the_report():
    for section in ({}, None):
        config, _ = parse_section(section)
        assert config.off()
        assert config.recall.false_alarms == [0.1, 1.0]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"sampling": {"stratgy": "repeat_factor"}}, "balance.sampling.stratgy: unknown key, the nearest valid one is balance.sampling.strategy"),
        ({"focal": {}}, "balance.focal: unknown key, the nearest valid one is balance.losses.focal"),
        ({"losses": {"focal": {"gama": 2.0}}}, "balance.losses.focal.gama: unknown key, the nearest valid one is balance.losses.focal.gamma"),
        ({"losses": {"focal": {"gamma": 1.0}}}, "balance.losses.focal.gamma: expected to be left out beside form: quality, got 1.0"),
        ({"losses": {"focal": {"form": "classic", "beta": 1.0}}}, "balance.losses.focal.beta: expected to be left out beside form: classic, got 1.0"),
        ({"losses": {"focal": {"form": "classic", "alpha": 1.5}}}, "balance.losses.focal.alpha: expected less than 1, got 1.5"),
        ({"losses": {"negatives": {"rule": "ohem", "bins": 4}}}, "balance.losses.negatives.bins: expected to be left out beside rule: ohem, got 4"),
        ({"losses": {"positives": "balanced"}}, "balance.losses.positives: expected 'instance_balanced', got balanced"),
        ({"losses": {"class_weights": "inverse"}}, "balance.losses.class_weights.rule: expected 'inverse_frequency' or 'effective_number', got inverse"),
        ({"losses": {"class_weights": {"crack": -3.0}}}, "balance.losses.class_weights.values.crack: expected greater than 0, got -3.0"),
        ({"losses": {"class_weights": {"powr": "x"}}}, "balance.losses.class_weights.powr: unknown key, the nearest valid one is balance.losses.class_weights.power"),
        ({"losses": {"max_weight": 0.5}}, "balance.losses.max_weight: expected greater than or equal to 1, got 0.5"),
        ({"losses": {"heads": "one2all"}}, "balance.losses.heads: expected 'both', 'one2many' or 'one2one', got one2all"),
        ({"losses": {"focal": {}, "efl": {}}}, "balance.losses.efl: expected null beside focal; equalised focal is a focal loss with exponents by class"),
        ({"losses": {"eqlv2": {}, "efl": {}}}, "balance.losses.eqlv2: expected null beside efl; both equalise the same gradients"),
        ({"losses": {"focal": {"beta": -2.0}}}, "balance.losses.focal.beta: expected greater than or equal to 0, got -2.0"),
        ({"losses": {"isr": True}}, "balance.losses.isr: expected a section of keys ({} for its defaults, null for off), got true"),
        ({"losses": {"carl": {"gain": "0.5"}}}, "balance.losses.carl.gain: expected a valid number, got '0.5'"),
        ({"sampling": {"strategy": "class_first"}}, "balance.sampling.strategy: expected 'repeat_factor', 'inverse_frequency', 'effective_number' or 'class_uniform', got class_first"),
        ({"sampling": {"threshold": 2}}, "balance.sampling.threshold: expected 'median' or a frequency in (0, 1], got 2"),
        ({"sampling": {"threshold": "mean"}}, "balance.sampling.threshold: expected 'median' or a frequency in (0, 1], got mean"),
        ({"sampling": {"max_repeat": 0.5}}, "balance.sampling.max_repeat: expected greater than or equal to 1, got 0.5"),
        ({"sampling": {"epoch_size": 2}}, "balance.sampling.epoch_size: expected at least 5 for a count of images, or 2.0 for 2 times the data set, got 2"),
        ({"sampling": {"epoch_size": -1.0}}, "balance.sampling.epoch_size: expected a positive multiple of the data set (1.0), a count of images (2000) or 'full', got -1.0"),
        ({"sampling": {"background": 1.5}}, "balance.sampling.background: expected a share of defect-free images in [0, 1), or a section with share and hard, got 1.5"),
        ({"sampling": {"background": {"share": 1.5}}}, "balance.sampling.background.share: expected less than 1, got 1.5"),
        ({"sampling": {"background": {"hrad": True}}}, "balance.sampling.background.hrad: unknown key, the nearest valid one is balance.sampling.background.hard"),
        ({"sampling": {"feedback": {"smoothing": 1.0}}}, "balance.sampling.feedback.smoothing: expected less than 1, got 1.0"),
        ({"sampling": {"feedback": True}}, "balance.sampling.feedback: expected a section of keys ({} for its defaults, null for off), got true"),
        ({"sampling": {"beta": 1.0}}, "balance.sampling.beta: expected less than 1, got 1.0"),
        ({"sampling": {"frequency": "box"}}, "balance.sampling.frequency: expected 'image', 'instance' or 'sqrt(image*instance)', got box"),
        ({"sampling": {"aggregate": "sum"}}, "balance.sampling.aggregate: expected 'max' or 'mean', got sum"),
        ({"sampling": {"classes": {"crack": 0}}}, "balance.sampling.classes.crack: expected greater than 0, got 0"),
        ({"sampling": {"classes": {"crack": 9.0}, "max_repeat": 5.0}}, "balance.sampling.classes.crack: expected at most max_repeat 5, got 9"),
        ({"sampling": {"foreground_mosaic": True, "partners": False}}, "balance.sampling.foreground_mosaic: expected false beside partners: false, with which Ultralytics picks the tiles"),
        ({"sampling": {"open": -1}}, "balance.sampling.open: expected a number of epochs (10), or a share of the run's in (0, 1), got -1"),
        ({"sampling": {"open": 2.5}}, "balance.sampling.open: expected a number of epochs (10), or a share of the run's in (0, 1), got 2.5"),
        ({"sampling": {"close": 1.0}}, "balance.sampling.close: expected a number of epochs (10), or a share of the run's in (0, 1), got 1.0"),
        ({"recall": {"iou": 0.52}}, "balance.recall.iou: expected one of the IoU thresholds Ultralytics matches at: 0.5, 0.55, ..., 0.95, got 0.52"),
        ({"recall": {"false_alarms": []}}, "balance.recall.false_alarms: expected at least one item, got []"),
        ({"recall": {"false_alarms": [0.1, -1]}}, "balance.recall.false_alarms.1: expected greater than or equal to 0, got -1"),
        ({"recall": {"targets": {"crack": 95}}}, "balance.recall.targets.crack: expected less than or equal to 1, got 95"),
        ({"recall": {"costs": 5}}, "balance.recall.costs: expected a section of keys ({} for its defaults, null for off), got 5"),
        ({"recall": {"costs": {"escape": "dear"}}}, "balance.recall.costs.escape: expected a cost of at least 0, or costs by class name, got dear"),
        ({"recall": {"costs": {"escape": -1}}}, "balance.recall.costs.escape: expected a cost of at least 0, or costs by class name, got -1"),
        ({"recall": {"costs": {"escape": {"crack": -1.5}}}}, "balance.recall.costs.escape.crack: expected a cost of at least 0, got -1.5"),
        ({"recall": {"costs": {"escape": {"crack": True}}}}, "balance.recall.costs.escape.crack: expected a cost of at least 0, got true"),
        ({"recall": {"costs": {"escape": {1: 5}}}}, "balance.recall.costs.escape.1: expected a class name, in quotes where YAML reads it otherwise, got 1"),
        ({"recall": {"costs": {"escape": 5, "overkill": 0}}}, "balance.recall.costs.overkill: expected greater than 0, got 0"),
        ({"recall": {"costs": {"escape": 5, "defect_rate": 1}}}, "balance.recall.costs.defect_rate: expected less than 1, got 1"),
        ({"recall": {"costs": {"escpe": 5, "escape": 5}}}, "balance.recall.costs.escpe: unknown key, the nearest valid one is balance.recall.costs.escape"),
        ({"recall": {"best": "recall"}}, "balance.recall.best: expected 'fitness', 'worst_class_recall' or 'rare_recall', got recall"),
        ({"recall": {"floors": {"map50_95": 0.3}}}, "balance.recall.floors: expected null beside best: fitness, which keeps the best.pt of Ultralytics"),
        ({"recall": {"best": "rare_recall", "floors": {"overkil": 0.1}}}, "balance.recall.floors.overkil: unknown key, the nearest valid one is balance.recall.floors.overkill"),
        ({"recall": {"best": "rare_recall", "floors": {"map50_95": 30}}}, "balance.recall.floors.map50_95: expected less than or equal to 1, got 30"),
        ({"recall": {"level": 0.25}}, "balance.recall.level: expected a level from 0.5 to below 1 (did you mean the conf of Ultralytics?), got 0.25"),
        ({"recall": {"confidence": 0.25}}, "balance.recall.level: expected a level from 0.5 to below 1 (did you mean the conf of Ultralytics?), got 0.25"),
        ({"recall": {"level": 95}}, "balance.recall.level: expected a level from 0.5 to below 1, got 95"),
        ({"recall": {"level": True}}, "balance.recall.level: expected a level from 0.5 to below 1, got true"),
        ({"recall": {"level": 0.9, "confidence": 0.9}}, "balance.recall.level: expected one of level and its old name confidence, got both"),
        ({"recall": {"calibration": {"rule": "platt"}}}, "balance.recall.calibration.rule: expected 'fitted' or 'logit_adjustment', got platt"),
        ({"recall": {"calibration": {"rule": "fitted", "tau": 0.5}}}, "balance.recall.calibration.tau: expected to be left out beside rule: fitted, got 0.5"),
        ({"recall": {"calibration": {"rule": "logit_adjustment", "strength": 2.0}}}, "balance.recall.calibration.strength: expected to be left out beside rule: logit_adjustment, got 2.0"),
        ({"recall": {"calibration": {"rule": "fitted", "strength": 0.0}}}, "balance.recall.calibration.strength: expected greater than 0, got 0.0"),
        ({"recall": {"calibration": {"rule": "logit_adjustment", "tau": -1.0}}}, "balance.recall.calibration.tau: expected greater than or equal to 0, got -1.0"),
        ({"recall": {"calibration": "fitted"}}, "balance.recall.calibration: expected a section of keys ({} for its defaults, null for off), got fitted"),
        ({"synthesis": {"paste": {"p": 1.5}}}, "balance.synthesis.paste.p: expected less than or equal to 1, got 1.5"),
        ({"synthesis": {"paste": {"p": -0.1}}}, "balance.synthesis.paste.p: expected greater than or equal to 0, got -0.1"),
        ({"synthesis": {"paste": {"share": 1.0}}}, "balance.synthesis.paste.share: expected less than 1, got 1.0"),
        ({"synthesis": {"paste": {"max_objects": 0}}}, "balance.synthesis.paste.max_objects: expected greater than or equal to 1, got 0"),
        ({"synthesis": {"paste": {"classes": "all"}}}, "balance.synthesis.paste.classes: expected 'rare' or a list of class names, got all"),
        ({"synthesis": {"paste": {"classes": []}}}, "balance.synthesis.paste.classes: expected 'rare' or a list of class names, got []"),
        ({"synthesis": {"paste": {"blend": "soft"}}}, "balance.synthesis.paste.blend: expected 'mixed', 'feather', 'poisson' or 'residual', got soft"),
        ({"synthesis": {"paste": {"classes": ["pit"], "keep_out": ["pit"]}}}, "balance.synthesis.paste.keep_out: expected other classes than those to paste, got pit"),
        ({"synthesis": {"past": {}}}, "balance.synthesis.past: unknown key, the nearest valid one is balance.synthesis.paste"),
        ([1], "balance: expected a section of keys ({} for its defaults, null for off), got [1]"),
    ],
)  # fmt: skip
def test_a_problem_is_one_line_with_key_expectation_and_value(section, line):
    assert problems(section) == [line]


def test_all_problems_are_reported_at_once():
    section = {"sampling": {"power": -1, "stratgy": "x"}, "losses": {"focl": {}, "isr": {"bias": 3}}}
    with pytest.raises(ConfigError) as e:
        BalanceConfig.load(section)
    assert len(e.value.problems) == 4
    assert str(e.value).count("\n") == 3


@pytest.mark.parametrize(
    "section",
    [
        {"sampling": {"epoch_size": "full", "threshold": 0.1, "max_repeat": 5}},
        {"sampling": {"epoch_size": 2000, "power": 1}},
        {"sampling": {"epoch_size": 0.5, "partners": False}},
        {"sampling": {"open": 0.33, "close": 2, "draw": "independent"}},
        {"sampling": {"background": 0.3, "feedback": {}, "open": 2, "close": 3, "classes": {"crack": 4}}},
        {"sampling": {"background": {"share": 0.3, "hard": True, "every": 2}, "foreground_mosaic": True}},
        {"sampling": {"strategy": "effective_number", "beta": 0.9, "frequency": "instance", "aggregate": "mean"}},
        {"losses": {"focal": {}, "isr": {"k": 1}, "carl": None}},
        {"losses": {"pisa": True, "negatives": {"rule": "ohem"}, "positives": "instance_balanced", "heads": "one2one"}},
        {"losses": {"class_weights": "effective_number", "focal": {"form": "classic", "alpha": None}, "max_weight": 5}},
        {"losses": {"class_weights": {"crack": 3.0, "pit": 2}, "efl": {}, "logit_adjustment": {}}},
        {"losses": {"class_weights": {"rule": "inverse_frequency", "power": 0.5, "on": "column"}, "eqlv2": {}}},
        {"synthesis": {}},
        {"synthesis": {"paste": {"p": 1, "classes": ["crack"], "keep_out": ["screw"], "context": "any", "close": 3}}},
        {"synthesis": {"paste": None}},
        {"recall": {"targets": {"crack": 0.95}, "iou": 0.75}},
        {"recall": {"costs": {"escape": {"crack": 1000, "pit": 0}, "overkill": 2.5, "defect_rate": 0.01}}},
        {"recall": {"costs": {"escape": 1000}}},
        {"recall": {"costs": {}, "calibration": {}, "floors": {}}, "losses": {"negatives": {}, "class_weights": {}}},
        {"recall": {"level": 0.5}},
        {"recall": None},
        {"recall": {"calibration": {"rule": "fitted", "strength": 0.5}}},
        {"recall": {"calibration": {"rule": "logit_adjustment", "tau": 0}}},
        {"recall": {"baseline": "runs/detect/train"}},
        {"recall": {"best": "worst_class_recall", "floors": {"map50_95": 0.3, "overkill": 0}}},
    ],
)
def test_valid_sections_round_trip(section):
    config = BalanceConfig.load(section)
    assert BalanceConfig.load(config.model_dump()) == config
    assert BalanceConfig.load({"balance": section, "epochs": 3}) == config
    assert not list(Draft202012Validator(json_schema()).iter_errors({"balance": section, "epochs": 3}))


def test_a_runs_mapping_without_the_section_is_off():
    assert BalanceConfig.load({"model": "yolo26n.pt", "data": "demo"}).off()


def test_an_empty_section_of_synthesis_pastes_at_the_defaults():
    paste = BalanceConfig.load({"synthesis": {}}).paste
    assert (paste.p, paste.max_objects, paste.classes, paste.blend) == (0.5, 2, "rare", "mixed")
    assert (paste.distractors, paste.context, paste.share, paste.close) == (1, "similar", 0.5, 0.15)
    assert BalanceConfig.load({"synthesis": {"paste": None}}).off()
    assert not BalanceConfig.load({"synthesis": {}}).off()


def test_a_misspelt_section_is_not_silently_off():
    with pytest.raises(ConfigError, match="balanc: unknown key, the nearest valid one is balance"):
        BalanceConfig.load({"model": "yolo26n.pt", "balanc": {"sampling": {}}})


def test_problems_of_one_section_are_lines_of_their_own():
    section = {"losses": {"focal": {"gamma": 1.0, "alpha": 0.5}, "negatives": {"rule": "ohem", "bins": 4}}}
    assert problems(section) == [
        "balance.losses.focal.gamma: expected to be left out beside form: quality, got 1.0",
        "balance.losses.focal.alpha: expected to be left out beside form: quality, got 0.5",
        "balance.losses.negatives.bins: expected to be left out beside rule: ohem, got 4",
    ]


@pytest.mark.parametrize("section", [{"power": 0.5}, {"on": "column"}, {True: "column"}, {}])
def test_class_weights_without_a_rule_are_those_of_the_inverse_frequency(section):
    weights = BalanceConfig.load({"losses": {"class_weights": section}}).losses.class_weights
    assert (weights.rule, weights.values) == ("inverse_frequency", None)
    assert weights.on == ("positives" if section in ({}, {"power": 0.5}) else "column")


def test_classes_without_a_weight_keep_1_where_only_weights_are_stated():
    for section in ({"crack": 3.0}, {"values": {"crack": 3.0}}):
        weights = BalanceConfig.load({"losses": {"class_weights": section}}).losses.class_weights
        assert (weights.rule, weights.values) == (None, {"crack": 3.0})


def test_the_old_name_of_the_level_is_read_with_one_line(caplog, tmp_path):
    file = tmp_path / "balance.yaml"
    file.write_text("balance: {recall: {confidence: 0.9}}")
    recall = BalanceConfig.load(file).recall
    assert (recall.level, recall.model_dump(exclude_unset=True)) == (0.9, {"level": 0.9})
    assert [record.getMessage() for record in caplog.records] == [
        "balance.recall.confidence: the key is now balance.recall.level, and the old name still works"
    ]


def test_configurations_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        BalanceConfig.load({}).sampling = None


def test_files_that_cannot_be_read_are_named(tmp_path):
    cases = {
        "a: [": "not valid YAML",
        "- 1": "expected a mapping of keys",
        "a: !!python/object/apply:os.getcwd []": "not valid YAML",
    }
    for text, message in cases.items():
        file = tmp_path / "x.yaml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=message) as e:
            read_yaml(file)
        assert str(e.value).startswith(str(file))
        assert "\n" not in str(e.value)
    with pytest.raises(ConfigError, match=r"none\.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")


def test_overrides_reach_into_sections_and_leave_the_source_alone():
    source = {"epochs": 5, "balance": {"losses": None}}
    assert apply_overrides(source, {"epochs": 7, "balance.losses.carl.gain": 0.1}) == {
        "epochs": 7,
        "balance": {"losses": {"carl": {"gain": 0.1}}},
    }
    assert source == {"epochs": 5, "balance": {"losses": None}}
    with pytest.raises(ConfigError, match=r"epochs.x: epochs is 5, not a section"):
        apply_overrides(source, {"epochs.x": 1})


def test_dotted_keys_list_the_schema():
    assert {"balance.sampling.power", "balance.losses.carl.gain", "balance.recall.targets"} <= set(dotted_keys())
