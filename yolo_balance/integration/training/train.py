"""`train`: one YAML, checked before anything is written, then Ultralytics' training."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.utils import LOGGER

from yolo_balance.config import SECTION, BalanceConfig, apply_overrides, parse_section, read_yaml
from yolo_balance.config.reading import AUTO
from yolo_balance.early_checks import not_stated
from yolo_balance.errors import ConfigError
from yolo_balance.integration.arguments import argument_problems, complete
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import (
    box_classes,
    check_labels,
    check_units,
    class_names,
    image_files,
    read_data,
    resolve_data,
)
from yolo_balance.integration.finished import final_files
from yolo_balance.integration.finished.class_shifts import class_layers
from yolo_balance.integration.models import box_model, resolve_model
from yolo_balance.integration.outside_errors import outside_errors
from yolo_balance.integration.protocols import YOLOModel
from yolo_balance.integration.split_images import check_labelled
from yolo_balance.integration.training.attach import attach
from yolo_balance.integration.training.best_checkpoint import rule_of
from yolo_balance.integration.training.find_run import checkpoint_to_resume
from yolo_balance.integration.training.made_images import boxes_by_class, made_images
from yolo_balance.integration.training.resumable_trainer import (
    checkpoint_of,
    claimed,
    has_begun,
    run_folder,
    state_to_resume,
)
from yolo_balance.integration.training.run_pastes import mask_files, pasteable
from yolo_balance.recall.report import RecallReport
from yolo_balance.resolution import ResolvedBalance, conflicts, resolve
from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.names import RECALL, WEIGHTS
from yolo_balance.sampling import ClassStatistics


def train(config: str | Path | Mapping[str, object] | None = None, **overrides: object) -> RecallReport:
    """Train as a YAML says and read recall per class.

    Args:
        config: A YAML file or mapping: what Ultralytics' `train` accepts, and our sections under `balance`. Without
            one, `balance: auto` on Ultralytics' own defaults; the overrides then name `data` and `model`, or with
            `resume` a run, whose own section is taken.
        **overrides: Keys that replace those of the file; dotted keys reach into sections, as in
            `train("cfg/defects.yaml", epochs=5, **{"balance.losses.carl.gain": 0.1})`.

    Returns:
        The report of best.pt, as in the run's recall.json.

    Raises:
        ConfigError: With every problem of the file; nothing was written.
        DataError: The data set is missing, unreadable or without objects; no run folder was made.
        HostError: The model cannot be loaded or has no boxes, or the run was stopped from outside, as by a full disk.
    """
    content: Mapping[str, object]
    if config is None:
        content = {SECTION: _section_of(overrides.get("resume"))}
    else:
        content = read_yaml(config) if isinstance(config, (str, Path)) else config
    arguments = apply_overrides(content, overrides)
    balance, arguments = check(arguments)
    with ExitStack() as at_the_end:
        checkpoint = _checkpoint(balance, arguments, at_the_end) if arguments.get("resume") else None
        if checkpoint is not None:
            model = _interrupted(checkpoint, arguments)
            arguments["resume"] = str(checkpoint)
        else:
            arguments.pop("resume", None)
            model, data = read_run(balance, arguments)
            arguments["data"] = data.path
        attach(model, balance)  # no trainer class of ours: the model may have its own, as RT-DETR does
        with outside_errors("train", lambda: getattr(model.trainer, "save_dir", arguments.get("project"))):
            model.train(**{k: v for k, v in arguments.items() if k != "model"})
    assert model.trainer is not None
    return RecallReport.load(Path(model.trainer.save_dir) / RECALL)


@dataclass(frozen=True)
class RunData:
    """A run's data set and the configuration on it.

    Attributes:
        path: Path of the data YAML.
        resolved: The configuration on the train split.
        val: Labels of the split that validation reads.
        val_files: Images of that split.
    """

    path: str
    resolved: ResolvedBalance
    val: ClassStatistics
    val_files: list[str]


def read_run(balance: BalanceConfig, arguments: Mapping[str, object]) -> tuple[YOLOModel, RunData]:
    """Load the model of a new run and read its data, from checked arguments; no run folder is made.

    Raises:
        ConfigError: The configuration asks for something that the data or the arguments do not have.
        DataError: The data set is missing, unreadable or without objects.
        HostError: The model cannot be loaded or has no boxes.
    """
    model = box_model("model", resolve_model(str(arguments["model"])), arguments.get("task"))
    path = resolve_data(arguments["data"], model.task)
    data = read_data(path)
    names = class_names({0: "item"} if arguments.get("single_cls") else data["names"])
    splits = check_labels({**arguments, "data": path}, data, model.task)
    check_labelled(splits[1], balance.recall.unlabelled)
    train, val = (ClassStatistics.of(box_classes(split), len(names)) for split in splits)
    check_units(balance.recall.units, path, image_files(splits[1]))
    objects = pasteable(splits[0], balance, len(names))
    completed = complete({**arguments, "task": model.task, "data": path})
    known = [file for split in splits for file in image_files(split)]
    made = boxes_by_class(made_images(balance.made, get_cfg(overrides=completed), data, known), len(names))
    resolved = resolve(balance, train, names, completed, image_files(splits[0]), objects=objects, made=made)
    if resolved.config.paste is not None:
        mask_files(splits[0])  # raises where one does not fit
    if balance.recall.best != "fitness":
        rule_of(balance.recall, names, train, val)
    if balance.recall.calibration is not None:
        class_layers(model.model)
    return model, RunData(path, resolved, val, image_files(splits[1]))


def check(content: Mapping[str, object]) -> tuple[BalanceConfig, dict[str, object]]:
    """Return the balance section of a run's mapping and Ultralytics' arguments, checked without the data.

    Raises:
        ConfigError: With every problem of both.
    """
    arguments = dict(content)
    balance, problems = parse_section(arguments.pop(SECTION, None))
    problems += argument_problems(arguments)
    if balance is not None:
        problems += conflicts(balance, complete(arguments))
    if not arguments.get("resume"):
        problems += not_stated(arguments)
    if problems or balance is None:
        raise ConfigError(problems)
    final_files.read_baseline(balance.recall)  # an error comes before anything is written
    return balance, arguments


def _section_of(resume: object) -> object:
    """Return the section of a run without a YAML: that of the run to resume where it is named, else `auto`."""
    if not isinstance(resume, (str, Path)):
        return AUTO
    path = Path(resume)
    folder = path if path.is_dir() else run_folder(path)
    return AUTO if folder is None else BalanceFile.load(folder).asked


def _check_stated(arguments: Mapping[str, object]) -> None:
    if problems := not_stated(arguments):
        raise ConfigError(problems)


def _checkpoint(balance: BalanceConfig, arguments: dict[str, object], at_the_end: ExitStack) -> Path | None:
    """Return the checkpoint that `resume` means, its run's folder taken; None where the run is to start anew."""
    task = str(arguments.get("task") or "")
    if arguments["resume"] is True and run_folder(Path(str(arguments.get("model")))) is None:
        _check_stated(arguments)
        task = task or box_model("model", resolve_model(str(arguments["model"])), None).task
    path = checkpoint_to_resume(arguments, balance, task)
    if path is None:
        LOGGER.warning("resume: no run of this YAML is in its place yet, so a new run starts")
        return None
    folder = run_folder(path)
    if folder is None:
        return path
    at_the_end.callback(claimed(folder).release)
    if has_begun(path):
        return path
    LOGGER.warning(f"resume: the run in {folder} ended before its first checkpoint, so it starts anew there")
    _check_stated(arguments)
    arguments.update(project=str(folder.parent), name=folder.name, exist_ok=True)
    return None


def _interrupted(path: Path, arguments: dict[str, object]) -> YOLOModel:
    """Load the checkpoint to resume, and check the data that it names or `data` states instead."""
    checkpoint = checkpoint_of(path)
    trained: dict[str, object] = dict(checkpoint.get("train_args", {}))
    folder = run_folder(path) or Path(str(trained.get("save_dir")))
    state_to_resume(folder / WEIGHTS, path, checkpoint)
    try:
        model: YOLOModel = YOLO(path)
    except Exception as e:
        raise ConfigError(f"resume: {path} cannot be loaded ({one_line(e)})") from e
    data = resolve_data(arguments.get("data") or trained.get("data"), model.task)
    check_labels({**trained, "data": data}, read_data(data), model.task)
    if arguments.get("data"):
        arguments["data"] = data
    return model
