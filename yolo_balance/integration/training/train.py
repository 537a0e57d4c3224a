"""`train`: one YAML, checked before anything is written, then the host's training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics import YOLO

from yolo_balance import recipe
from yolo_balance.config import SECTION, BalanceConfig, apply_overrides, parse_section, read_yaml
from yolo_balance.errors import ConfigError, HostError
from yolo_balance.integration.arguments import (
    argument_problems,
    calibration_problems,
    loss_problems,
    sampling_problems,
    selection_problems,
)
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import (
    BOX_TASKS,
    box_classes,
    check_labels,
    check_names,
    class_names,
    image_files,
    read_data,
    resolve_data,
)
from yolo_balance.integration.finished import recall_files
from yolo_balance.integration.finished.class_shifts import class_layers
from yolo_balance.integration.models import resolve_model
from yolo_balance.integration.training.attach import attach
from yolo_balance.integration.training.best_checkpoint import rule_of
from yolo_balance.recall.report import RecallReport
from yolo_balance.run_folder.names import RECALL
from yolo_balance.sampling import ClassStatistics, SamplingSchedule


def train(config: str | Path | Mapping[str, Any], **overrides: Any) -> RecallReport:
    """Train as a YAML says and read recall per class.

    Args:
        config: A YAML file or mapping: what Ultralytics' `train` accepts, and our sections under `balance`.
        **overrides: Keys that replace those of the file; dotted ones reach into sections, as in
            `train("cfg/defects.yaml", epochs=5, **{"balance.losses.carl.gain": 0.1})`.

    Returns:
        The report of best.pt, as in the run's recall.json.

    Raises:
        ConfigError: With every problem of the file; nothing was written.
        DataError: The data set is missing, unreadable or without objects; no run folder was made.
        HostError: The model cannot be had or knows no boxes.
    """
    content = read_yaml(config) if isinstance(config, (str, Path)) else config
    arguments = apply_overrides(content, overrides)
    balance, arguments = check(arguments)
    if arguments.get("resume"):
        model = _interrupted(arguments)
        arguments["resume"] = True
    else:
        model, found = look(balance, arguments)
        arguments["data"] = found.data

    attach(model, balance)  # and not a trainer class of ours: the model may have one of its own, as RT-DETR does
    model.train(**{k: v for k, v in arguments.items() if k != "model"})
    assert model.trainer is not None
    return RecallReport.load(Path(model.trainer.save_dir) / RECALL)


@dataclass(frozen=True)
class Found:
    """What a run finds in its data.

    Attributes:
        data: The data YAML's path.
        names: Class names by class id.
        train: The train split's labels.
        val: Those of the split that validation reads.
        val_files: Its images.
        images_per_epoch: Images an epoch shows.
        balance: The section, with what `auto` makes of the train split.
    """

    data: Any
    names: list[str]
    train: ClassStatistics
    val: ClassStatistics
    val_files: list[str]
    images_per_epoch: int
    balance: BalanceConfig


def look(balance: BalanceConfig, arguments: Mapping[str, Any]) -> tuple[YOLO, Found]:
    """The model of a new run and what is in its data; what they do not have is said before a run folder is made.

    Args:
        balance: The section.
        arguments: The host's, checked.

    Raises:
        ConfigError: The configuration asks for what the data does not have.
        DataError: The data set is missing, unreadable or without objects.
        HostError: The model cannot be had or knows no boxes.
    """
    model = _model(arguments)
    path = resolve_data(arguments["data"], model.task)
    data = read_data(path)
    by_id = {0: "item"} if arguments.get("single_cls") else data["names"]
    check_names(balance, by_id)
    names, splits = class_names(by_id), check_labels({**arguments, "data": path}, data, model.task)
    train, val = (ClassStatistics.of(box_classes(split), len(names)) for split in splits)
    if balance.auto:
        balance = recipe.resolve(balance, train)
        if problems := balance_problems(balance, arguments):
            raise ConfigError(problems)
    images = train.num_images
    if balance.sampling is not None:
        images = SamplingSchedule(balance.sampling, train, names, seed=0).size
    if balance.recall.best != "fitness":
        rule_of(balance.recall, names, train, val)
    if balance.recall.calibration is not None:
        class_layers(model.model)
    return model, Found(path, names, train, val, image_files(splits[1]), images, balance)


def check(content: Mapping[str, Any]) -> tuple[BalanceConfig, dict[str, Any]]:
    """The balance section of a run's mapping and the host's arguments; raises with all problems of both."""
    arguments = dict(content)
    balance, problems = parse_section(arguments.pop(SECTION, None))
    problems += argument_problems(arguments)
    if balance is not None:
        problems += balance_problems(balance, arguments)
    if not arguments.get("resume"):
        expected = {"model": "a checkpoint or architecture such as yolo26n.pt", "data": "a data YAML or demo"}
        problems += [f"{key}: missing, expected {what}" for key, what in expected.items() if not arguments.get(key)]
    if problems or balance is None:
        raise ConfigError(problems)
    recall_files.read_baseline(balance.recall)  # to say so before anything is written
    return balance, arguments


def balance_problems(balance: BalanceConfig, arguments: Mapping[str, Any]) -> list[str]:
    """One line per train argument that does not go with the section."""
    return [
        *sampling_problems(balance.sampling, arguments),
        *loss_problems(balance.losses, arguments),
        *selection_problems(balance.recall, arguments),
        *calibration_problems(balance.recall, arguments),
    ]


def _model(arguments: Mapping[str, Any]) -> YOLO:
    name = resolve_model(arguments["model"])
    try:
        model = YOLO(name)
    except Exception as e:
        raise HostError(f"model: {name} cannot be loaded ({one_line(e)})") from e
    task = arguments.get("task") or model.task
    if model.task not in BOX_TASKS or model.task != task:
        expected = f"task {task}" if task in BOX_TASKS else f"a task among {', '.join(BOX_TASKS)}"
        raise HostError(f"model: expected one of {expected}, got {name} of task {model.task}")
    return model


def _interrupted(arguments: dict[str, Any]) -> YOLO:
    """The checkpoint to go on from: `resume=path/to/last.pt`, or `resume=true model=path/to/last.pt`."""
    resume = arguments["resume"]
    path = arguments.get("model") if resume is True else resume
    if not path or not Path(path).is_file():
        raise ConfigError(f"resume: expected the last.pt of an unfinished run, got {path}")
    try:
        model = YOLO(path)
    except Exception as e:
        raise ConfigError(f"resume: {path} cannot be loaded ({one_line(e)})") from e
    if model.ckpt.get("epoch", -1) < 0 or model.ckpt.get("optimizer") is None:
        raise ConfigError(f"resume: {path} is of a finished run, there is nothing to resume")
    return model
