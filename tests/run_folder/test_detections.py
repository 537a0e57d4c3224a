"""Laws of `detections.npz`: images have one order, and the content comes back or is refused in one line."""

from __future__ import annotations

import dataclasses
import io
import pickle
import resource
import zipfile

import numpy as np
import pytest
from helpers.comparisons import random_outcomes

from yolo_balance import bounded_arrays
from yolo_balance.bounded_arrays import Form, read_arrays
from yolo_balance.errors import DataError
from yolo_balance.recall import Outcomes
from yolo_balance.run_folder.detections import FORMS, Detections

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


def line(folder):
    with pytest.raises(DataError) as caught:
        Detections.load(folder)
    (said,) = str(caught.value).splitlines()
    assert said.startswith(f"{folder / 'detections.npz'}: ")
    return said.removeprefix(f"{folder / 'detections.npz'}: ")


@pytest.mark.parametrize("content", [None, b"", b"no archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_none_is_one_line(tmp_path, content):
    file = tmp_path / "detections.npz"
    if content is not None:
        file.write_bytes(content)
    assert line(tmp_path).startswith("expected the detections.npz of a run")


@pytest.fixture
def arrays():
    """What two images leave: a clean one with a false box, and one with an object of each class, the first found."""
    return {
        "names": np.array(["a", "b"]),
        "budgets": np.array([0.1, 1.0]),
        "split": np.array("0" * 64),
        "counted": np.array([True, False]),
        "object_image": np.array([1, 1]),
        "object_class": np.array([0, 1]),
        "object_confidence": np.array([0.9, -1], np.float32),
        "false_image": np.array([0, 0]),
        "false_confidence": np.array([0.5, 0.5], np.float32),
    }


def test_the_smallest_pass_and_more_arrays_than_ours_are_read(arrays, tmp_path):
    np.savez_compressed(tmp_path / "detections.npz", note=np.ones(3), **arrays)
    assert Detections.load(tmp_path).object_confidence.tolist() == arrays["object_confidence"].tolist()


def test_an_array_that_older_files_lack_may_be_missing(arrays, tmp_path):
    np.savez_compressed(tmp_path / "detections.npz", **arrays)
    forms = {"counted": FORMS["counted"], "unit": Form("int64", "I", required=False)}
    assert set(read_arrays(tmp_path / "detections.npz", forms, "arrays")) == {"counted"}
    np.savez_compressed(tmp_path / "detections.npz", unit=np.arange(3), **arrays)
    with pytest.raises(DataError, match="unit: expected 2 entries, got 3"):
        read_arrays(tmp_path / "detections.npz", forms, "arrays")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("names", np.array(["a", "a"]), "names: expected different names"),
        ("names", np.array(["a", b"b"], object), "expected the detections.npz of a run, but it cannot be read (names "),
        ("names", np.array([1, 2]), "names: expected 1 axes of U, got 1 of int64"),
        ("names", np.array(["a"]), "object_class: expected numbers from 0 to 0, got 1"),
        ("budgets", np.array([-0.1]), "budgets: expected numbers from 0 to inf, got -0.1"),
        ("budgets", np.array([np.inf]), "budgets: expected numbers from 0 to inf, got inf"),
        ("budgets", np.zeros(0), "budgets: expected at least one"),
        ("counted", np.array([True, True]), "counted: expected the images without objects"),
        ("counted", np.array([1, 0]), "counted: expected 1 axes of bool, got 1 of int64"),
        ("object_image", np.array([1, 2]), "object_image: expected numbers from 0 to 1, got 2"),
        ("object_image", np.array([1, -1]), "object_image: expected numbers from 0 to 1, got -1"),
        ("object_class", np.array([0, 1, 1]), "object_class: expected 2 entries, got 3"),
        ("object_class", np.array([[0, 1]]), "object_class: expected 1 axes of int64, got 2 of int64"),
        ("object_confidence", np.array([0.9, np.nan], np.float32), "object_confidence: expected numbers from -1 to 1, got nan"),
        ("object_confidence", np.array([0.9, -0.5], np.float32), "object_confidence: expected -1 or a confidence"),
        ("false_image", np.array([0, 1]), "false_image: expected images that are counted"),
        ("false_confidence", np.array([0.5, 0.6], np.float32), "false_confidence: expected falling numbers"),
        ("false_confidence", np.array([1.5, 0.6], np.float32), "false_confidence: expected numbers from 0 to 1, got 1.5"),
        ("false_confidence", None, "expected the detections.npz of a run, but it cannot be read (no array false_confidence)"),
    ],
)  # fmt: skip
def test_an_array_that_cannot_be_is_one_line(arrays, tmp_path, name, value, said):
    changed = {key: array for key, array in {**arrays, name: value}.items() if array is not None}
    np.savez_compressed(tmp_path / "detections.npz", **changed)
    assert line(tmp_path).startswith(said)


def header(shape, dtype="<i8"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def packed(folder, arrays, **entries):
    """Write an archive with some entries in place of arrays."""
    with zipfile.ZipFile(folder / "detections.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{name}.npy", entries.get(name, content.getvalue()))


@pytest.mark.parametrize(
    "entry",
    [
        header("(1000000000000,)"),
        header("(1000000000000, 1000000000000, 1000000000000)"),
        header("(-1, -16)") + bytes(128),
        header("()", "|O") + pickle.dumps(print),
        header("(1,)", "|V0"),
        header("(" * 3000),
        header("(2,)")[:30],
        header("(2,)") + bytes(17),
        b"",
        b"\x93NUMPY\x09\x00",
    ],
    ids=lambda entry: repr(entry[:30]),
)
def test_a_header_that_lies_reserves_no_memory(arrays, tmp_path, entry):
    packed(tmp_path, arrays, object_image=entry)
    assert line(tmp_path).startswith("expected the detections.npz of a run, but it cannot be read (")


def test_an_archive_is_measured_before_it_is_unpacked(arrays, tmp_path, monkeypatch):
    size = 64 << 20
    packed(tmp_path, arrays, object_image=header(f"({size // 8},)") + bytes(size))
    monkeypatch.setattr(bounded_arrays, "MOST_UNPACKED", size)
    assert line(tmp_path).endswith("(arrays of more than 67,108,864 bytes)")

    file = tmp_path / "detections.npz"  # a false size in both places where an archive states it
    content = file.read_bytes()
    true = (size + len(header(f"({size // 8},)"))).to_bytes(4, "little")
    assert content.count(true) == 2
    file.write_bytes(content.replace(true, (136).to_bytes(4, "little")))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert line(tmp_path).startswith("expected the detections.npz of a run, but it cannot be read (")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB


def test_a_directory_of_many_entries_is_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "detections.npz", "w") as archive:
        for i in range(2000):
            archive.writestr(f"{i}.npy", b"")
    assert line(tmp_path).endswith("(more than 64 arrays)")
