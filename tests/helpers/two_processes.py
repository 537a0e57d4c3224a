"""Two training processes on a CPU, launched by Ultralytics as it launches those of `device=0,1`.

A script imports this module first. Device and backend of torch.distributed are replaced, in the script's own process
and in those that it launches; everything else is Ultralytics' own. Each process appends the images of its batches to
`images_RANK.txt` in the folder of the environment variable `NOTED`.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch import nn
from ultralytics.engine import trainer, validator
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import RANK
from ultralytics.utils import dist as launcher

from yolo_balance.integration import arguments

CPU = torch.device("cpu")


def join(self):
    """Join the processes by gloo, as `BaseTrainer._setup_ddp` does by the backend of an accelerator."""
    self.device, self.accelerator = CPU, None
    dist.init_process_group("gloo", rank=RANK, world_size=self.world_size)


class Distributed(nn.parallel.DistributedDataParallel):
    """Takes no devices, as a model on a CPU has none to name."""

    def __init__(self, module, device_ids, **options):
        super().__init__(module, **options)


def replace_devices():
    """Replace every place at which Ultralytics asks for an accelerator; a trainer counts two all the same."""
    accelerator = SimpleNamespace(current_device=lambda: 0)
    for module in (trainer, validator):
        module.get_torch_device_backend = lambda *args: accelerator
    for module in (trainer, validator, arguments):
        module.select_device = lambda *args, **options: torch.device("cuda", 0)
    trainer.BaseTrainer._setup_ddp = join
    trainer.nn = SimpleNamespace(**{**vars(nn), "parallel": SimpleNamespace(DistributedDataParallel=Distributed)})
    backend = validator.AutoBackend
    validator.AutoBackend = lambda **options: backend(**{**options, "device": CPU})


def import_in_children():
    """Let the script that Ultralytics writes for its processes import this module."""
    write = launcher.generate_ddp_file

    def written(self):
        file = Path(write(self))
        head, imports, rest = file.read_text().partition("    from ultralytics.utils import")
        file.write_text(f"{head}    import {__name__}\n{imports}{rest}")
        return str(file)

    launcher.generate_ddp_file = written


def note_images():
    stock = DetectionTrainer.preprocess_batch

    def preprocess_batch(self, batch):
        with Path(os.environ["NOTED"], f"images_{RANK}.txt").open("a") as file:
            file.writelines(f"{self.epoch} {image}\n" for image in batch["im_file"])
        return stock(self, batch)

    DetectionTrainer.preprocess_batch = preprocess_batch


replace_devices()
import_in_children()
note_images()
