"""`report`: recall per class of a finished model on a split, trained with this package or not."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from ultralytics.cfg import get_cfg
from ultralytics.utils import LOGGER
from ultralytics.utils.checks import check_imgsz

from yolo_balance.config import SECTION, BalanceConfig, RecallConfig, apply_overrides, parse_section
from yolo_balance.early_checks import OURS, SPLITS, other_sections, reading_problems, refuse_calibration
from yolo_balance.errors import ConfigError, DataError, HostError
from yolo_balance.integration.arguments import argument_problems
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import check_units, class_names, image_files, read_data, resolve_data, scan
from yolo_balance.integration.finished import final_files
from yolo_balance.integration.finished.validate_once import reading_of, validated
from yolo_balance.integration.models import box_model
from yolo_balance.integration.outside_errors import outside_errors
from yolo_balance.integration.protocols import YOLOModel
from yolo_balance.integration.split_images import check_labelled
from yolo_balance.recall import RecallReport
from yolo_balance.resolution import name_problems
from yolo_balance.text import listed


def report(
    weights: str | Path,
    *,
    recall: RecallConfig | Mapping[str, object] | str | Path | None = None,
    out: str | Path | None = None,
    **arguments: object,
) -> RecallReport:
    """Validate a finished model once, print its recall per class and write recall.json, recall.html, thresholds.yaml.

    Nothing is downloaded: the model and the data have to be there.

    Args:
        weights: A model of a box task that Ultralytics validates: a .pt, trained with this package or not, or an
            export of it such as an .onnx.
        recall: `balance.recall`, or the YAML of a run that holds it; None for its defaults.
        out: Folder of all files; Ultralytics' own, `runs/detect/val`, when left out.
        **arguments: Arguments of Ultralytics' `val`, `data` among them (`demo` is the demo set) and `split` (val, test
            or train; val when left out); and dotted `balance.recall` keys, which replace those of `recall`.

    Returns:
        The report, as in `recall.json`.

    Raises:
        ConfigError: With every problem of the arguments, or for a folder that cannot be written.
        DataError: The data set is missing or unreadable, or has no such split.
        HostError: The model cannot be loaded, reports no boxes, or has other classes than the data; or the report was
            stopped from outside, as by a full disk.

    Example:
        report("best.pt", data="defects.yaml", split="test", recall={"targets": {"crack": 0.9}})
    """
    refuse_calibration(arguments)
    options = check_arguments(recall, arguments)
    baseline = final_files.read_baseline(options)
    if out is not None:
        check_folder(Path(out))
    model = finished_model(weights, arguments.get("task"))
    arguments["data"] = resolve_data(arguments["data"], model.task)
    check_data(model, options, {**model.overrides, **arguments})
    if out is not None:  # not save_dir, which 8.4.0 drops
        folder = Path(out).resolve()
        arguments |= {"project": str(folder.parent), "name": folder.name, "exist_ok": True}
    with outside_errors("report", lambda: out or arguments.get("project")):
        validator = validated(model, options, **arguments)
        for line in validator.split_images().remarks():
            LOGGER.warning(line)
        reading = reading_of(validator, baseline=baseline, title=str(weights))
        return final_files.write_report(validator.save_dir, reading, Path(weights))


def check_arguments(
    recall: RecallConfig | Mapping[str, object] | str | Path | None, arguments: dict[str, object]
) -> RecallConfig:
    """Take the `balance` keys out of the arguments and check both parts. Raises ConfigError with all problems."""
    ours = {key: arguments.pop(key) for key in list(arguments) if key.partition(".")[0] == SECTION}
    problems = other_sections(ours)
    asked = {key: value for key, value in ours.items() if key.startswith(OURS)}
    if isinstance(recall, (str, Path)):
        recall = BalanceConfig.load(recall).recall
    given = recall.model_dump(exclude_unset=True) if isinstance(recall, RecallConfig) else dict(recall or {})
    balance, more = parse_section(apply_overrides({SECTION: {"recall": given}}, asked)[SECTION])
    problems += more + argument_problems(arguments)
    try:
        check_imgsz(arguments.get("imgsz", 32), max_dim=1)
    except (TypeError, ValueError) as e:
        problems.append(f"imgsz: {one_line(e)}")
    arguments.setdefault("split", "val")
    problems += reading_problems(arguments)
    if problems or balance is None:
        raise ConfigError(problems)
    return balance.recall


def check_folder(folder: Path) -> None:
    """Check before a long validation that a folder can be made and written to. Raises ConfigError where it cannot."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"--out: {folder} cannot be written ({there} is no folder that can be written to)")


def finished_model(weights: str | Path, task: object) -> YOLOModel:
    """Return Ultralytics' model in a file. Raises HostError where the file holds none, or one of another task."""
    path = Path(weights)
    if not path.exists() or path.suffix in (".yaml", ".yml"):
        raise HostError(f"weights: expected a file with a trained model, got {weights}")
    if path.suffix == ".onnx" and not all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))):
        raise HostError(f"weights: {weights} needs the packages onnx and onnxruntime, which are not installed")
    return box_model("weights", path, task)


def check_data(model: YOLOModel, options: RecallConfig, arguments: dict[str, object]) -> list[str]:
    """Check files, labels and classes of the split before anything is written; return its images."""
    path, split = str(arguments["data"]), str(arguments["split"])
    data = read_data(path, download=False)
    if not data.get(split):
        there = ", ".join(name for name in SPLITS if data.get(name))
        raise DataError(f"split: {path} has no split {split}, it has {there}")
    try:
        known = class_names(model.names)
    except Exception as e:  # an export is loaded here only
        raise HostError(f"weights: {arguments['model']} cannot be loaded ({one_line(e)})") from e
    single = bool(arguments.get("single_cls"))  # all objects are one class, whatever a model of one calls it
    named = ["item"] if single else class_names(data["names"])
    if known != named and not (single and len(known) == 1):
        raise HostError(
            f"weights: {arguments['model']} knows the classes {listed(known)}; expected those of {path}"
            f"{' with single_cls' if single else ''} in their order, {listed(named)}"
        )
    if problems := name_problems(BalanceConfig(recall=options), known):
        raise ConfigError(problems)
    dataset = scan(get_cfg(overrides={**arguments, "cache": False, "task": model.task}), data, split, "val")
    check_labelled(dataset, options.unlabelled)
    files = image_files(dataset)
    check_units(options.units, path, files)
    return files
