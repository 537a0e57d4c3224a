"""`run.json` comes back, or is refused in one line."""

from __future__ import annotations

import pytest

from yolo_balance.errors import DataError
from yolo_balance.run_folder.measured import Measured


def test_precision_and_time_come_back(tmp_path):
    measured = Measured(0.3, 0.5, {"crack": 0.1}, 100, 12.5)
    measured.save(tmp_path)
    assert Measured.load(tmp_path) == measured
    for content in ("{", "[1]", '{"steps": 1}'):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(DataError, match=r"run\.json: expected the run\.json of a run"):
            Measured.load(tmp_path)
