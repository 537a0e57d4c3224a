"""Train arguments: what Ultralytics refuses, and what does not go with a section of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ultralytics.cfg import DEFAULT_CFG_DICT, check_cfg
from ultralytics.utils.torch_utils import select_device

from yolo_balance.config import SECTION, LossesConfig, RecallConfig, SamplingConfig, unknown_key
from yolo_balance.config.sampling import epochs_of
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import BOX_TASKS


def argument_problems(arguments: Mapping[str, Any]) -> list[str]:
    """One line per train argument that the host would refuse, each key checked by itself."""
    problems = []
    for key, value in arguments.items():
        if key not in DEFAULT_CFG_DICT and key not in ("augmentations", "save_dir"):
            problems.append(unknown_key(key, [*DEFAULT_CFG_DICT, SECTION]))
            continue
        try:
            check_cfg({key: value})
        except (TypeError, ValueError) as e:
            problems.append(f"{key}: {one_line(e)}")
    if arguments.get("task") not in (*BOX_TASKS, None):
        problems.append(f"task: expected one of {', '.join(BOX_TASKS)}, got {arguments['task']}")
    device = arguments.get("device")
    try:
        select_device("" if device is None else device, verbose=False)
    except Exception as e:  # the host raises several kinds, all for a device that is not there
        problems.append(f"device: {device} cannot be used ({one_line(e)})")
    return problems


def sampling_problems(options: SamplingConfig | None, arguments: Mapping[str, Any]) -> list[str]:
    """One line per train argument that does not go with `balance.sampling`; the host's defaults fill in the others."""
    if options is None:
        return []
    given = {**DEFAULT_CFG_DICT, **arguments}
    problems = []
    if given["rect"]:
        problems.append("rect: expected false with balance.sampling, got true; rectangular batches fix the image order")
    epochs = given["epochs"] or 100  # the host's reading of null
    natural = isinstance(epochs, int) and epochs_of(options.open, epochs) + epochs_of(options.close, epochs)
    if not given["time"] and natural and natural >= epochs:
        problems.append(
            f"balance.sampling: open {options.open} and close {options.close} leave none of {epochs} epochs balanced"
        )
    hard = options.background is not None and options.background.hard
    for key, asked in (("feedback", options.feedback is not None), ("background.hard", hard)):
        if asked and not given["val"]:
            problems.append(f"balance.sampling.{key}: expected val: true, which it follows, got false")
    return problems


def loss_problems(options: LossesConfig | None, arguments: Mapping[str, Any]) -> list[str]:
    """One line per train argument that does not go with `balance.losses`."""
    weighting = arguments.get("cls_pw") or 0
    if options is None or options.class_weights is None or not weighting:
        return []
    return [
        f"cls_pw: expected 0 with balance.losses.class_weights, got {weighting}; each weighs by class, so they would "
        "multiply. cls_pw weighs whole columns, which class_weights does with `on: column`"
    ]


def selection_problems(options: RecallConfig, arguments: Mapping[str, Any]) -> list[str]:
    """One line per train argument that does not go with `balance.recall.best`."""
    given = {**DEFAULT_CFG_DICT, **arguments}
    needs = {"val": f"which {options.best} follows", "save": "or there is no best.pt to choose"}
    return [
        f"balance.recall.best: expected {key}: true, {why}, got false"
        for key, why in needs.items()
        if options.best != "fitness" and not given[key]
    ]


def calibration_problems(options: RecallConfig, arguments: Mapping[str, Any]) -> list[str]:
    """One line per train argument that does not go with `balance.recall.calibration`."""
    if options.calibration is None or {**DEFAULT_CFG_DICT, **arguments}["save"]:
        return []
    return ["balance.recall.calibration: expected save: true, or there is no best.pt to calibrate, got false"]
