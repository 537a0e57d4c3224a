"""`run.json` comes back, or is refused in one line that names the file and the key."""

from __future__ import annotations

import json

import pytest

from yolo_balance.errors import DataError
from yolo_balance.run_folder.measured import Measured

MEASURED = Measured(0.3, 0.5, {"crack": 0.1}, 100, 12.5)


def test_precision_and_time_come_back(tmp_path):
    MEASURED.save(tmp_path)
    assert Measured.load(tmp_path) == MEASURED


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "expected the run.json of a run, but it cannot be read (not JSON: Expecting property name"),
        ("[1]", "expected an object, got [1]"),
        ('{"steps": 1}', "map50_95: missing (3 more like it)"),
        (
            '{"steps": 1, "steps": 2}',
            'expected the run.json of a run, but it cannot be read (the key "steps" stands twice',
        ),
    ],
)
def test_another_document_is_one_line(tmp_path, text, line):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(DataError) as refused:
        Measured.load(tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'run.json'}: {line}")


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("map50", float("nan"), "map50: expected a finite number, got NaN"),
        ("map50", 1.5, "map50: expected less than or equal to 1, got 1.5"),
        ("map50_95", "0.3", 'map50_95: expected a valid number, got "0.3"'),
        ("ap50", {"crack\n": -1}, "ap50.crack\\n: expected greater than or equal to 0, got -1"),
        ("ap50", [0.1], "ap50: expected an object, got [0.1]"),
        ("steps", True, "steps: expected a valid integer, got true"),
        ("steps", 10**400, "steps: expected a number of less than 64 bits, got a huge number"),
        ("steps", -1, "steps: expected greater than or equal to 0, got -1"),
        ("train_seconds", None, "train_seconds: expected a valid number, got null"),
    ],
)
def test_a_figure_that_cannot_be_is_one_line(tmp_path, key, value, line):
    MEASURED.save(tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**content, key: value}))
    with pytest.raises(DataError) as refused:
        Measured.load(tmp_path)
    assert str(refused.value) == f"{tmp_path / 'run.json'}: {line}"


def test_more_keys_are_welcome(tmp_path):
    MEASURED.save(tmp_path)
    content = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**content, "author": [1]}))
    assert Measured.load(tmp_path) == MEASURED
