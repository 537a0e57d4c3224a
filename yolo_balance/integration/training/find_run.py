"""The run that `resume` means: that of a checkpoint or folder, or the last run of the same YAML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from ultralytics.cfg import get_cfg, get_save_dir

from yolo_balance.config import SECTION, BalanceConfig, read_yaml
from yolo_balance.errors import ConfigError
from yolo_balance.integration.data import resolve_data
from yolo_balance.integration.training.resumable_trainer import is_bare, run_folder
from yolo_balance.run_folder.names import ARGUMENTS, BALANCE, LAST, WEIGHTS
from yolo_balance.text import plain

FREE = (
    *("model", "resume", "project", "name", "exist_ok", "save_dir", "mode", "verbose", "pretrained"),
    *("imgsz", "batch", "device", "close_mosaic", "augmentations", "save_period", "workers", "cache", "patience"),
    *("time", "freeze", "val", "plots", "channels_last", "distill_model"),
)
"""Arguments that say where a run is, that Ultralytics lets a resumed run change, or that a resumed run rewrites."""


def checkpoint_to_resume(arguments: Mapping[str, object], balance: BalanceConfig, task: str) -> Path | None:
    """Return the last.pt of the run to resume, whether it is there or not; None where there is no such run.

    Args:
        arguments: Ultralytics' arguments of the YAML, with `resume`: true, a checkpoint, or the folder of a run.
        balance: The section of the YAML.
        task: Task of the YAML's model.

    Raises:
        ConfigError: The path is none of these, or the runs in the place of the YAML are of other configurations.
    """
    resume, model = arguments["resume"], Path(str(arguments.get("model")))
    if resume is not True:
        return _named(Path(str(resume)))
    if model.name == LAST and run_folder(model) is not None:
        return model
    asked = {key: value for key, value in arguments.items() if key not in ("resume", "model")}
    place = get_save_dir(get_cfg(overrides={**asked, "task": task, "mode": "train", "exist_ok": True}))
    runs = sorted(_runs(place), key=lambda run: (run / ARGUMENTS).stat().st_mtime, reverse=True)
    reasons = {run: _difference(run, arguments, balance, task) for run in runs}
    if same := [run for run, reason in reasons.items() if not reason]:
        return same[0] / WEIGHTS / LAST
    if runs:
        raise ConfigError(
            f"resume: expected a run of this YAML at {place}, but {runs[0]} has {reasons[runs[0]]}; "
            f"resume={runs[0]} goes on with that run"
        )
    return place / WEIGHTS / LAST if is_bare(place) else None


def _named(path: Path) -> Path:
    if path.is_dir():
        if not any((path / name).exists() for name in (ARGUMENTS, BALANCE)):
            raise ConfigError(f"resume: expected the folder of a run, got {path}, which has no {ARGUMENTS}")
        return path / WEIGHTS / LAST
    if not path.is_file() and (path.name != LAST or run_folder(path) is None):
        raise ConfigError(f"resume: expected the last.pt of an unfinished run, or the run's folder, got {path}")
    return path


def _runs(place: Path) -> Iterator[Path]:
    """Yield the folders that Ultralytics gives to runs of one name: `train`, `train-2`, in some releases `train2`."""
    name = re.compile(rf"{re.escape(place.name)}(-?\d+)?")
    if place.parent.is_dir():
        yield from (f for f in place.parent.iterdir() if name.fullmatch(f.name) and (f / ARGUMENTS).is_file())


def _difference(run: Path, arguments: Mapping[str, object], balance: BalanceConfig, task: str) -> str:
    """Return how a run's configuration differs from this one; empty where it does not, or nobody can tell."""
    try:
        recorded = read_yaml(run / ARGUMENTS)
    except ConfigError:  # the run was killed while Ultralytics wrote it
        recorded = {}
    stated = {key: value for key, value in arguments.items() if key not in FREE}
    for key, value in vars(get_cfg(overrides=stated)).items():
        if key not in stated or key not in recorded:
            continue
        if key == "data":
            same = Path(resolve_data(value, task)).absolute() == Path(str(recorded[key])).absolute()
        else:
            same = yaml.safe_load(yaml.safe_dump(value)) == recorded[key]
        if not same:
            return f"{key}: {plain(str(recorded[key]))}, not {plain(str(value))}"
    was, model = (str(given.get("model")) for given in (recorded, arguments))
    if "model" in recorded and not recorded.get("resume") and Path(was).stem != Path(model).stem:
        return f"model: {plain(was)}, not {plain(model)}"
    try:
        section = read_yaml(run / BALANCE).get(SECTION)
    except ConfigError:  # the run was killed before it was written
        return ""
    same = section == yaml.safe_load(yaml.safe_dump(balance.model_dump(exclude_unset=True)))
    return "" if same else "another section balance"
