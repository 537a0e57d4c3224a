"""A run that is killed, at whatever moment, and resumed ends with the rows, plans and state of an uninterrupted run.

`.ci/long tests/integration/training/test_killed_runs.py` kills 100 runs; the checks kill a few of them. Odd cases train
by a script with `attach`, even ones by the command line; each fifth run is killed once more while it resumes.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers import kill_server
from helpers.matrices import sampled
from ultralytics import YOLO

EPOCHS, CASES = 3, 100
SHARES = {
    "fsync": 22,
    "replace": 14,
    "write": 12,
    "rename": 8,
    "backward": 10,
    "save": 10,
    "unlink": 5,
    "mkdir": 4,
    "open": 3,
}
"""Kills aimed at each kind of moment; the others come at random times."""
NET = {
    "nc": 3,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[2], 1, "Detect", ["nc"]]],
}


def moment_of(case: int) -> tuple[str | None, float]:
    """Return the kind of moment of a case, None for a random time, and where among those of a run it lies, 0 to 1."""
    kinds = [(kind, (i + 0.5) / n) for kind, n in SHARES.items() for i in range(n)]
    rest = CASES - len(kinds)
    return [*kinds, *((None, (i + 0.5) / rest) for i in range(rest))][case]


class Runs:
    """Runs of one configuration, each in a process that the server forks."""

    def __init__(self, root: Path, data: Path):
        self.root = root
        net = root / "tiny.yaml"
        net.write_text(yaml.safe_dump(NET))
        self.config = {
            **{"model": str(net), "data": str(data), "epochs": EPOCHS, "imgsz": 32, "batch": 8, "nbs": 8, "workers": 0},
            **{"plots": False, "device": "cpu", "verbose": False, "optimizer": "SGD", "name": "run"},
            "balance": {
                "sampling": {"strategy": "repeat_factor", "power": 0.7, "feedback": {"gain": 1.0}},
                "losses": {"eqlv2": {}},
                "recall": {"best": "worst_class_recall", "calibration": {"rule": "logit_adjustment"}},
            },
        }
        server = [sys.executable, kill_server.__file__]
        pipe = subprocess.PIPE
        self.server = subprocess.Popen(server, stdin=pipe, stdout=pipe, text=True)
        self.whole: dict[str, tuple[dict, dict]] = {}

    def train(self, name: str, way: str, *, words=(), moment=None, at=None, seconds=None) -> int:
        """Train in a process and return its exit code, -9 after a kill."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        config = {**self.config, "project": str(folder)}
        (folder / "run.yaml").write_text(yaml.safe_dump(config))
        order = {
            **{"way": way, "config": config, "folder": str(folder / "run"), "file": str(folder / "run.yaml")},
            **{"words": list(words), "moment": moment, "at": at, "seconds": seconds},
            **{key: str(folder / key) for key in ("plans", "calls", "log")},
        }
        print(json.dumps(order), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())["code"]

    def uninterrupted(self, way: str) -> tuple[dict, dict]:
        """Return what an uninterrupted run leaves, and how often it passed each kind of moment."""
        if way not in self.whole:
            name = f"whole_{way}"
            assert self.train(name, way) == 0, self.said(name)
            self.whole[way] = self.left(name), json.loads((self.root / name / "calls").read_text())
        return self.whole[way]

    def said(self, name: str) -> str:
        return (self.root / name / "log").read_text()

    def left(self, name: str) -> dict:
        """Return what a run leaves that does not depend on its weights."""
        folder = self.root / name / "run"

        def rows(file, *columns):
            with (folder / file).open(newline="") as f:
                return [tuple(row[column] for column in columns) for row in csv.DictReader(f)]

        plans = {json.loads(line)[0]: line for line in (self.root / name / "plans").read_text().splitlines()}
        state = json.loads((folder / "weights" / "balance_state.json").read_text())
        checkpoints = {path.name: torch.load(path, weights_only=False) for path in (folder / "weights").glob("*.pt")}
        return {
            "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*")),
            "epochs": rows("results.csv", "epoch"),
            "exposure": rows("exposure.csv", "epoch", "class", "natural", "requested"),
            "recall": rows("recall.csv", "epoch", "class", "budget", "n"),
            "feedback": rows("feedback.csv", "epoch", "class", "n", "smoothed", "factor", "frozen"),
            "plans": plans,
            "state": {key: state[key] for key in ("epoch", "stage", "steps", "data", "recall", "hard")},
            "heads": sorted(state["gradients"]),
            "plan file": (folder / "balance.yaml").read_text(),
            "steps": json.loads((folder / "run.json").read_text())["steps"],
            "stripped": {name: (c["epoch"], c["optimizer"]) for name, c in checkpoints.items()},
            "results": len(checkpoints["last.pt"]["train_results"]["epoch"]),
        }


@pytest.fixture(scope="module")
def runs(make_data, tmp_path_factory):
    train = [[0], [0], [0, 0], [0], [0], [0, 1], [1], [1], [0], [2], [], [], [], [], [], []]
    found = Runs(tmp_path_factory.mktemp("killed"), make_data(train, [[0], [1], [0, 1], [], [], [0], [2], [1]]))
    yield found
    found.server.stdin.close()
    found.server.wait()


@pytest.mark.parametrize("case", sampled(range(CASES), [36]))
def test_a_killed_run_ends_as_an_uninterrupted_one(runs, case):
    kind, share = moment_of(case)
    way, name = ("cli", "script")[case % 2], f"case{case}"
    expected, calls = runs.uninterrupted(way)
    kills = [share] if case % 5 else [share, share / 2]
    for turn, where in enumerate(kills):
        aimed = {"moment": kind, "at": 1 + int(where * calls[kind])} if kind else {"seconds": where * calls["seconds"]}
        code = runs.train(name, way, words=["resume=true"] if turn else [], **aimed)
        assert code in (-9, 0, 1), runs.said(name)
    assert code == -9 or len(kills) > 1 or kind is None
    code = runs.train(name, way, words=["resume=true"])
    said = runs.said(name)
    assert code == 0 or "is of a finished run, there is nothing to resume" in said.splitlines()[-1], said
    assert runs.left(name) == expected
    assert YOLO(runs.root / name / "run" / "weights" / "best.pt").names == {0: "scratch", 1: "pit", 2: "crack"}
    assert "Traceback" not in said
