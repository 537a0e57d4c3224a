"""`balance.recall.calibration`: shifts of the class scores folded into best.pt after training.

The shifts go into the biases of the last class layers, so that exports, `predict` and `report` carry the shifts
without this package. Ultralytics keeps the best boxes of all classes together (300 per image; the queries of RT-DETR,
of which 8.4.0 keeps one class each) and drops boxes under a confidence of 0.001. A shift may change which boxes are
kept there; else average precision per class stays.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.nn.modules.head import Detect, RTDETRDecoder, WorldDetect, YOLOEDetect
from ultralytics.utils import LOGGER
from ultralytics.utils.patches import torch_load

from yolo_balance.arrays import Floats
from yolo_balance.config.recall import CalibrationConfig
from yolo_balance.errors import HostError
from yolo_balance.files import copy_whole, write_bytes_whole
from yolo_balance.recall import Outcomes
from yolo_balance.recall.decisions.calibration import fit, out_of_fold, prior_shifts
from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.names import BEST, UNCALIBRATED, WEIGHTS
from yolo_balance.text import listed, plain

STEP = 1 / 128
"""Folded shifts are multiples of this: the spacing of half precision between 8 and 16, up to where class biases lie.

The biases of all scales so move alike, and boxes of a class keep their order across scales."""
SHOWN = 20  # classes in one line of the log; balance.yaml has all


@dataclass(frozen=True)
class Calibrated:
    """Result of a calibration beside the shifted weights.

    Attributes:
        held_out: Boxes of the model as it was trained, each half of the images shifted by a fit on the other half;
            None where nothing was fitted on the images.
        note: A sentence that a reader of the recall has to know; empty where nothing was fitted on the images.
    """

    held_out: Outcomes | None = None
    note: str = ""


def class_layers(model: object) -> list[nn.Module]:
    """Return the layers whose outputs are a detector's class logits, of every scale, head and decoder layer.

    Raises:
        HostError: The model has no such layers, as a model whose classes are texts.
    """
    head = getattr(model, "model", [model])[-1]
    layers: list[nn.Module] = []
    if isinstance(head, RTDETRDecoder):
        layers = list(head.dec_score_head)
    elif isinstance(head, Detect) and not isinstance(head, (WorldDetect, YOLOEDetect)):
        branches = (getattr(head, name, None) for name in ("cv3", "one2one_cv3"))
        layers = [scale[-1] for branch in branches if branch is not None for scale in branch]
    biases = [getattr(layer, "bias", None) for layer in layers]
    if not layers or any(bias is None or bias.shape != (head.nc,) for bias in biases):
        raise HostError(
            f"balance.recall.calibration: expected a head whose class layers have a bias for each class, "
            f"got {type(head).__name__}"
        )
    return layers


def shift_classes(model: object, shifts: Floats) -> None:
    """Add (C,) shifts to the class logits of a detector, in place. Raises HostError as `class_layers` does."""
    for layer in class_layers(model):
        bias: Any = layer.bias
        with torch.no_grad():  # summed in float64: half precision rounds once
            bias.copy_(bias.double() + torch.as_tensor(shifts, device=bias.device))


def fold(weights: Path, shifts: Floats, kept: Path) -> None:
    """Rewrite a checkpoint, whole or not at all, its class scores moved by (C,) shifts; `kept` is a copy as it was."""
    checkpoint, content = torch_load(weights, map_location="cpu"), io.BytesIO()
    shift_classes(checkpoint["model"], shifts)
    torch.save(checkpoint, content)
    copy_whole(weights, kept)
    write_bytes_whole(weights, content.getvalue())


def calibrate(
    folder: Path,
    outcomes: Outcomes,
    options: CalibrationConfig,
    *,
    counts: Mapping[str, int],
    split: str,
    seed: int,
) -> Calibrated:
    """Fold a calibration into a run's best.pt, keep the uncalibrated weights beside it and record the shifts.

    Args:
        folder: Folder of the run, with balance.yaml.
        outcomes: Boxes of best.pt on the split.
        options: `balance.recall.calibration`.
        counts: By class name, in class-id order, boxes in train.
        split: Name of the split.
        seed: Seed of the halves that are held out.
    """
    if options.rule == "logit_adjustment":
        shifts, source, calibrated = prior_shifts([*counts.values()], tau=options.tau), "train", Calibrated()
    else:
        fitted = fit(outcomes, strength=options.strength)
        if not fitted.usable:
            LOGGER.warning(
                f"balance.recall.calibration: more confident boxes are not hits more often on {split} "
                f"(slope {fitted.a:.3g}), so classes cannot be compared and nothing is shifted"
            )
        shifts, source = fitted.shifts, split
        note = (
            f"Class scores were calibrated (balance.recall.calibration) on the {split} images that recall is read on "
            "here; detections.npz, which `compare` reads, has the scores of each half shifted by a fit on the other "
            "half."
        )
        calibrated = Calibrated(out_of_fold(outcomes, strength=options.strength, seed=seed), note)
    shifts = np.round(shifts / STEP) * STEP
    fold(folder / WEIGHTS / BEST, shifts, folder / WEIGHTS / UNCALIBRATED)
    by_class, plan = dict(zip(counts, shifts.tolist(), strict=True)), BalanceFile.load(folder)
    calibration = {"rule": options.rule, "from": source, "shifts": by_class}
    BalanceFile(plan.asked, {**plan.resolved, "calibration": calibration}).save(folder)
    shown = listed([f"{plain(name)} {shift:+.2f}" for name, shift in by_class.items()], SHOWN)
    LOGGER.info(
        f"\nCalibration: {options.rule} on {source}, class logits of best.pt shifted by {shown}; it was "
        f"{UNCALIBRATED} and is validated once more"
    )
    return calibrated
