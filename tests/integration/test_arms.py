"""The arms that are shipped: each can be trained as it stands, and says in its first line what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from yolo_balance.integration import arms as reading

FOLDER = Path(__file__).parents[2] / "cfg" / "arms"
FILES = sorted(FOLDER.glob("*.yaml"))
BASE = {"model": "yolo11n.yaml", "epochs": 12, "imgsz": 32, "batch": 8, "plots": False, "device": "cpu"}


def test_every_arm_can_be_laid_over_a_run(tiny_data, tmp_path):
    base = tmp_path / "base.yaml"
    base.write_text(yaml.safe_dump({**BASE, "data": str(tiny_data)}))
    arms = reading.read(base, FILES, {})
    assert [arm.name for arm in arms] == [file.stem for file in FILES]
    stock = arms[[arm.name for arm in arms].index("stock")]
    assert stock.balance.off()
    for arm in arms:
        assert arm is stock or arm.changes(stock) or arm.balance != stock.balance, arm.name
        assert arm.steps == stock.steps, arm.name  # none of them trains longer than another


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_arm_says_what_it_is(file):
    assert file.read_text().startswith("# ")
    assert "balance" in yaml.safe_load(file.read_text())
