"""Runs on two devices, launched as Ultralytics launches them: two processes are balanced as one run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from helpers.loading import planned, trainer
from helpers.training import rows

from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.state import RunState

ROOT = Path(__file__).parents[3]
SAMPLING = {"power": 1.0, "threshold": 0.3, "partners": False}
LOSSES = {"class_weights": "inverse_frequency", "efl": {}}
STILL = {"mosaic": 0.0, "scale": 0.0, "translate": 0.0}  # every box that is drawn reaches the network
RUN = {"model": "yolo26n.yaml", "imgsz": 32, "device": "0,1", "workers": 0, "amp": False, "plots": False, **STILL}
SCRIPT = """
import sys
import helpers.two_processes
from ultralytics import SETTINGS, YOLO
from yolo_balance import attach
from yolo_balance.cli import main

if __name__ == "__main__":
    SETTINGS.update({"datasets_dir": "datasets", "runs_dir": "runs", "sync": False})
"""
COMMAND = f"{SCRIPT}    sys.exit(main(['train', 'run.yaml']))\n"
ATTACHED = f"{SCRIPT}    attach(YOLO('yolo26n.yaml'), {{'auto': True}}).train(cfg='run.yaml')\n"


class Launched:
    """A script in a folder of its own, and what its two processes noted."""

    def __init__(self, folder, script, run):
        self.folder, self.run = folder, folder / "project" / "run"
        folder.mkdir()
        (folder / "run.yaml").write_text(
            yaml.safe_dump({**RUN, **run, "project": str(folder / "project"), "name": "run"})
        )
        (folder / "script.py").write_text(script)
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "NOTED": str(folder), "YOLO_CONFIG_DIR": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "script.py"],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def images(self, epoch):
        """Return how often each process showed each image in an epoch, from 0."""
        notes = [(self.folder / f"images_{rank}.txt").read_text().splitlines() for rank in (0, 1)]
        return [Counter(line.split(" ", 1)[1] for line in lines if line.startswith(f"{epoch} ")) for lines in notes]

    def boxes(self, epoch):
        """Return the boxes of each class that both processes showed in an epoch, read from the label files."""
        boxes, names = Counter(), list(BalanceFile.load(self.run).classes)
        for image, times in sum(self.images(epoch), Counter()).items():
            label = Path(image.replace("/images/", "/labels/")).with_suffix(".txt")
            for line in label.read_text().splitlines():
                boxes[names[int(line.split()[0])]] += times
        return boxes

    def exposure(self, epoch):
        return {row["class"]: row for row in rows(self.run, "exposure.csv") if int(row["epoch"]) == epoch + 1}


@pytest.fixture(scope="module")
def long_tail(make_data):
    train = [[0]] * 5 + [[0, 1], [1], [2], [], [], [0, 0], [], [2, 0], [1], [0]]
    return make_data(train, [[0], [1], [2], [], [0], []], box=0.5)


@pytest.fixture(scope="module")
def launched(long_tail, tmp_path_factory):
    """The command line, and `attach` in a script, side by side."""
    root = tmp_path_factory.mktemp("launched")
    balance = {"sampling": SAMPLING, "losses": LOSSES}
    runs = {
        "command": Launched(
            root / "command", COMMAND, {"data": str(long_tail), "epochs": 2, "batch": 8, "balance": balance}
        ),
        "attached": Launched(root / "attached", ATTACHED, {"data": "demo", "epochs": 1, "batch": 16, "fraction": 0.05}),
    }
    for name, run in runs.items():
        output, _ = run.process.communicate(timeout=300)
        assert run.process.returncode == 0, f"{name}: {output}"
    return runs


def test_each_process_gets_its_share_of_one_plan(launched, long_tail, tmp_path):
    alone = trainer(long_tail, tmp_path, SAMPLING)
    for epoch in (0, 1):
        first, second = launched["command"].images(epoch)
        assert first.total() == second.total() == 8
        expected = planned(alone, epoch)
        assert expected.total() == 15
        assert not expected - (first + second)  # and one image more, for equal shares


@pytest.mark.parametrize(("way", "epochs"), [("command", 2), ("attached", 1)])
def test_the_exposure_is_that_of_both_processes(launched, way, epochs):
    run = launched[way]
    for epoch in range(epochs):
        first, second = run.images(epoch)
        assert first.total() == second.total() > 0
        exposure, boxes = run.exposure(epoch), run.boxes(epoch)
        assert {name: int(row["boxes"]) for name, row in exposure.items()} == {n: boxes[n] for n in exposure}
        if way == "command":  # which draws no partners
            shares = {name: boxes[name] / boxes.total() for name in exposure}
            assert {name: float(row["drawn"]) for name, row in exposure.items()} == pytest.approx(shares, abs=1e-5)
        assert any(row["requested"] != row["natural"] for row in exposure.values())


def test_the_losses_of_both_processes_are_balanced(launched):
    folder = launched["command"].run
    assert RunState.load(folder / "weights").learnt["gradients"].keys() == {"one2many", "one2one"}  # summed over both
    assert BalanceFile.load(folder).classes["crack"]["class_weight"] > 1
    assert {int(row["epoch"]) for row in rows(folder, "recall.csv")} == {1, 2}


def test_the_demo_set_is_drawn_before_the_processes_start(launched):
    run = launched["attached"]
    assert (run.folder / "datasets" / "yolo_balance_demo" / "data.yaml").exists()
    assert BalanceFile.load(run.run).resolved["options"]["sampling"]
