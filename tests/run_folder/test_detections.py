"""Laws of `detections.npz`: images have one order, and the content comes back or is refused in one line."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers.comparisons import random_outcomes

from yolo_balance.errors import DataError
from yolo_balance.recall import Outcomes
from yolo_balance.run_folder.detections import Detections

NAMES, BUDGETS = ["a", "b", "c"], [0.0, 0.1, 0.5, 1.0, 3.0]


def test_the_order_in_which_images_were_read_does_not_matter():
    rng = np.random.default_rng(1)
    parts, outcomes = random_outcomes(rng)
    again = Outcomes.pool([parts[i] for i in rng.permutation(len(parts))], 3)
    one, other = (Detections.of(found, NAMES, BUDGETS) for found in (outcomes, again))
    for field in dataclasses.fields(Detections):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_other_images_are_another_split():
    rng = np.random.default_rng(2)
    parts, outcomes = random_outcomes(rng)
    fewer = Outcomes.pool(parts[:-1], 3)
    assert Detections.of(outcomes, NAMES, BUDGETS).split != Detections.of(fewer, NAMES, BUDGETS).split


def test_what_is_saved_is_what_is_loaded(tmp_path):
    _, outcomes = random_outcomes(np.random.default_rng(5))
    detections = Detections.of(outcomes, ["=1+1", "b", "日本"], BUDGETS)
    detections.save(tmp_path)
    loaded = Detections.load(tmp_path)
    for field in dataclasses.fields(Detections):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(detections, field.name))
    assert [p.name for p in tmp_path.iterdir()] == ["detections.npz"]


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_one_line(tmp_path, content):
    file = tmp_path / "detections.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"detections\.npz: expected the detections\.npz of a run") as caught:
        Detections.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_units_are_counted_in_the_order_of_file_names_and_a_file_without_them_takes_each_image_as_one(tmp_path):
    parts, outcomes = random_outcomes(np.random.default_rng(6))
    keys = {part.file: int(part.file.encode()[-5]) % 4 for part in parts}
    detections = Detections.of(outcomes.with_units([keys[file] for file in outcomes.files]), NAMES, BUDGETS)
    ordered = [keys[file] for file in sorted(keys)]
    assert detections.unit.tolist() == [list(dict.fromkeys(ordered)).index(key) for key in ordered]
    content = dataclasses.asdict(detections)
    content.pop("unit")
    np.savez_compressed(tmp_path / "detections.npz", **content)
    assert Detections.load(tmp_path).unit.tolist() == list(range(len(parts)))
