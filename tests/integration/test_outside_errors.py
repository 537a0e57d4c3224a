"""A full disk, a folder that cannot be written, a file that vanishes: one line, and files of before stay as they are."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from torch.utils.data import DataLoader, Dataset

from yolo_balance import demo
from yolo_balance.cli import main
from yolo_balance.errors import HostError
from yolo_balance.integration.outside_errors import outside_errors

SMALL = ["imgsz=32", "device=cpu", "workers=0", "verbose=false"]


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a full disk; also for root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def finished(tiny_data, tmp_path_factory) -> Path:
    """The folder of a finished run, and its YAML beside it."""
    root = tmp_path_factory.mktemp("finished")
    run = {"model": "yolo11n.yaml", "data": str(tiny_data), "epochs": 1, "plots": False, "batch": 8, "balance": {}}
    (root / "run.yaml").write_text(yaml.safe_dump({**run, "project": str(root), "name": "run", "exist_ok": True}))
    assert main(["train", str(root / "run.yaml"), *SMALL]) == 0
    return root / "run"


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error, without a traceback before it."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def verbs(finished: Path, place: Path) -> dict[str, list[str]]:
    """Commands that write into a place."""
    weights, config = str(finished / "weights" / "best.pt"), str(finished.parent / "run.yaml")
    data, into = f"data={yaml.safe_load(Path(config).read_text())['data']}", [f"project={place}", "exist_ok=true"]
    return {
        "train": ["train", config, *into, *SMALL],
        "predict": ["predict", weights, str(Path(data.removeprefix("data=")).parent / "images" / "val"), *into, *SMALL],
        "report": ["report", weights, data, "plots=false", *into, *SMALL],
        "report --out": ["report", weights, data, "plots=false", "--out", str(place), *SMALL],
        "calibrate": ["calibrate", str(finished), "--out", str(place)],
        "analyze": ["analyze", config, "--out", str(place)],
        "compare": ["compare", config, "--seeds", "1", "--out", str(place)],
        "init": ["init", str(place)],
    }


NAMES = ["train", "predict", "report", "report --out", "calibrate", "analyze", "compare", "init"]


@pytest.mark.parametrize(
    ("verb", "place"), [*((verb, "a file") for verb in NAMES), ("train", "/proc/none"), ("predict", "/dev/full/none")]
)
def test_a_folder_that_cannot_be_written_is_one_line(finished, tmp_path, capsys, verb, place):
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "file" / "inside" if place == "a file" else Path(place)
    assert main(verbs(finished, folder)[verb]) == 1
    assert str(folder.parent) in error(capsys)
    assert contents(tmp_path) == {str(tmp_path / "file"): b"mine"}


@pytest.mark.parametrize(("verb", "size"), [*((verb, 0) for verb in NAMES), ("predict", 500), ("report --out", 20_000)])
def test_a_full_disk_is_one_line(finished, tmp_path, capsys, verb, size):
    with full_disk(size):
        assert main(verbs(finished, tmp_path / "out")[verb]) == 1
    line = error(capsys)
    assert str(tmp_path / "out") in line
    assert not list(tmp_path.rglob(".*"))  # nothing unfinished is left


def test_a_picture_that_cannot_be_written_is_a_warning_and_costs_no_decision(finished, tmp_path, capsys, caplog):
    assert not capsys.readouterr().err  # the output is no file meanwhile
    command = verbs(finished, tmp_path)["predict"]
    with full_disk(2000):
        assert main(command) == 0
    assert len((tmp_path / "predict" / "zones.csv").read_text().splitlines()) == 13
    assert caplog.text.count("not saved, the picture cannot be written (is the disk full?)") == 12
    assert not list(tmp_path.rglob("*.jpg"))


def test_a_demo_set_that_cannot_be_written_leaves_the_one_of_before(tmp_path):
    with pytest.raises(OSError), full_disk(1000):  # noqa: PT011
        demo.generate(tmp_path / "demo")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [["schema"], ["init"], ["validate", "run.yaml"], ["gate", "run/recall.json", "--targets", "targets.yaml"]]
)
def test_output_that_cannot_be_written_is_one_line(finished, words):
    (finished.parent / "targets.yaml").write_text("scratch: 0.5\n")
    paths = [str(finished.parent / word) if "." in word else word for word in words]
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "yolo_balance", *paths]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr == f"error: {words[0]}: stopped ([Errno 28] No space left on device)\n"


def test_a_command_whose_outputs_are_closed_does_its_work(finished):
    (finished.parent / "wrong.yaml").write_text("balance: {nothing: 1}\n")
    for file, code in (("run.yaml", 0), ("wrong.yaml", 1)):
        command = f"exec {sys.executable} -m yolo_balance validate {finished.parent / file}"
        for closed in (">&-", "2>&-", ">&- 2>&-"):
            done = subprocess.run(["sh", "-c", f"{command} {closed}"], capture_output=True, text=True)
            assert (done.returncode, "Traceback" in done.stderr) == (code, False)


class Vanished(Dataset):
    """Images that are no longer there."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise FileNotFoundError("Image Not Found 1.png")


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_vanished_is_one_line_also_from_a_worker(workers):
    with pytest.raises(HostError) as e, outside_errors("train"):
        list(DataLoader(Vanished(), num_workers=workers))
    assert str(e.value) == f"train: stopped ({'FileNotFoundError: ' * workers}Image Not Found 1.png)"


def test_what_is_no_error_from_outside_passes_as_it_is():
    with pytest.raises(ZeroDivisionError), outside_errors("train"):
        _ = 1 / 0
    with pytest.raises(RuntimeError, match="shapes"), outside_errors("train"):
        raise RuntimeError("shapes")
    with pytest.raises(BrokenPipeError), outside_errors("train"):
        raise BrokenPipeError
    with (
        pytest.raises(HostError, match=r"^train: stopped \(a; files are written into b\)$"),
        outside_errors("train", lambda: "b"),
    ):
        raise OSError("a")
