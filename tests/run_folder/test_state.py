"""The state of a run comes back; values that cannot be are one line that names the key."""

from __future__ import annotations

import json

import pytest

from yolo_balance.run_folder.names import STATE
from yolo_balance.run_folder.state import (
    TRAINED,
    RunState,
    checked_count,
    checked_list,
    checked_mapping,
    checked_number,
    file_hash,
)


def test_a_state_comes_back(tmp_path):
    checkpoint = tmp_path / "last.pt"
    checkpoint.write_bytes(b"weights")
    state = RunState(3, TRAINED, file_hash(checkpoint), 12, 1.5, {"names": ["crack"]}, {"recall": {"crack": 0.5}})
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
    ("changes", "said"),
    [
        ({"epoch": -1}, "epoch: expected a whole number from 0 to 1000000000000000, got -1"),
        ({"epoch": True}, "epoch: expected a whole number"),
        ({"steps": 2.5}, "steps: expected a whole number"),
        ({"seconds": "long"}, "seconds: expected a number from 0 to 1e+12, got 'long'"),
        ({"seconds": float("nan")}, "seconds: expected a number"),
        ({"stage": "resting"}, "stage: expected one of training, trained, finished, got 'resting'"),
        ({"checkpoint": 5}, "checkpoint: expected str, got 5"),
        ({"data": ["a"]}, "data: expected dict, got"),
    ],
)
def test_values_that_cannot_be_are_one_line(tmp_path, changes, said):
    (tmp_path / STATE).write_text(json.dumps({"epoch": 1, **changes}))
    with pytest.raises(ValueError, match="expected") as caught:
        RunState.load(tmp_path)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_values_of_parts_are_checked():
    assert checked_number(1, "a", 0, 1) == 1.0
    assert checked_count(3, "a", 3) == 3
    for check, value in (
        (lambda v: checked_number(v, "a", 0, 1), 1.5),
        (lambda v: checked_number(v, "a", 0, 1), 10**400),
        (lambda v: checked_number(v, "a", 0, 1), None),
        (lambda v: checked_count(v, "a", 3), 4),
        (lambda v: checked_mapping(v, "a"), []),
        (lambda v: checked_list(v, "a"), {}),
    ):
        with pytest.raises(ValueError, match=r"^a: expected"):
            check(value)
