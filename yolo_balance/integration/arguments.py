"""Train arguments: Ultralytics' defaults, and the values that Ultralytics refuses."""

from __future__ import annotations

from collections.abc import Mapping

from ultralytics.cfg import DEFAULT_CFG_DICT, check_cfg
from ultralytics.utils.torch_utils import select_device

from yolo_balance.config import SECTION, unknown_key
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import BOX_TASKS


def argument_problems(arguments: Mapping[str, object]) -> list[str]:
    """Return a line per train argument that Ultralytics refuses, each key checked by itself."""
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
    except Exception as e:  # several kinds, all for a device that is not there
        problems.append(f"device: {device} cannot be used ({one_line(e)})")
    return problems


def complete(arguments: Mapping[str, object]) -> dict[str, object]:
    """Fill in Ultralytics' defaults for the train arguments left out, and its 100 epochs for `epochs: null`."""
    filled = {**DEFAULT_CFG_DICT, **arguments}
    return {**filled, "epochs": filled["epochs"] or 100}
