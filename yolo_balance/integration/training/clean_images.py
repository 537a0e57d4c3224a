"""False alarms of the current model on the clean images of the train split."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Subset
from ultralytics.utils.torch_utils import autocast

from yolo_balance.arrays import Bools
from yolo_balance.integration.compat import ranks
from yolo_balance.integration.protocols import Trainer


def false_alarms(trainer: Trainer, clean: Bools, threshold: float) -> Bools:
    """Return the clean train images on which the EMA model reports a box.

    The images are prepared as for validation. Every rank reads its share, and all ranks return the whole answer.

    Args:
        trainer: A trainer after its first validation.
        clean: (num_images,) images without objects.
        threshold: Confidence at and above which a box counts.

    Returns:
        (num_images,) bool.
    """
    rank, world_size = ranks()
    images = np.flatnonzero(clean)[rank::world_size]
    alarmed = torch.zeros(len(clean), dtype=torch.uint8, device=trainer.device)
    dataset: Any = copy(trainer.train_loader.dataset)  # labels and cached images are shared
    dataset.augment, dataset.partners = False, None
    dataset.transforms = dataset.build_transforms(hyp=copy(trainer.args))
    loader = DataLoader(
        Subset(dataset, images.tolist()),
        batch_size=trainer.test_loader.batch_size,
        num_workers=trainer.train_loader.num_workers,
        collate_fn=dataset.collate_fn,
        generator=torch.Generator().manual_seed(0),  # draws nothing from the run's own generator
    )
    at = 0
    with torch.no_grad(), autocast(trainer.amp, device=trainer.device.type):
        for batch in loader:
            predictions = trainer.ema.ema(batch["img"].to(trainer.device).float() / 255)
            for i, found in enumerate(trainer.validator.postprocess(predictions)):
                alarmed[int(images[at + i])] = (found["conf"] >= threshold).any()
            at += len(batch["img"])
    if world_size > 1:
        dist.all_reduce(alarmed, dist.ReduceOp.MAX)
    answer: Bools = alarmed.bool().cpu().numpy()
    return answer
