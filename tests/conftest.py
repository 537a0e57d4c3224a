"""Shared by all tests: a folder for Ultralytics' settings, and small generated data sets."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="yolo_balance_tests_")  # before ultralytics is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: threads would only wait for each other

import pytest
import yaml
from helpers.generated_images import write_split

NAMES = ("scratch", "pit", "crack")
Builder = Callable[..., Path]


@pytest.fixture(scope="session")
def make_data(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Build a data set from the classes of each image's boxes and return its data.yaml."""

    def build(
        train: Sequence[Sequence[int]],
        val: Sequence[Sequence[int]],
        *,
        names: Sequence[str] = NAMES,
        size: int = 64,
        box: float = 0.3,
    ) -> Path:
        root = tmp_path_factory.mktemp("data")
        write_split(root, "train", train, size=size, box=box)
        write_split(root, "val", val, size=size, box=box)
        file = root / "data.yaml"
        file.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": dict(enumerate(names))}))
        return file

    return build


@pytest.fixture(scope="session")
def tiny_data(make_data: Builder) -> Path:
    """24 train images of a long tail with background, 12 val images, the class `crack` absent from val."""
    train = [
        [0],
        [0],
        [0, 0],
        [0],
        [0],
        [0, 1],
        [1],
        [1],
        [0],
        [2],
        [],
        [],
        [],
        [],
        [],
        [],
        [0],
        [1],
        [],
        [],
        [0],
        [],
        [0],
        [],
    ]
    val = [[0], [1], [0, 1], [], [], [0], [], [1], [], [], [0, 0], []]
    return make_data(train, val)
