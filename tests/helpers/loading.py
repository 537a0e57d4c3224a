"""Trainers whose loader is built and nothing trained, and a walk through their epochs."""

from __future__ import annotations

import os
import time
from collections import Counter

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.hooks.loader import start_epoch

SAMPLING = {"power": 1.0, "threshold": 0.3}


def trainer(data, tmp_path, sampling=SAMPLING, *, workers=0, synthesis=None, **arguments):
    """Build a trainer of Ultralytics with its loader, nothing trained."""
    cls = BalancedDetectionTrainer.configured({"sampling": sampling, "synthesis": synthesis})
    overrides = {"model": "yolo26n.yaml", "data": str(data), "imgsz": 32, "plots": False, "device": "cpu"}
    t = cls(overrides={**overrides, "project": str(tmp_path), "verbose": False, "batch": 50, **arguments})
    t.args.workers = workers  # Ultralytics allows none on a CPU
    t._setup_train()
    if workers:  # and elsewhere no more than there are cores
        t.train_loader.num_workers, t.train_loader.prefetch_factor = workers, 4
    return t


def run_epochs(t, epochs, *, first=0, close=False):
    """Go through the loader as Ultralytics' training loop does, counting all epochs together.

    With `close` the loader is reset after the first epoch's start, as Ultralytics does on closing mosaic.
    """
    t.exposure.start_epoch(None if t.sampling is None else t.sampling.schedule.plan(first, t.epochs))
    main = []
    for epoch in range(first, first + epochs):
        t.epoch = epoch
        start_epoch(t.train_loader, epoch, None if t.sampling is None else t.sampling.plan(t))
        if close and epoch == first:
            t.train_loader.reset()
        files = Counter()
        for batch in t.train_loader:
            t.count(batch)
            files.update(batch["im_file"])
        main.append(files)
    return main


def planned(t, epoch):
    return Counter(t.train_loader.dataset.im_files[i] for i in t.sampling.schedule.balanced.epoch(epoch))


def leave(folder, rank, world_size):
    """End a process of several once all have done their work.

    One that takes gloo down while another is still at it may be aborted by a thread that outlives its owner.
    """
    (folder / f"done{rank}").touch()
    while not all((folder / f"done{r}").exists() for r in range(world_size)):
        time.sleep(0.02)
    os._exit(0)
