"""The host: what differs between Ultralytics releases, and its answers to what a run asks, as our errors.

Supported: ultralytics >= 8.4.0. What differs between releases, and where it is dealt with:

* 8.4.0 starts a loader's workers when the loader is built, later releases at its first epoch: a loader whose sampler
  is exchanged has to be reset (`loader.balance_loader`).
* 8.4.0 pickles the EMA model's criterion into checkpoints, later releases drop it first: we take ours off in either
  (`trainer.BalancedTrainerMixin.save_model`).
* 8.4.0 skips the box loss of a batch without positives, later releases compute a zero: hooks may not rely on being
  called (`criterion`).
* 8.4.0 picks positives in the box loss by a mask, later releases by indices: with CARL, whose weights carry gradient,
  the backward pass of the mask waits for the device once more there.
* The latest releases cap gradient accumulation by the length of the run; we do so on every release when attached.
* Later releases rebuild the loader after running out of memory; 8.4.0 has no such retry.
* Later releases restore an end-to-end model's gain schedule on resume; 8.4.0 starts it anew, and so do we on it.
* 8.4.0 says by `model.pt` that a predictor's model is a checkpoint, later releases by `model.format`
  (`thresholds._padded_least`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.distributed as dist
from ultralytics.cfg import DEFAULT_CFG_DICT, check_cfg, get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset
from ultralytics.utils import LOGGER, SETTINGS
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset
from ultralytics.utils.torch_utils import select_device

from yolo_balance import demo
from yolo_balance.config import SECTION, BalanceConfig, LossesConfig, RecallConfig, SamplingConfig, unknown_key
from yolo_balance.config.sampling import epochs_of
from yolo_balance.errors import ConfigError, DataError, HostError

BOX_TASKS = ("detect", "segment", "pose", "obb")
"""Tasks whose labels are boxes, with something more in some."""

DEMO = "demo"


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) unless training is distributed."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def mix_in(instance: Any, mixin: type, **attributes: Any) -> None:
    """Give an instance the subclass of its own type that has `mixin` first, whoever's that type is."""
    base = type(instance)
    if not issubclass(base, mixin):
        instance.__class__ = type(base.__name__, (mixin, base), attributes)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the host says of its progress, its warnings aside."""
    level = LOGGER.level
    LOGGER.setLevel("WARNING")
    try:
        with redirect_stdout(io.StringIO()):  # its bars; its logger has a handler of its own
            yield
    finally:
        LOGGER.setLevel(level)


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


def resolve_data(data: Any, task: str) -> Any:
    """The data YAML's path: `demo` is drawn into the host's data-set folder on first use, the rest is left as it is."""
    if data != DEMO:
        return data
    if task == "classify":
        raise DataError("data: demo holds boxes; expected a folder of class folders for task classify")
    if task == "pose":
        raise DataError("data: demo holds no keypoints; expected a data YAML with kpt_shape for task pose")
    try:
        return str(demo.generate(Path(SETTINGS["datasets_dir"]) / "yolo_balance_demo"))
    except OSError as e:  # a folder of the user's by that name, no space, no permission
        raise DataError(f"data: demo cannot be written ({one_line(e)})") from e


def read_data(data: str | Path, *, download: bool = True) -> dict[str, Any]:
    """The host's reading of a data YAML; raises DataError in one line.

    Args:
        data: Path of the YAML.
        download: Whether the host may fetch a data set that is not there.
    """
    try:
        found: dict[str, Any] = check_det_dataset(str(data), autodownload=download)
    except Exception as e:  # FileNotFoundError, SyntaxError, TypeError, YAML errors: whatever a user's file provokes
        raise DataError(f"data: {data} cannot be used ({one_line(e)})") from e
    if sorted(found["names"]) != list(range(len(found["names"]))):  # the host looks at the largest id only
        raise DataError(f"data: {data} names classes {sorted(found['names'])}; expected ids from 0 on without a gap")
    return found


def check_labels(arguments: Mapping[str, Any], data: dict[str, Any], task: str) -> tuple[Any, Any]:
    """Scan both splits with the host's scanner, which keeps what it reads for the run's own loaders.

    Returns:
        The host's data sets of train and val.

    Raises:
        DataError: A split has no readable image, or the train split no object.
    """
    cfg = get_cfg(overrides={**arguments, "cache": False, "task": task})
    train = scan(cfg, data, "train", "train")
    if not any(map(len, labels(train))):
        raise DataError(
            f"data: the train split {data['train']} has {len(train)} images and no object, all are background; "
            "expected at least one labelled box"
        )
    return train, scan(cfg, data, cfg.split or "val", "val")


def scan(cfg: Any, data: dict[str, Any], split: str, mode: str) -> Any:
    """The host's data set of a split, its labels scanned and cached; raises DataError in one line."""
    try:
        return build_yolo_dataset(cfg, data[split], batch=1, data=data, mode=mode)
    except Exception as e:  # whatever a user's files provoke
        raise DataError(f"data: the {split} split {data[split]} cannot be used ({one_line(e)})") from e


def class_names(names: Mapping[int, str]) -> list[str]:
    """Names by class id; a name two classes share is told apart by its id."""
    ordered = [str(names[i]) for i in range(len(names))]
    return [name if ordered.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(ordered)]


def check_names(config: BalanceConfig, names: Mapping[int, str]) -> None:
    """Raise ConfigError for every class the configuration names and the data does not have."""
    known = class_names(names)
    weights = None if config.losses is None else config.losses.class_weights
    costs = config.recall.costs
    asked = {
        "recall.targets": config.recall.targets,
        "recall.costs.escape": costs.escape if costs is not None and isinstance(costs.escape, dict) else None,
        "sampling.classes": None if config.sampling is None else config.sampling.classes,
        "losses.class_weights": weights and weights.values,
    }
    problems = [
        f"{SECTION}.{section}.{name}: the data has no class {name}, its classes are {', '.join(known)}"
        for section, classes in asked.items()
        for name in classes or {}
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)


def labels(dataset: Any) -> list[npt.NDArray[Any]]:
    """Per image the classes of its boxes; of an image folder, the one class each."""
    if hasattr(dataset, "samples"):
        return [np.array([sample[1]]) for sample in dataset.samples]
    return [label["cls"].ravel() for label in dataset.labels]


def image_files(dataset: Any) -> list[str]:
    """Image files by index."""
    return [sample[0] for sample in dataset.samples] if hasattr(dataset, "samples") else list(dataset.im_files)


def resolve_model(model: str | Path) -> str:
    """The model to start from: an official checkpoint that is not to be had becomes its architecture, said aloud.

    Raises:
        HostError: A file that is neither there nor one of the host's published checkpoints.
    """
    model = str(model)
    if not model.endswith(".pt") or Path(model).exists():
        return model
    name = Path(model).name
    if name not in GITHUB_ASSETS_NAMES:
        raise HostError(f"model: {model} is not a file, nor one of the checkpoints Ultralytics publishes")
    try:
        found = str(attempt_download_asset(model))
        if Path(found).exists():
            return found
        reason = "no file came"
    except Exception as e:  # whatever the network raises
        reason = one_line(e)
    architecture = f"{Path(name).stem}.yaml"
    LOGGER.warning(
        f"model: {model} is neither on disk nor downloadable ({reason}): training starts from scratch, {architecture}"
    )
    return architecture


def one_line(error: BaseException) -> str:
    """An exception's own words in one line, without the host's decoration."""
    text = " ".join(str(error).replace("❌", "").split()) or error.__class__.__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
