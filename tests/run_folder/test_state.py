"""The state of a run comes back; values that cannot be are one line that names the key."""

from __future__ import annotations

import json

import pytest

from yolo_balance.errors import DataError
from yolo_balance.files import sha256
from yolo_balance.run_folder.names import STATE
from yolo_balance.run_folder.state import TRAINED, RunState


def test_a_state_comes_back(tmp_path):
    checkpoint = tmp_path / "last.pt"
    checkpoint.write_bytes(b"weights")
    state = RunState(3, TRAINED, sha256(checkpoint), 12, 1.5, {"names": ["crack"]}, {"recall": {"crack": 0.5}})
    state.save(tmp_path)
    assert RunState.load(tmp_path) == state
    assert state.belongs_to(checkpoint)
    checkpoint.write_bytes(b"other weights")
    assert not state.belongs_to(checkpoint)


def test_a_state_of_an_earlier_version_belongs_to_any_checkpoint(tmp_path):
    (tmp_path / STATE).write_text('{"schema": 1, "epoch": 2, "recall": {"crack": 0.5}}')
    state = RunState.load(tmp_path)
    assert (state.epoch, state.learnt) == (2, {"recall": {"crack": 0.5}})
    assert state.belongs_to(tmp_path / "last.pt")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epoch", -1),
        ("epoch", True),
        ("steps", 2.5),
        ("seconds", "long"),
        ("seconds", float("nan")),
        ("stage", "resting"),
        ("checkpoint", 5),
        ("data", ["a"]),
        ("threshold", 1.5),
    ],
)
def test_values_that_cannot_be_are_one_line(tmp_path, key, value):
    (tmp_path / STATE).write_text(json.dumps({"schema": 2, "epoch": 1, key: value}))
    with pytest.raises(DataError) as caught:
        RunState.load(tmp_path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / STATE}: {key}: expected ")
