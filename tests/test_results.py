"""Results in Python: one or two lines when shown, a table, a page in a notebook, a file in a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from yolo_balance import BalanceConfig, RecallReport, Thresholds
from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.split import Labels
from yolo_balance.comparison.comparison import ArmFigures, ClassCounts, Comparison
from yolo_balance.comparison.figures import Figure
from yolo_balance.errors import BalanceError
from yolo_balance.results import file_in
from yolo_balance.sampling import ClassStatistics

MANY = 200
ROW = {"n": 20, "hits": 18, "recall": 0.9, "low": 0.7, "high": 0.97, "threshold": 0.25}
EMPTY = {"n": 0, "hits": 0, "recall": None, "low": None, "high": None, "threshold": 0.25}


def a_report() -> RecallReport:
    classes = {f"class <{i}>\n": {**ROW, "hits": 10, "recall": 0.5, "low": 0.3} if i == 7 else ROW for i in range(MANY)}
    budgets = [
        {"false_alarms": b, "threshold": 0.25, "measured": b, "classes": classes | {"none": EMPTY}} for b in (0.1, 1.0)
    ]
    content = {"schema": 1, "split": "val", "iou": 0.5, "images": 500, "clean_images": 300, "budgets": budgets}
    return RecallReport.from_dict(content)


def a_comparison() -> Comparison:
    figure = Figure("recall", "class", "crack", 0.1, {0: 0.5, 1: None}, 0.5, None)
    arms = (ArmFigures("stock", (), (figure,)), ArmFigures("auto", (), (figure,)))
    return Comparison(
        "stock", arms, (0, 1), (0.1,), {"crack": ClassCounts(3, 4, 4, None)}, 9, 0, 0.95, 10, ("auto, seed 1",)
    )


def an_analysis() -> DataAnalysis:
    classes = [np.array([0]), np.array([0, 1])]
    labels = Labels("train", ClassStatistics.of(classes, 2), ["a.png", "b.png"], None, None)
    return DataAnalysis.of([labels], ["pit", "crack"], data="mine.yaml")


RESULTS = {
    "report": (a_report, "RecallReport(val: 201 classes, 500 images; worst recall 0.50 (class <7>\\n) at 0.1 false boxes per clean image)"),
    "thresholds": (lambda: Thresholds.of(a_report()), "Thresholds(val: 201 classes, budgets 0.1 and 1; reject from 0.250 (class <0>\\n) to 0.250 (class <0>\\n))"),
    "comparison": (a_comparison, "Comparison(stock and auto; seeds 0 and 1; 1 class, 9 images; 1 run failed)"),
    "analysis": (an_analysis, "DataAnalysis(mine.yaml: train 2 images; 2 classes, "),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_shown_in_one_line_and_as_a_page(name):
    make, start = RESULTS[name]
    result = make()
    assert repr(result).startswith(start)
    assert len(repr(result)) < 200
    assert "\n" not in repr(result)
    page = result._repr_html_()
    assert page.startswith("<pre>")
    assert "<7>" not in page


@pytest.mark.parametrize("name", RESULTS)
def test_the_columns_of_a_table_have_equal_lengths(name):
    columns = RESULTS[name][0]().columns()
    assert len({len(column) for column in columns.values()}) == 1
    assert any(columns.values())


def test_a_report_is_a_data_frame_with_a_row_per_budget_and_class():
    polars = pytest.importorskip("polars")
    report = a_report()
    frame = report.to_polars()
    assert isinstance(frame, polars.DataFrame)
    assert frame.shape == (2 * (MANY + 1), 10)
    row = frame.row(7, named=True)
    assert (row["budget"], row["class"], row["n"], row["hits"], row["recall"]) == (0.1, "class <7>\n", 20, 10, 0.5)
    assert frame.row(MANY, named=True)["recall"] is None


@pytest.mark.parametrize("package", ["polars", "pandas"])
def test_a_data_frame_without_its_package_is_one_line(package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(BalanceError, match=f"^to_{package}: needs the package {package}, which is not installed"):
        getattr(a_report(), f"to_{package}")()


def test_a_report_is_a_pandas_data_frame():
    assert a_report().to_pandas().shape == (2 * (MANY + 1), 10)


def test_results_are_saved_into_a_folder_or_as_a_file(tmp_path):
    report = a_report()
    report.save(tmp_path / "new" / "folder")
    report.save(tmp_path / "mine.json")
    assert (
        RecallReport.load(tmp_path / "new" / "folder" / "recall.json")
        == RecallReport.load(tmp_path / "mine.json")
        == report
    )
    thresholds = Thresholds.of(report)
    thresholds.save(tmp_path / "new")
    assert Thresholds.load(tmp_path / "new" / "thresholds.yaml") == thresholds
    for result, name in ((a_comparison(), "compare.json"), (an_analysis(), "analysis.json")):
        result.save(tmp_path)
        assert json.loads((tmp_path / name).read_text()) == json.loads(result.to_json())
    assert file_in(tmp_path / "other.json", "recall.json") == tmp_path / "other.json"


def test_a_configuration_is_shown_as_it_was_stated():
    config = BalanceConfig.load({"sampling": {"strategy": "repeat_factor"}})
    assert repr(config) == str(config) == "BalanceConfig({sampling: {strategy: repeat_factor}})"
    assert "strategy: repeat_factor" in config._repr_html_()
    many = BalanceConfig.load({"recall": {"targets": {f"class {i}": 0.9 for i in range(MANY)}}})
    assert len(repr(many)) < 80
