"""Releases of Ultralytics that cannot be balanced are refused in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest
import ultralytics
from helpers.training import arguments, run
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionTrainer

from yolo_balance import BalancedDetectionTrainer, attach
from yolo_balance.errors import HostError
from yolo_balance.integration import compat

AGED = "import sys, ultralytics; ultralytics.__version__ = sys.argv.pop(1); from yolo_balance.cli import main; "


@pytest.mark.parametrize(("release", "fits"), [("8.3.252", False), ("7.0", False), ("8.3.253", True), ("8.10.1", True)])
def test_a_release_before_the_oldest_supported_one_is_refused(monkeypatch, release, fits):
    monkeypatch.setattr(ultralytics, "__version__", release)
    if fits:
        return compat.check_release()
    with pytest.raises(HostError, match=rf"^ultralytics: expected release 8.3.253 or later, got {release}$"):
        compat.check_release()


def test_the_command_line_refuses_an_old_release_in_one_line():
    code = AGED + "sys.exit(main(['train', 'data=demo', 'model=yolo11n.yaml']))"
    ended = subprocess.run([sys.executable, "-c", code, "8.3.252"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "error: ultralytics: expected release 8.3.253 or later, got 8.3.252\n"


class OnTwoDevices(DetectionTrainer):
    """A trainer that would start two processes."""

    started = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ddp, self.world_size = True, 2

    def train(self):
        OnTwoDevices.started = True


class BalancedOnTwoDevices(BalancedDetectionTrainer, OnTwoDevices):
    """The same, balanced."""


@pytest.mark.parametrize("way", ["attach", "class"])
@pytest.mark.parametrize(("release", "fits"), [("8.4.0", False), ("8.4.139", False), ("8.4.140", True)])
def test_several_devices_are_refused_where_their_processes_are_not_balanced(
    tiny_data, tmp_path, monkeypatch, way, release, fits
):
    monkeypatch.setattr(ultralytics, "__version__", release)
    monkeypatch.setattr(OnTwoDevices, "started", False)
    trainer = OnTwoDevices if way == "attach" else BalancedOnTwoDevices.configured("auto")
    model = YOLO("yolo11n.yaml")
    if way == "attach":
        attach(model, "auto")
    options = arguments(tiny_data, tmp_path, "run")
    if fits:
        with pytest.raises(FileNotFoundError):  # the trainer here leaves no checkpoint
            model.train(trainer=trainer, **options)
    else:
        with pytest.raises(
            HostError, match=rf"^device: expected one device with ultralytics {release}, got 2; several"
        ):
            model.train(trainer=trainer, **options)
    assert OnTwoDevices.started == fits


def test_one_device_is_balanced_on_a_release_that_refuses_several(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(compat, "SEVERAL_DEVICES", "999")
    run(tiny_data, tmp_path, "run", way="attach", balance="auto", epochs=1)
    assert (tmp_path / "run" / "exposure.csv").exists()
