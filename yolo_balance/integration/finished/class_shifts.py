"""`balance.recall.calibration`: shifts of the class scores folded into best.pt after training.

They go into the biases of the last class layers, so that exports, `predict` and `report` carry them with nothing of
ours installed. Where the host keeps the best boxes of all classes together (its 300 per image, the queries of RT-DETR,
of which 8.4.0 keeps one class each), a shift may change which those are, and what lies about its confidence floor of
0.001; else average precision per class stays.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
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
from yolo_balance.run_folder import records
from yolo_balance.text import listed, plain

UNCALIBRATED = "best_uncalibrated.pt"
STEP = 1 / 128
"""What folded shifts are multiples of: the spacing of half precision between 8 and 16, up to where class biases lie.

The biases of several scales so move alike, and boxes of a class keep their order across scales."""
SHOWN = 20  # classes in one line of the log; balance.yaml has all


@dataclass(frozen=True)
class Calibrated:
    """What a calibration leaves to be said and written.

    Attributes:
        held_out: Boxes of the model as it was trained, each half of the images shifted by a fit on the other; None
            where nothing was fitted on them.
        note: What a reader of the recall has to know; empty where nothing was fitted on its images.
    """

    held_out: Outcomes | None = None
    note: str = ""


def class_layers(model: Any) -> list[nn.Module]:
    """The layers whose outputs are a detector's class logits, of every scale, head and decoder layer.

    Raises:
        HostError: It has no such layers, as a model whose classes are texts.
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


def shift_classes(model: Any, shifts: Floats) -> None:
    """Add to every class's logit, in place.

    Args:
        model: A detector.
        shifts: (C,).

    Raises:
        HostError: As `class_layers`.
    """
    for layer in class_layers(model):
        bias: Any = layer.bias
        with torch.no_grad():  # summed in float64: half precision rounds once
            bias.copy_(bias.double() + torch.as_tensor(shifts, device=bias.device))


def fold(weights: Path, shifts: Floats, kept: Path) -> None:
    """Rewrite a finished run's weights with its class scores shifted, whole or not at all.

    Args:
        weights: The host's checkpoint.
        shifts: (C,).
        kept: Where what it was is kept.
    """
    checkpoint, content = torch_load(weights, map_location="cpu"), io.BytesIO()
    shift_classes(checkpoint["model"], shifts)
    torch.save(checkpoint, content)
    copy_whole(weights, kept)
    write_bytes_whole(weights, content.getvalue())


def calibrate(
    best: Path,
    outcomes: Outcomes,
    options: CalibrationConfig,
    *,
    names: Sequence[str],
    counts: npt.ArrayLike,
    split: str,
    seed: int,
    plan: Path,
) -> Calibrated:
    """Fold a calibration into a run's best.pt, keep what that was beside it and record the shifts.

    Args:
        best: The weights.
        outcomes: Their boxes on a split.
        options: `balance.recall.calibration`.
        names: C class names by class id.
        counts: (C,) boxes of each class in train.
        split: Name of the split.
        seed: Of the halves that are held out.
        plan: The run's balance.yaml.
    """
    if options.rule == "logit_adjustment":
        shifts, source, calibrated = prior_shifts(counts, tau=options.tau), "train", Calibrated()
    else:
        fitted = fit(outcomes, strength=options.strength)
        if not fitted.usable:
            LOGGER.warning(
                f"balance.recall.calibration: more confident boxes are not hits more often on {split} "
                f"(slope {fitted.a:.3g}), so classes cannot be compared and nothing is shifted"
            )
        shifts, source = fitted.shifts, split
        calibrated = Calibrated(out_of_fold(outcomes, strength=options.strength, seed=seed), _note(split))
    shifts = np.round(shifts / STEP) * STEP
    fold(best, shifts, best.with_name(UNCALIBRATED))
    resolution = {"rule": options.rule, "from": source, "shifts": dict(zip(names, shifts.tolist(), strict=True))}
    records.add_resolved(plan, "calibration", resolution)
    LOGGER.info(f"\n{_line(options.rule, source, names, shifts)}")
    return calibrated


def _line(rule: str, source: str, names: Sequence[str], shifts: Floats) -> str:
    by_class = [f"{plain(name)} {shift:+.2f}" for name, shift in zip(names, shifts, strict=True)]
    return (
        f"Calibration: {rule} on {source}, class logits of best.pt shifted by {listed(by_class, SHOWN)}; it was "
        f"{UNCALIBRATED} and is validated once more"
    )


def _note(split: str) -> str:
    return (
        f"Class scores were calibrated (balance.recall.calibration) on the {split} images that recall is read on here; "
        "detections.npz, which `compare` reads, has those of each half shifted by a fit on the other half."
    )
