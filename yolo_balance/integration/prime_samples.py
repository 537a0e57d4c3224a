"""Prime samples read during a validation of the host's, whose own numbers stay as they are."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from ultralytics.utils.metrics import batch_probiou, box_iou

from yolo_balance.errors import HostError
from yolo_balance.integration import host
from yolo_balance.recall.prime_samples import PrimeSamples


class PrimeSamplesMixin:
    """Collects the prime samples of every validation, at the cost of one more IoU matrix per image.

    IoU is that of boxes, also where the host matches masks or keypoints as well; of oriented boxes it is ProbIoU, which
    the host matches them by.

    Attributes:
        prime_samples: The last validation's; None before the first, and on ranks that gather nothing.
    """

    prime_samples: PrimeSamples | None = None
    args: Any
    _images: list[PrimeSamples]

    def init_metrics(self, model: Any) -> None:
        """The host's preparation of a validation; ours starts empty."""
        super().init_metrics(model)  # type: ignore[misc]
        self._images = []

    def _process_batch(self, preds: dict[str, Any], batch: dict[str, Any]) -> Any:
        overlap = batch_probiou if self.args.task == "obb" else box_iou
        given = overlap(batch["bboxes"], preds["bboxes"]), batch["cls"], preds["cls"], preds["conf"]
        self._images.append(PrimeSamples.of_image(*(tensor.cpu().numpy() for tensor in given)))
        return super()._process_batch(preds, batch)  # type: ignore[misc]

    def gather_stats(self) -> None:
        """The host's gathering of what all ranks saw, and ours."""
        super().gather_stats()  # type: ignore[misc]
        rank, world_size = host.ranks()
        parts: list[Any] = [PrimeSamples.pool(self._images)]
        if world_size > 1:
            own, parts = parts[0], [None] * world_size
            dist.gather_object(own, parts if rank == 0 else None, dst=0)
        self.prime_samples = PrimeSamples.pool(parts) if rank == 0 else None


def prime_samples(model: Any, **arguments: Any) -> PrimeSamples:
    """Validate a model once and return the prime samples of the split.

    Args:
        model: An `ultralytics.YOLO` that reports boxes, with or without an end-to-end head.
        **arguments: What `model.val` accepts: data, split, imgsz, ...; `data="demo"` is the demo set.

    Raises:
        HostError: The model's task is another one.

    Example:
        prime_samples(YOLO("best.pt"), data="defects.yaml", imgsz=640).misplaced()
    """
    if model.task not in host.BOX_TASKS:
        raise HostError(f"prime_samples: expected a model of task {', '.join(host.BOX_TASKS)}, got {model.task}")
    validators = []

    def collecting(**given: Any) -> Any:  # where the host expects a class of validators
        validators.append(collect_prime_samples(model._smart_load("validator")(**given)))
        return validators[0]

    if "data" in arguments:
        arguments["data"] = host.resolve_data(arguments["data"], model.task)
    model.val(validator=collecting, **arguments)
    found: PrimeSamples = validators[0].prime_samples
    return found


def collect_prime_samples(validator: Any) -> Any:
    """Make a validator collect prime samples, in place."""
    host.mix_in(validator, PrimeSamplesMixin)
    return validator
