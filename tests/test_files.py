"""Laws of what is written: names that a spreadsheet takes for text, files whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil

import numpy as np
import pytest
from helpers.outcomes import pooled

from yolo_balance import RecallReport
from yolo_balance.files import COMPLETE, csv_name, csv_text, sha256, tidy, write_whole, written_together
from yolo_balance.run_folder.history import append_exposure, append_feedback, append_recall
from yolo_balance.run_folder.names import EPOCH_ROWS
from yolo_balance.sampling import ClassStatistics, Exposure

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "'=1", "''=1"]
ORDINARY = ["crack", "rolled-in_scale", "", "'quoted'", "a=b", "日本", "1", "two\nlines", 'a,"b"', " =1", "'"]


@pytest.mark.parametrize("name", FORMULAS)
def test_what_starts_a_formula_gets_an_apostrophe(name):
    assert csv_text(name) == "'" + name


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay_as_they_are(name):
    assert csv_text(name) == name


def test_every_name_comes_back():
    rng = np.random.default_rng(0)
    for _ in range(2000):
        name = "".join(rng.choice(list("'=+-@\t\ra "), rng.integers(0, 6)))
        assert csv_name(csv_text(name)) == name


@pytest.mark.parametrize("name", FORMULAS)
def test_no_file_of_a_run_holds_a_formula(name, tmp_path):
    report = RecallReport.of(pooled([[1]], [[0.9]], [[0]], [[0]], 1), [name], false_alarms=[1.0])
    exposure = Exposure([name], ClassStatistics.of([np.array([0])], 1))
    ones = np.ones(1)
    append_exposure(tmp_path, 1, exposure)
    append_recall(tmp_path, 1, report)
    append_feedback(tmp_path, 1, [name], report, smoothed=ones, factors=ones, moved=ones > 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(EPOCH_ROWS)
    for path in tmp_path.iterdir():
        with path.open(newline="", encoding="utf-8") as f:
            field = list(csv.reader(f))[1][1]
        assert field[0] == "'"
        assert csv_name(field) == name


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with pytest.raises(AttributeError):
        write_whole(path, None)
    assert path.read_text() == "old"
    write_whole(path, "new \udcff")
    assert path.read_bytes() == b"new \\udcff"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def write_both(folder, text, error=None):
    with written_together(folder) as fresh:
        (fresh / "a").write_text(text)
        if error is not None:
            raise error
        (fresh / "b").write_text(text)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_files_written_together_replace_the_old_ones_all_or_none(tmp_path):
    write_both(tmp_path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_both(tmp_path, "new", KeyboardInterrupt())
    assert content(tmp_path) == {"a": "old", "b": "old"}
    write_both(tmp_path, "new")
    assert content(tmp_path) == {"a": "new", "b": "new"}


@pytest.mark.parametrize("at", range(8))
def test_a_folder_is_tidy_after_a_kill_at_any_step(tmp_path, monkeypatch, at):
    """What is complete moves to its place, what is not goes: both files are of one time."""
    write_both(tmp_path, "old")
    calls = []

    def until_killed(stock):
        def call(*args, **kwargs):
            calls.append(stock)
            if len(calls) > at:
                raise SystemExit
            return stock(*args, **kwargs)

        return call

    with monkeypatch.context() as m:
        for name in ("fsync", "rename", "replace", "rmdir"):
            m.setattr(os, name, until_killed(getattr(os, name)))
        m.setattr(shutil, "rmtree", lambda *args, **kwargs: None)  # a process that is killed removes nothing
        with pytest.raises(SystemExit):
            write_both(tmp_path, "new")
    complete = (tmp_path / COMPLETE).exists()
    assert complete == (at > 3)
    tidy(tmp_path)
    assert content(tmp_path) == dict.fromkeys("ab", "new" if complete else "old")


def test_a_file_is_told_by_its_content_and_a_folder_by_its_files(tmp_path):
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for name, content in (("a", b"x" * (3 << 20)), ("sub/b", b"y")):
        (folder / name).write_bytes(content)
        assert sha256(folder / name) == hashlib.sha256(content).hexdigest()
    before = sha256(shutil.copytree(folder, tmp_path / "copy"))
    assert sha256(folder) == before
    (folder / "sub" / "b").rename(folder / "sub" / "c")
    assert sha256(folder) != before
