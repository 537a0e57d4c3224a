"""Trainers whose processes of several devices fail, and which need no such devices."""

from __future__ import annotations

import os
import signal

from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOCAL_RANK


class TwoProcesses(DetectionTrainer):
    """A trainer that starts two processes as Ultralytics does on two devices."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.world_size, self.ddp = 2, LOCAL_RANK == -1


class FullDisk(TwoProcesses):
    def _do_train(self):
        raise OSError(28, "No space left on device", "weights/last.pt")


class Killed(TwoProcesses):
    def _do_train(self):
        os.kill(os.getpid(), signal.SIGKILL)
