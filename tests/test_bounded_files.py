"""Whatever a path leads to, reading ends in the content or in one line that names the file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from yolo_balance import BalanceConfig, RecallReport
from yolo_balance.bounded_files import MOST_BYTES, checked, read_json
from yolo_balance.config import read_yaml
from yolo_balance.errors import BalanceError, DataError
from yolo_balance.ranges import Count, Share
from yolo_balance.recall import Thresholds
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.history import read_exposure, read_feedback, read_history
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.state import RunState

READERS = {
    "run.yaml": BalanceConfig.load,
    "thresholds.yaml": Thresholds.load,
    "recall.json": RecallReport.load,
    "run.json": lambda path: Measured.load(path.parent),
    "detections.npz": lambda path: Detections.load(path.parent),
    "balance_state.json": lambda path: RunState.load(path.parent),
    "recall.csv": lambda path: read_history(path.parent),
    "exposure.csv": lambda path: read_exposure(path.parent),
    "feedback.csv": lambda path: read_feedback(path.parent),
}


def huge(path):
    with path.open("wb") as f:
        f.truncate(1 << 40)  # takes no space


PLACES = {
    "nothing": lambda path: None,
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
    "an endless file": huge,
    "Latin-1": lambda path: path.write_bytes("Größe: 1\n".encode("latin-1")),
    "null bytes": lambda path: path.write_bytes(bytes(100)),
    "deep lists": lambda path: path.write_text("[" * 100_000),
    "deep objects": lambda path: path.write_text('{"a":' * 100_000),
    "a huge number": lambda path: path.write_text('{"schema": 1' + "0" * 6000 + "}"),
    "half a surrogate pair": lambda path: path.write_text('{"schema": "\\ud800"}'),
}


def one_line(refused: pytest.ExceptionInfo[BalanceError], path: Path) -> str:
    (line,) = str(refused.value).splitlines()
    assert line.startswith(str(path))
    assert line.isprintable()
    assert len(line) < 600
    return line


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", READERS)
def test_whatever_a_path_leads_to_is_one_line(name, place, tmp_path):
    path = tmp_path / name
    PLACES[place](path)
    with pytest.raises(BalanceError) as refused:
        READERS[name](path)
    one_line(refused, path)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{}{}", "NaN", "'a'", '{"a": 1', "\ufeff"])
def test_text_that_is_no_json_is_one_line(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError) as refused:
        checked(Sample, read_json(path, "a sample"), path)
    one_line(refused, path)


def test_a_byte_order_mark_is_no_content(tmp_path):
    (tmp_path / "a.json").write_text('\ufeff{"a": 1}')
    (tmp_path / "a.yaml").write_text("\ufeffa: 1")
    assert read_json(tmp_path / "a.json", "a sample") == read_yaml(tmp_path / "a.yaml") == {"a": 1}


def test_a_line_break_in_a_path_stays_in_its_line(tmp_path):
    for read in (read_yaml, RecallReport.load, Thresholds.load):
        with pytest.raises(BalanceError) as refused:
            read(tmp_path / "a\nb")
        assert str(refused.value).startswith(f"{tmp_path}/a\\nb: ")
        assert len(str(refused.value).splitlines()) == 1


def test_aliases_of_aliases_are_refused_before_they_are_written_out(tmp_path):
    path = tmp_path / "a.yaml"
    lines = ["a0: &a0 [1]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))]
    path.write_text("\n".join(lines))
    with pytest.raises(BalanceError, match="repeats more than 100,000 nodes by aliases"):
        read_yaml(path)
    path.write_text("\n".join(lines[:4]))
    assert read_yaml(path) == yaml.safe_load(path.read_text())


@dataclass(frozen=True)
class Sample:
    """A document of a test."""

    n: Count
    share: Share | None = None


@dataclass(frozen=True)
class Named:
    """Another document of a test."""

    name: str


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"n": 1.0}, "n: expected a valid integer"),
        ({"n": False}, "n: expected a valid integer, got false"),
        ({"n": 10**400}, "n: expected a number of less than 64 bits, got a huge number"),
        ({"n": 1, "share": -0.1}, "share: expected greater than or equal to 0, got -0.1"),
        ({"n": 1, "x\ny": float("nan")}, "x\\ny: expected a finite number, got NaN"),
        ({"n": 1, "x": {1, 2}}, "x: expected a value that JSON knows, got"),
        ([], "expected an object, got []"),
        (None, "expected an object, got null"),
    ],
)
def test_a_document_of_another_form_is_one_line(content, line):
    with pytest.raises(DataError) as refused:
        checked(Sample, content, "a.json")
    assert str(refused.value).startswith(f"a.json: {line}")


def test_stray_bytes_of_a_file_name_come_back_as_escapes(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"name": os.fsdecode(b"\xe9.png \xf0\x9f\x98\x80")}))
    found = checked(Named, read_json(tmp_path / "a.json", "a sample"), "a.json")
    assert found.name == "\\udce9.png 😀"


def test_the_bound_is_that_of_the_bytes(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"n": 1}).ljust(MOST_BYTES))
    assert read_json(path, "a sample") == {"n": 1}
    path.write_text(json.dumps({"n": 1}).ljust(MOST_BYTES + 1))
    with pytest.raises(DataError, match=r"expected at most 33,554,432 bytes"):
        read_json(path, "a sample")
