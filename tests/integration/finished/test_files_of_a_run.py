"""A run's folder holds the files that `run_folder.names` lists, beside the files of a stock run, and no other."""

from __future__ import annotations

import yaml
from helpers.training import arguments
from ultralytics import YOLO

from yolo_balance.cli import main
from yolo_balance.run_folder import names

IN_FOLDER = {names.BALANCE, *names.EPOCH_ROWS, names.FEEDBACK_PLOT, *names.OF_BEST}
STOCK = {names.ARGUMENTS, names.RESULTS, names.WEIGHTS}


def files(folder):
    return {path.name for path in folder.iterdir()}


def test_every_file_of_a_run_has_a_name_in_one_place(tiny_data, tmp_path):
    content = arguments(tiny_data, tmp_path, "run", plots=True, epochs=2)
    YOLO("yolo11n.yaml").train(**{**content, "name": "stock"})
    balance = {
        "sampling": {"strategy": "class_uniform", "feedback": {"gain": 0.5}},
        "losses": {"efl": {}},
        "recall": {"best": "worst_class_recall", "false_alarms": [0.5, 5.0], "calibration": {"rule": "fitted"}},
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**content, "model": "yolo11n.yaml", "balance": balance}))
    assert main(["train", str(tmp_path / "run.yaml")]) == 0
    assert main(["calibrate", str(tmp_path / "run")]) == 0

    run, stock, calibrated = (tmp_path / name for name in ("run", "stock", "run_calibrated"))
    assert files(stock) >= STOCK
    assert files(run) - files(stock) == IN_FOLDER
    assert files(run / names.WEIGHTS) - files(stock / names.WEIGHTS) == set(names.BESIDE_WEIGHTS)
    assert files(calibrated) - files(stock) == IN_FOLDER - {names.FEEDBACK_PLOT}
    assert files(calibrated / names.WEIGHTS) == {names.BEST, names.UNCALIBRATED}
