"""The model that a run starts from."""

from __future__ import annotations

from pathlib import Path

from ultralytics import YOLO
from ultralytics.utils import LOGGER
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

from yolo_balance.errors import ConfigError, HostError
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import BOX_TASKS
from yolo_balance.integration.protocols import YOLOModel
from yolo_balance.run_folder.names import THRESHOLDS


def resolve_model(model: str | Path) -> str:
    """Return the model to start from; an official checkpoint that is not to be had becomes its architecture, aloud.

    Raises:
        HostError: The file is not there, nor a checkpoint that Ultralytics publishes.
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


def thresholds_beside(weights: Path) -> Path:
    """Return the thresholds file of weights; raise ConfigError with the places searched."""
    folder = weights.absolute().parent
    places = [folder / THRESHOLDS, folder.parent / THRESHOLDS]
    for place in places:
        if place.exists():
            return place
    raise ConfigError(f"--thresholds: not given, and found neither {places[0]} nor {places[1]}")


def box_model(key: str, file: str | Path, task: object) -> YOLOModel:
    """Return Ultralytics' model of a checkpoint, an export or an architecture.

    Args:
        key: Argument by which errors name the file.
        file: The file.
        task: Expected task, None for any with boxes.

    Raises:
        HostError: The file cannot be loaded, or holds a model of another task.
    """
    if Path(file).exists() and not (Path(file).is_file() or Path(file).is_dir()):
        raise HostError(f"{key}: {file} cannot be loaded (expected a file, got a pipe or a device)")
    try:  # an export does not say its task, an architecture is built for its own
        model: YOLOModel = YOLO(file, task=None if Path(file).suffix in (".yaml", ".yml") else task)
    except Exception as e:  # whatever a file that is no model provokes
        raise HostError(f"{key}: {file} cannot be loaded ({one_line(e)})") from e
    if model.task not in BOX_TASKS or model.task != (task or model.task):
        expected = f"task {task}" if task in BOX_TASKS else f"a task among {', '.join(BOX_TASKS)}"
        raise HostError(f"{key}: expected a model of {expected}, got {file} of task {model.task}")
    return model
