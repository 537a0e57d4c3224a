"""One configuration on one data set is the same run in train, attach, analyze and compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from helpers.training import arguments, run

from yolo_balance.cli import main
from yolo_balance.config import BalanceConfig
from yolo_balance.integration import arms

DEFECTS = Path(__file__).parents[3] / "cfg" / "defects.yaml"
AUTO_AT_75 = {"auto": True, "sampling": {"power": 0.75, "close": 1}}


@pytest.fixture
def config(tiny_data, tmp_path, monkeypatch):
    """A run's YAML on the tiny data set."""
    monkeypatch.chdir(tmp_path)
    given = {"model": "yolo11n.yaml", **arguments(tiny_data, tmp_path, "run", epochs=2)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**given, "balance": AUTO_AT_75}))
    return tmp_path / "run.yaml"


def balance_yaml(folder):
    return yaml.safe_load((folder / "balance.yaml").read_text())


def test_train_attach_analyze_and_compare_resolve_alike(config, tiny_data, tmp_path):
    assert main(["train", str(config)]) == 0
    written = balance_yaml(tmp_path / "run")
    assert written["balance"] == AUTO_AT_75
    options = written["resolved"]["options"]["sampling"]
    assert (options["strategy"], options["power"], options["close"]) == ("inverse_frequency", 0.75, 1)

    trainer = run(tiny_data, tmp_path, "attached", way="attach", balance=AUTO_AT_75, epochs=2).trainer
    assert balance_yaml(tmp_path / "attached") == written
    assert trainer.asked == BalanceConfig.load(AUTO_AT_75)
    assert trainer.resolved.config.model_dump() == written["resolved"]["options"]

    (arm,) = arms.read(config, [], {})
    assert arm.data.resolved.config == trainer.resolved.config
    assert arm.data.resolved.explained == trainer.resolved.explained

    assert main(["analyze", str(config), "--suggest"]) == 0
    analysis = json.loads(Path("run_analysis/analysis.json").read_text())
    assert analysis["explained"] == list(trainer.resolved.explained)
    assert {name: plan["factor"] for name, plan in analysis["plan"].items()} == {
        name: row["factor"] for name, row in written["resolved"]["classes"].items()
    }
    suggested = BalanceConfig.load(yaml.safe_load(Path("run_analysis/suggested.yaml").read_text()))
    assert suggested.sampling == trainer.resolved.config.sampling


@pytest.mark.parametrize("words", [["balance.sampling.power=0.75"], ["balance=auto", "balance.sampling.power=0.75"]])
def test_a_dotted_key_keeps_auto(words, tiny_data, tmp_path, caplog):
    given = {"model": "yolo11n.yaml", "amp": False, **arguments(tiny_data, tmp_path, "run", epochs=1)}
    assert main(["train", str(DEFECTS), *(f"{key}={value}" for key, value in given.items()), *words]) == 0
    written = balance_yaml(tmp_path / "run")
    assert written["balance"]["auto"]
    assert written["balance"]["sampling"] == {"power": 0.75}
    assert written["resolved"]["options"]["sampling"]["strategy"] == "inverse_frequency"
    assert "balance.sampling.power: 0.75 (stated)" in caplog.text
    assert "balance.sampling.strategy: inverse_frequency (the rarer the rarest class of an image" in caplog.text


def test_analyze_says_what_a_run_with_auto_will_do(config, capsys):
    assert main(["analyze", str(config), "balance.sampling.close=0"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "balance: auto, on this data: balance.sampling.strategy: inverse_frequency (the rarer" in printed
    assert "balance.sampling.close: 0 (stated)" in printed
    assert "What balance.sampling asks for" in printed


def test_analyze_refuses_what_a_run_would_refuse(config, capsys):
    assert main(["analyze", str(config), "rect=true"]) == 1
    assert "error: rect: expected false with balance.sampling, got true" in capsys.readouterr().err


def test_a_section_stated_off_stays_off_beside_auto(config, tmp_path, caplog):
    assert main(["train", str(config), "balance.sampling=null", "epochs=1"]) == 0
    assert balance_yaml(tmp_path / "run")["resolved"]["options"]["sampling"] is None
    assert "balance.sampling: null (stated)" in caplog.text
