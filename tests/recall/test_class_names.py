"""Class names are data: whatever a name holds, each file of a report and each table tells the classes apart."""

from __future__ import annotations

import json

import pytest
import yaml
from helpers.outcomes import pooled

from yolo_balance import RecallReport
from yolo_balance.cli import main
from yolo_balance.recall import Thresholds
from yolo_balance.run_folder.history import append_recall, read_history
from yolo_balance.text import distinct

NAMES = distinct(
    [
        *("a", "a", "a (1)", "[red]b[/red]", "<script>alert(1)</script>", "a, b", "a\nb", "a\r\nb", "crack/pit", "😀"),
        *(
            "x" * 3000,
            "$x$",
            "{{ 7 * 7 }}",
            "NO",
            "null",
            "1",
            "1.0",
            "on",
            "",
            " ",
            "'",
            '"',
            "=1+1",
            "\u2028",
            "targets",
        ),
    ]
)


@pytest.fixture
def report():
    objects = [[c] for c in range(len(NAMES))]
    found = pooled([[1]] * len(NAMES), [[0.9]] * len(NAMES), objects, objects, len(NAMES))
    return RecallReport.of(found, NAMES, false_alarms=[0.1, 1.0])


def test_files_give_the_names_back(report, tmp_path):
    report.save(tmp_path / "recall.json")
    Thresholds.of(report).save(tmp_path / "thresholds.yaml")
    append_recall(tmp_path, 1, report)
    assert list(RecallReport.load(tmp_path / "recall.json").budgets[0].classes) == NAMES
    assert list(Thresholds.load(tmp_path / "thresholds.yaml").review) == NAMES
    assert [row.name for row in read_history(tmp_path)] == NAMES * 2


def test_a_table_has_a_line_for_each_class(report):
    lines = str(report).splitlines()
    assert len(lines) == 4 + len(NAMES)
    assert all(line.isprintable() for line in lines)


def test_targets_are_those_of_the_classes_they_name(report, tmp_path, capsys):
    report.save(tmp_path / "recall.json")
    targets = {name: round(0.1 + i / 100, 2) for i, name in enumerate(NAMES)}
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump(targets))
    assert main(["gate", str(tmp_path / "recall.json"), "--targets", str(tmp_path / "targets.yaml")]) in (0, 1, 2)
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()[2:]
    assert len(lines) == len(NAMES)
    assert all(f" {target:g} " in line for line, target in zip(lines, targets.values(), strict=True))


def test_a_class_that_the_report_lacks_is_one_line(report, tmp_path, capsys):
    report.save(tmp_path / "recall.json")
    (tmp_path / "targets.yaml").write_text(json.dumps({"c\n[red]": 0.5}))
    assert main(["gate", str(tmp_path / "recall.json"), "--targets", str(tmp_path / "targets.yaml")]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "no class c\\n[red]" in line
