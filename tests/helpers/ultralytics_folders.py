"""Ultralytics' settings for the tests of a room that imports or starts Ultralytics."""

from __future__ import annotations

import pytest
from ultralytics import SETTINGS


@pytest.fixture(scope="session", autouse=True)
def ultralytics_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Put data sets and runs into temporary folders, and switch off usage reports."""
    root = tmp_path_factory.mktemp("ultralytics")
    SETTINGS.update({"datasets_dir": str(root / "datasets"), "runs_dir": str(root / "runs"), "sync": False})
