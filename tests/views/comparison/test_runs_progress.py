"""Laws of the progress of a comparison: counts, an estimate, a bar on a terminal."""

from __future__ import annotations

import sys

import pytest
from helpers.scripts import scripts

from yolo_balance.views.comparison.runs_progress import RunsProgress, duration


def test_progress_counts_and_estimates(tmp_path):
    lines = []
    runs = scripts(tmp_path, *[""] * 4)
    with RunsProgress(6, 2, lines.append) as progress:
        assert lines == ["2 of 6 runs finished"]
        assert progress.seconds_left() is None
        for run in runs[:2]:
            progress.event("started", run, 0.0, "")
        progress.event("finished", runs[0], 100.0, "")
        assert progress.seconds_left() == pytest.approx((3 * 100) / 2, abs=2)
        progress.event("failed", runs[1], 100.0, "no")
    assert lines[-1].startswith("failed: arm, seed 1: no (")
    assert lines[-1].endswith("; 3 of 6 runs finished, 1 failed, about 2 min left")


def test_a_terminal_gets_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    (run,) = scripts(tmp_path, "")
    with RunsProgress(3, 1, print) as progress:
        progress.event("started", run, 0.0, "")
        progress.event("finished", run, 5.0, "")
    assert "2 of 3 runs finished, about 5 s left" in capsys.readouterr().out


def test_durations_are_short():
    assert [duration(s) for s in (0.4, 89, 91, 3600, 7500)] == ["0 s", "89 s", "2 min", "60 min", "2 h 5 min"]
