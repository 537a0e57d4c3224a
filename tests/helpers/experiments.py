"""Experiments on tiny data through the command line."""

from __future__ import annotations

import pytest
import yaml

from yolo_balance.cli import main

RUN = {"model": "yolo11n.yaml", "epochs": 2, "imgsz": 32, "batch": 8, "nbs": 8, "plots": False, "device": "cpu"}


@pytest.fixture
def write(tmp_path):
    """Writes YAML files into tmp_path and returns their paths."""

    def write(**files):
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        return [str(tmp_path / f"{name}.yaml") for name in files]

    return write


@pytest.fixture
def base(tiny_data, write):
    return write(base={**RUN, "data": str(tiny_data), "balance": {"recall": {"false_alarms": [0.5, 1.0]}}})[0]


def stamps(out):
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("*/*/recall.json"))}


def fails(capsys, tmp_path, *words):
    """The lines `compare` prints on its way to exit code 1, before anything is run or written."""
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return [line.removeprefix("error: ") for line in lines]
