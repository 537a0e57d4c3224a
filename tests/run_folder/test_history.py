"""Rows of a run come back as they were; another file is refused in one line."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from helpers.outcomes import pooled

from yolo_balance import RecallReport
from yolo_balance.errors import DataError
from yolo_balance.recall.report import COLUMNS, ClassScores
from yolo_balance.run_folder.history import (
    FEEDBACK_COLUMNS,
    Shares,
    append_exposure,
    append_feedback,
    append_recall,
    read_exposure,
    read_feedback,
    read_history,
)
from yolo_balance.run_folder.kept_epochs import keep_epochs
from yolo_balance.sampling import ClassStatistics, Exposure
from yolo_balance.sampling.exposure import COLUMNS as EXPOSURE_COLUMNS

NAMES = ["=cmd|' /C calc'!A0", 'two\nlines, "quoted"', "日本", "crack"]


def test_history_comes_back(tmp_path):
    split = pooled([[1, 0, 1], [0]], [[0.9, 0.4, 0.2], [0.3]], [[0, 1, 2], [0]], [[0, 1, 2, 2], []], 4)
    reports = [RecallReport.of(split, NAMES, false_alarms=[0.1, 1.0]), RecallReport.of(split, NAMES, false_alarms=[0])]
    for epoch, report in enumerate(reports, start=1):
        append_recall(tmp_path, epoch, report)
    rows = iter(read_history(tmp_path))
    for epoch, report in enumerate(reports, start=1):
        for budget in report.budgets:
            for name, c in budget.classes.items():
                row = next(rows)
                assert (row.epoch, row.name, row.budget, row.n, row.hits) == (
                    epoch,
                    name,
                    budget.false_alarms,
                    c.n,
                    c.hits,
                )
                assert row.recall == (None if c.recall is None else pytest.approx(c.recall, abs=1e-5))
                assert row.bounds == (None if c.bounds is None else pytest.approx(c.bounds, abs=1e-5))
                assert row.threshold == pytest.approx(c.threshold, abs=1e-6)
                assert row.false_alarms == pytest.approx(budget.measured, abs=1e-5)
    assert next(rows, None) is None


def test_exposure_is_the_last_epoch_and_the_mean_of_all(tmp_path):
    exposure = Exposure(NAMES, ClassStatistics.of([np.array([0, 1]), np.array([2])], 4))
    for epoch, boxes in enumerate(([0, 0, 1], [1, 1, 2, 2], [2]), start=1):
        exposure.start_epoch(None)
        exposure.add(np.stack([np.bincount(boxes, minlength=4), np.zeros(4, int)]), boxes[:1], 1)
        append_exposure(tmp_path, epoch, exposure)
    read = read_exposure(tmp_path)
    assert list(read) == NAMES
    assert read[NAMES[2]].last == Shares(0.33333, 0.33333, 1.0, 1.0)
    assert read[NAMES[0]].mean.drawn == pytest.approx((2 / 3 + 0 + 0) / 3, abs=1e-5)
    assert read[NAMES[2]].mean.drawn == pytest.approx((0 + 1 / 2 + 1) / 3, abs=1e-5)
    assert read[NAMES[1]].mean.reached == pytest.approx(1 / 3, abs=1e-5)
    assert read[NAMES[3]].last == Shares(0, 0, 0, 0)


def test_feedback_comes_back_and_only_the_epochs_that_are_kept(tmp_path):
    split = pooled([[1, 0, 1], [0]], [[0.9, 0.4, 0.2], [0.3]], [[0, 1, 2], [0]], [[0, 1, 2, 2], []], 4)
    report = RecallReport.of(split, NAMES, false_alarms=[1.0])
    smoothed, factors, moved = np.array([0.5, np.nan, 0.25, np.nan]), np.arange(1.0, 5), np.arange(4) > 1
    for epoch in (1, 2, 3):
        append_feedback(tmp_path, epoch, NAMES, report, smoothed=smoothed, factors=factors * epoch, moved=moved)
    keep_epochs(tmp_path, 2)
    read = read_feedback(tmp_path)
    assert list(read) == NAMES
    for c, name in enumerate(NAMES):
        row = report.budgets[0].classes[name]
        assert [(r.epoch, r.n, r.factor, r.frozen) for r in read[name]] == [
            (epoch, row.n, epoch * (c + 1), c <= 1) for epoch in (1, 2)
        ]
        expected = [np.nan if value is None else value for value in (row.recall, row.low)]
        np.testing.assert_allclose([(r.recall, r.low) for r in read[name]], [expected] * 2, atol=1e-5)


def test_a_run_that_ended_no_epoch_has_no_rows(tmp_path):
    (tmp_path / "recall.csv").write_text(",".join(COLUMNS) + "\n")
    (tmp_path / "exposure.csv").write_text(",".join(EXPOSURE_COLUMNS) + "\n")
    (tmp_path / "feedback.csv").write_text(",".join(FEEDBACK_COLUMNS) + "\n")
    assert read_history(tmp_path) == ()
    assert read_exposure(tmp_path) == read_feedback(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "read"),
    [("recall.csv", read_history), ("exposure.csv", read_exposure), ("feedback.csv", read_feedback)],
)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected columns epoch, class"),
        (b"epoch,loss\n1,2\n", "got none called class"),
        (b"\xff\xfe\x00", "expected a CSV file"),
        (None, "expected a CSV file"),
    ],
)
def test_another_file_is_refused(name, read, content, said, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        read(tmp_path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


GOOD = {
    **{"epoch": "1", "class": "crack", "budget": "0.1", "n": "2", "hits": "1", "recall": "0.5", "low": "0.1"},
    **{"high": "0.9", "threshold": "0.5", "false_alarms": "0.1", "clustered_low": "0.1", "clustered_high": "0.9"},
    **{"precision": "", "ap50": "", "f1": ""},
}


def table(tmp_path, *rows):
    path = tmp_path / "recall.csv"
    path.write_text("\n".join([",".join(COLUMNS), *(",".join(row.values()) for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize(
    ("column", "text", "line"),
    [
        ("n", "many", 'n: expected a valid integer, unable to parse string as an integer, got "many"'),
        ("n", "-1", 'n: expected greater than or equal to 0, got "-1"'),
        ("n", "1e3", 'n: expected a valid integer, unable to parse string as an integer, got "1e3"'),
        ("hits", "3", "hits: expected 0 to n = 2, got 3"),
        ("recall", "1.5", 'recall: expected less than or equal to 1, got "1.5"'),
        ("clustered_high", "", "bounds.1: expected a valid number, got null"),
        ("threshold", "nan", 'threshold: expected a confidence in [0, 1], got "nan"'),
        ("false_alarms", "1e400", 'false_alarms: expected less than or equal to 1000000000000000, got "1e400"'),
        ("epoch", "", "epoch: expected a valid integer, got null"),
        ("high", "0.9,7", "expected 15 fields"),
        ("n", "2\0", 'n: expected a valid integer, unable to parse string as an integer, got "2\\u0000"'),
    ],
)
def test_a_damaged_row_is_named(column, text, line, tmp_path):
    path = table(tmp_path, GOOD, {**GOOD, "class": "pit", column: text})
    with pytest.raises(DataError) as refused:
        read_history(tmp_path)
    assert str(refused.value) == f"{path}, line 3: {line}"


def test_a_row_that_was_cut_or_stands_twice_is_named(tmp_path):
    path = table(tmp_path, GOOD, GOOD)
    with pytest.raises(DataError) as refused:
        read_history(tmp_path)
    assert str(refused.value) == f"{path}, line 3: expected one row of 1, crack, 0.1, got another"
    path.write_text(table(tmp_path, GOOD, {**GOOD, "class": "pit"}).read_text()[:-8])
    with pytest.raises(DataError, match="line 3: expected 15 fields"):
        read_history(tmp_path)


def test_a_file_that_an_older_release_began_keeps_its_columns(tmp_path):
    """A run that is resumed: rows have as many fields as the header."""
    report = RecallReport.of(pooled([[1]], [[0.9]], [[0]], [[0]], 1), ["a"], false_alarms=[1.0])
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "recall.csv").write_text(",".join(COLUMNS[:-2]) + "\n")
    for folder in (tmp_path, tmp_path / "old"):
        append_recall(folder, 1, report, {"a": ClassScores(0.5, 0.25)})
    (header, row), (older, cut) = ([*csv.reader((f / "recall.csv").open())] for f in (tmp_path, tmp_path / "old"))
    assert (header, row[-2:]) == (list(COLUMNS), ["0.50000", "0.25000"])
    assert (older, cut) == (header[:-2], row[:-2])
    assert read_history(tmp_path) == read_history(tmp_path / "old")
