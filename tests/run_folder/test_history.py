"""What a run wrote is read back as it was; what is no such file is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.outcomes import pooled

from yolo_balance import RecallReport
from yolo_balance.errors import DataError
from yolo_balance.recall.report import COLUMNS
from yolo_balance.run_folder.history import Shares, read_exposure, read_history
from yolo_balance.run_folder.records import append_csv
from yolo_balance.sampling import ClassStatistics, Exposure
from yolo_balance.sampling.exposure import COLUMNS as EXPOSURE_COLUMNS

NAMES = ["=cmd|' /C calc'!A0", 'two\nlines, "quoted"', "日本", "crack"]


def test_history_comes_back(tmp_path):
    path = tmp_path / "recall.csv"
    split = pooled([[1, 0, 1], [0]], [[0.9, 0.4, 0.2], [0.3]], [[0, 1, 2], [0]], [[0, 1, 2, 2], []], 4)
    reports = [RecallReport.of(split, NAMES, false_alarms=[0.1, 1.0]), RecallReport.of(split, NAMES, false_alarms=[0])]
    for epoch, report in enumerate(reports, start=1):
        append_csv(path, COLUMNS, report.rows(epoch))
    rows = iter(read_history(path))
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
    path = tmp_path / "exposure.csv"
    exposure = Exposure(NAMES, ClassStatistics.of([np.array([0, 1]), np.array([2])], 4))
    for epoch, boxes in enumerate(([0, 0, 1], [1, 1, 2, 2], [2]), start=1):
        exposure.start_epoch(None)
        exposure.add(np.stack([np.bincount(boxes, minlength=4), np.zeros(4, int)]), boxes[:1], 1)
        append_csv(path, EXPOSURE_COLUMNS, exposure.rows(epoch))
    read = read_exposure(path)
    assert list(read) == NAMES
    assert read[NAMES[2]].last == Shares(0.33333, 0.33333, 1.0, 1.0)
    assert read[NAMES[0]].mean.drawn == pytest.approx((2 / 3 + 0 + 0) / 3, abs=1e-5)
    assert read[NAMES[2]].mean.drawn == pytest.approx((0 + 1 / 2 + 1) / 3, abs=1e-5)
    assert read[NAMES[1]].mean.reached == pytest.approx(1 / 3, abs=1e-5)
    assert read[NAMES[3]].last == Shares(0, 0, 0, 0)


def test_a_run_that_ended_no_epoch_has_no_rows(tmp_path):
    (tmp_path / "a.csv").write_text(",".join(COLUMNS) + "\n")
    (tmp_path / "b.csv").write_text(",".join(EXPOSURE_COLUMNS) + "\n")
    assert read_history(tmp_path / "a.csv") == ()
    assert read_exposure(tmp_path / "b.csv") == {}


@pytest.mark.parametrize("read", [read_history, read_exposure])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected columns epoch, class"),
        (b"epoch,loss\n1,2\n", "got none called class"),
        (b"\xff\xfe\x00", "expected a CSV file"),
        (None, "expected a CSV file"),
    ],
)
def test_what_is_no_such_file_is_refused(read, content, said, tmp_path):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("row", ["1,crack,0.1,many,0,,,,0.5,0.1", "1,crack,0.1,1"])
def test_a_damaged_row_is_named(row, tmp_path):
    path = tmp_path / "recall.csv"
    path.write_text(",".join(COLUMNS) + "\n1,crack,0.1,1,0,,,,0.5,0.1\n" + row + "\n")
    with pytest.raises(DataError, match="line 3: expected numbers"):
        read_history(path)
