"""Any damage to a file gives the answer of the undamaged file, or one line that names the file; never anything else."""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.comparisons import random_outcomes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yolo_balance import RecallReport
from yolo_balance.cli import main
from yolo_balance.comparison import Comparison, RunFigures
from yolo_balance.errors import BalanceError
from yolo_balance.recall import Thresholds
from yolo_balance.recall.conditions import Conditions
from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.detections import Detections
from yolo_balance.run_folder.history import append_exposure, append_feedback, append_recall, read_feedback, read_history
from yolo_balance.run_folder.measured import Measured
from yolo_balance.run_folder.state import RunState
from yolo_balance.sampling import ClassStatistics, Exposure

NUMBERS = [5, pytest.param(5_000, marks=pytest.mark.long)]
"""Damaged files of each kind, and those that `.ci/long` tries."""
NAMES = ["scratch", "pit, deep", "c\nd"]
RUN = {
    **{"model": "yolo11n.yaml", "data": "demo", "epochs": 3},
    "balance": {"sampling": {"power": 0.5}, "recall": {"false_alarms": [0.5, 1.0], "targets": {"pit, deep": 0.9}}},
}
IMPOSSIBLE = [float("nan"), float("inf"), -1e9, -7, 1e300, 10**400, [[[]]], [float("nan")], {"a": {"b": [-1]}}]
"""Values that are right nowhere in a document."""
ODD = st.sampled_from([*IMPOSSIBLE, None, True, False, 0, 1, 0.5, [], {}, "", "a", "NaN", "1e400", "a\nb", "x" * 5000])


class Refused(Exception):
    """Lines of a refusal."""


def verb(*words) -> tuple[int, str]:
    """Call the command line; return exit code and text, and raise Refused with the lines of an error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*map(str, words)])
    if err.getvalue():
        assert code == (4 if words[0] == "gate" else 1), err.getvalue()
        raise Refused("\n".join(line.removeprefix("error: ") for line in err.getvalue().splitlines()))
    return code, out.getvalue()


def compared(folder):
    return Comparison.of({"a": [RunFigures.load(folder, 0)]}, [3, 2, 1], first="a", seeds=[0], resamples=5).to_json()


READERS: dict[str, Callable[[Path], object]] = {
    "recall.json": lambda f: verb("gate", f / "recall.json", "--targets", f / "targets.yaml"),
    "targets.yaml": lambda f: verb("gate", f / "recall.json", "--targets", f / "targets.yaml"),
    "run.yaml": lambda f: verb("validate", f / "run.yaml"),
    "thresholds.yaml": lambda f: Thresholds.load(f / "thresholds.yaml"),
    "balance.yaml": lambda f: BalanceFile.load(f).classes,
    "balance_state.json": lambda f: {
        key: RunState.load(f).learnt.get(key) for key in ("recall", "gradients")
    },  # fitness is any
    "run.json": compared,
    "detections.npz": compared,
    "exposure.csv": compared,
    "recall.csv": read_history,
    "feedback.csv": read_feedback,
}


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory):
    """The files of a run by name, and what is read of each."""
    folder = tmp_path_factory.mktemp("run")
    _, outcomes = random_outcomes(np.random.default_rng(0))
    report = RecallReport.of(outcomes, NAMES, false_alarms=[0.5, 1.0], targets={"scratch": 0.5})
    report.with_details(outcomes).save(folder / "recall.json")
    Thresholds.of(report, Conditions(imgsz=64, nms_iou=0.7)).save(folder / "thresholds.yaml")
    Detections.of(outcomes, NAMES, [0.5, 1.0]).save(folder)
    Measured(0.3, 0.5, dict.fromkeys(NAMES, 0.5), 100, 12.5).save(folder)
    row = {"images": 3, "boxes": 4, "factor": 1.5, "product": 2.0}
    BalanceFile({"auto": True}, {"options": {"auto": True}, "classes": dict.fromkeys(NAMES, row)}).save(folder)
    gradients = {"positive": [1.0, 2.0], "negative": [0.5, 0.0]}
    best = {"epoch": 1, "value": 0.5, "recall": 0.5, "lowest": "pit", "low": 0.1, "hits": 1, "n": 2, "missed": ["a"]}
    chosen = {"by": "worst_class_recall", "best": best, "fitness": 0.5, "fitness_epoch": 1}
    learnt = {"recall": {"pit": 0.5}, "hard": ["a.png"], "gradients": {"one2one": gradients}, "selection": chosen}
    RunState(2, learnt=learnt).save(folder)
    exposure = Exposure(NAMES, ClassStatistics.of([np.array([0, 1]), np.array([2])], 3))
    for epoch in (1, 2):
        append_exposure(folder, epoch, exposure)
        append_recall(folder, epoch, report)
        append_feedback(folder, epoch, NAMES, report, smoothed=np.ones(3), factors=np.ones(3), moved=np.ones(3) > 0)
    (folder / "targets.yaml").write_text(yaml.safe_dump({"scratch": 0.9, "c\nd": 0.1}))
    (folder / "run.yaml").write_text(yaml.safe_dump(RUN))
    return folder, {name: ((folder / name).read_bytes(), read(folder)) for name, read in READERS.items()}


def law(undamaged, name, content, *, same=False):
    """Read a file with other content: it is refused in lines that name the file, or read, to the `same` answer."""
    folder, files = undamaged
    path, (original, answer) = folder / name, files[name]
    path.write_bytes(content)
    try:
        found = READERS[name](folder)
    except (BalanceError, Refused) as e:
        lines = str(e).splitlines()
        assert lines
        for line in lines:
            assert line.startswith((str(path), "targets: ", "balance")), line
            assert line.isprintable(), line
            assert len(line) < 1000, line
        return
    finally:
        path.write_bytes(original)
    if same:
        assert found == answer


def damage(number, strategy):
    """Call a function with so many drawn arguments."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    options = settings(
        max_examples=number, deadline=None, database=None, derandomize=True, suppress_health_check=checks
    )
    return lambda function: options(given(strategy)(function))()


