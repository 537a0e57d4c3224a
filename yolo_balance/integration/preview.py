"""`analyze --preview`: a picture of training samples as the network will see them, from Ultralytics' own data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset

from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.hooks.dataset import CountingMixin, PartnerStream, follow
from yolo_balance.integration.hooks.paste import EpochIndex, ImagePaster
from yolo_balance.integration.protocols import DataContent, Dataset
from yolo_balance.integration.training.run_pastes import run_pasting
from yolo_balance.resolution import ResolvedBalance
from yolo_balance.sampling import SamplingPlan
from yolo_balance.synthesis.cutting import CutObject
from yolo_balance.views.analysis.preview_sheet import CELLS, Sample, encoded, sheet

WITH_MOSAIC, WITHOUT = 15, 10
"""Samples of either kind."""


def preview(arguments: Mapping[str, object], data: DataContent, resolved: ResolvedBalance, path: Path) -> bytes:
    """Draw 25 training samples of the first epoch, with Mosaic and without, and the bank of each class that is pasted.

    Args:
        arguments: Train arguments, complete with Ultralytics' defaults.
        data: The data YAML as Ultralytics reads it.
        resolved: The configuration on the train split.
        path: File whose name says the format.

    Returns:
        The content of the file.

    Raises:
        ConfigError: The file has another ending than .jpg or .png.
        DataError: A mask image has another size than its image.
    """
    encoded(np.zeros((1, 1, 3), np.uint8), path)
    cfg = get_cfg(overrides={**arguments, "cache": False})
    stock: Dataset = build_yolo_dataset(cfg, data["train"], batch=8, data=data, mode="train")
    pasting = run_pasting(stock, resolved, cfg)
    dataset: Any = mix_in(stock, CountingMixin)
    classes = len(resolved.names)
    plan = SamplingPlan(np.ones(len(dataset)), len(dataset), cfg.seed)
    if resolved.schedule is not None:
        plan = resolved.schedule.shown
    order = plan.epoch(0).tolist()
    if pasting is not None:
        pasting.marks, dataset.pasting = (classes, 2 * classes), pasting
        chosen = [i for i in order if i in pasting.policy.table(0)]
        order = [*dict.fromkeys(chosen), *order]
    dataset.partners = PartnerStream(plan, 0, None)
    follow(dataset.transforms, dataset.partners)
    mosaic = [_sample(dataset, i, classes) for i in plan.epoch(0)[:WITH_MOSAIC].tolist()]
    dataset.close_mosaic(hyp=copy(cfg))
    single = [_sample(dataset, i, classes) for i in order[:WITHOUT]]
    groups = [("with Mosaic, as most epochs are", mosaic), ("without Mosaic, images that are pasted on", single)]
    return encoded(sheet(groups, [] if pasting is None else _bank(pasting, resolved.names)), path)


def _sample(dataset: Dataset, index: int, classes: int) -> Sample:
    sample = cast("dict[str, Tensor]", dataset[EpochIndex(index, 0)])
    image = np.ascontiguousarray(sample["img"].numpy()[::-1].transpose(1, 2, 0))
    height, width = image.shape[:2]
    centred = sample["bboxes"].numpy()[:, :4].astype(np.float64) * (width, height, width, height)
    boxes = np.concatenate([centred[:, :2] - centred[:, 2:] / 2, centred[:, :2] + centred[:, 2:] / 2], 1)
    kinds = np.minimum(sample["cls"].numpy().ravel().astype(np.int64) // classes, 2)
    three = np.repeat(image, 3, 2) if image.shape[2] == 1 else np.ascontiguousarray(image[..., :3])
    return Sample(three, boxes, kinds)


def _bank(pasting: ImagePaster, names: Sequence[str]) -> list[tuple[str, list[CutObject]]]:
    sources, pasted = pasting.policy.sources, pasting.policy.plan.pasted
    assert pasted is not None
    rows = []
    for label in np.flatnonzero(pasted > 0).tolist():
        own = np.flatnonzero(sources.classes == label)
        heading = f"bank of {names[label]}: {len(own)} objects, {pasted[label]:.0f} pasted in an epoch"
        rows.append((heading, [pasting.paster.bank[source].object for source in own[:CELLS].tolist()]))
    return rows
