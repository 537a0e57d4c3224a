"""The model that a run starts from."""

from __future__ import annotations

from pathlib import Path

from ultralytics.utils import LOGGER
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES, attempt_download_asset

from yolo_balance.errors import HostError
from yolo_balance.integration.compat import one_line


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