PLACE = st.integers(0, 1 << 30)
"""A place in a file, counted round and round."""


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", READERS)
def test_bytes_cut_changed_or_put_in(undamaged, name, number):
    original = undamaged[1][name][0]
    insertion = st.sampled_from(
        [b"\0", b"\xff", b"\n", b"[", b'"', b"-", b"9" * 400, b": ", b",,", b"PK\5\6", b"\x93NUMPY"]
    )

    @damage(number, st.tuples(PLACE, insertion, st.sampled_from(["cut", "changed", "put in"])))
    def holds(drawn):
        place, piece, how = drawn
        at = place % (len(original) + 1)
        rest = {"cut": b"", "changed": piece + original[at + len(piece) :], "put in": piece + original[at:]}[how]
        law(undamaged, name, original[:at] + rest)


def places(content, before=()):
    """Return the keys to each value of a document."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [found for key, value in inner for found in ((*before, key), *places(value, (*before, key)))]


def changed(content, keys, value):
    """Return a document with one value set, or taken away by `...`."""
    node = result = copy.deepcopy(content)
    for key in keys[:-1]:
        node = node[key]
    if value is ...:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    return result


DOCUMENTS = [name for name in READERS if name.endswith(("json", "yaml"))]


def formats(name):
    if name.endswith("json"):
        return json.loads, lambda content: json.dumps(content).encode()
    return yaml.safe_load, lambda content: yaml.safe_dump(content, sort_keys=False).encode()


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_values_replaced_and_keys_taken_away(undamaged, name, number):
    load, dump = formats(name)
    content = load(undamaged[1][name][0])
    everywhere = places(content)

    @damage(number, st.tuples(PLACE, st.one_of(ODD, st.just(...), st.integers(), st.floats())))
    def holds(drawn):
        place, value = drawn
        impossible = any(value is one for one in IMPOSSIBLE)
        law(undamaged, name, dump(changed(content, everywhere[place % len(everywhere)], value)), same=impossible)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name.endswith("json")])
def test_a_key_that_stands_twice_is_refused(undamaged, name):
    folder, files = undamaged
    content = json.loads(files[name][0])
    for key in content:
        text = json.dumps(content).replace(f'"{key}": ', f'"{key}": null, "{key}": ', 1)
        (folder / name).write_text(text)
        with pytest.raises((BalanceError, Refused), match=f'the key "{key}" stands twice'):
            READERS[name](folder)
    (folder / name).write_bytes(files[name][0])


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", [name for name in READERS if name.endswith("csv")])
def test_fields_replaced_and_rows_taken_away(undamaged, name, number):
    rows = list(csv.reader(io.StringIO(undamaged[1][name][0].decode(), newline="")))
    text = st.one_of(
        st.sampled_from(["", "nan", "-1", "1e400", "9" * 5000, "0x1", "a", "1,2", "\0", '"', "٣"]), st.text(max_size=3)
    )

    @damage(number, st.tuples(PLACE, PLACE, text, st.sampled_from(["field", "row", "column", "twice"])))
    def holds(drawn):
        i, j, field, how = drawn
        table = copy.deepcopy(rows)
        row, column = i % len(table), j % len(table[0])
        if how == "field":
            table[row][column] = field
        elif how == "row":
            del table[row]
        elif how == "twice":
            table.append(table[row])
        else:
            table = [line[:column] + line[column + 1 :] for line in table]
        out = io.StringIO(newline="")
        csv.writer(out).writerows(table)
        law(undamaged, name, out.getvalue().encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("number", NUMBERS)
def test_arrays_replaced_and_taken_away(undamaged, number):
    with np.load(io.BytesIO(undamaged[1]["detections.npz"][0])) as archive:
        arrays = dict(archive)
    assert set(arrays) == {field.name for field in dataclasses.fields(Detections)}
    change = st.sampled_from(["value", "type", "shape", "cut", "none"])
    numbers = [float("nan"), -2, 2, 1e30, -1e30, 0.5, float("inf"), 2**40]

    @damage(number, st.tuples(st.sampled_from(sorted(arrays)), change, PLACE, st.sampled_from(numbers)))
    def holds(drawn):
        name, how, place, value = drawn
        array, others = arrays[name].copy(), {key: array for key, array in arrays.items() if key != name}
        if how == "value" and array.dtype.kind in "fi" and array.size:
            with np.errstate(invalid="ignore"):
                array[place % len(array)] = np.float64(value).astype(array.dtype)
        elif how == "type" and name != "split":
            array = array.astype(["U", "S", "O"][place % 3]) if name == "names" else array.astype("int32")
        elif how == "shape":
            array = array.reshape(*array.shape, 1)
        elif how == "cut" and array.ndim:
            array = array[: place % (len(array) + 1)]
        content = io.BytesIO()
        np.savez_compressed(content, **others, **({} if how == "none" else {name: array}))
        law(undamaged, "detections.npz", content.getvalue())
