"""`calibrate`: a finished run with its class scores adjusted, without training it again, in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from ultralytics import YOLO
from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_balance.comparison import Measured
from yolo_balance.comparison import run_figures as left
from yolo_balance.config import SECTION, BalanceConfig, RecallConfig
from yolo_balance.config.recall import CalibrationConfig
from yolo_balance.errors import ConfigError, DataError, HostError
from yolo_balance.files import copy_whole, write_whole
from yolo_balance.integration.compat import one_line
from yolo_balance.integration.data import resolve_data
from yolo_balance.integration.finished import class_shifts, final_files, recall_files
from yolo_balance.integration.finished.report_model import check_arguments, check_data, check_folder, finished_model
from yolo_balance.integration.finished.validate_once import validated
from yolo_balance.recall import RecallReport
from yolo_balance.run_folder import records

ARGUMENTS = "args.yaml"
TRAINING = (ARGUMENTS, "results.csv", *records.BY_EPOCH)
"""What a run's folder says of how it was trained, which stays true of it calibrated."""
READ_BY = (
    *("task", "data", "split", "imgsz", "device", "workers", "single_cls", "classes", "conf", "iou", "max_det"),
    *("agnostic_nms", "nms", "end2end", "augment", "overlap_mask", "plots"),
)
"""Arguments of a training that its last validation has too."""


def calibrate(
    run: str | Path,
    *,
    recall: RecallConfig | Mapping[str, Any] | str | Path | None = None,
    out: str | Path | None = None,
    **arguments: Any,
) -> RecallReport:
    """Leave what the run would have left with `balance.recall.calibration`, its weights included.

    The run itself stays as it is. A run that was calibrated is calibrated anew, from best_uncalibrated.pt.

    Args:
        run: Folder of a finished run.
        recall: `balance.recall`, or the YAML of a run it is taken from; the run's own when left out. Without a
            calibration in it, `{rule: fitted}`.
        out: Folder of the calibrated run, which gets `weights/best.pt`, the files that say how it was trained, and new
            ones of its recall; `<run>_calibrated` when left out.
        **arguments: What the host's `val` accepts, in place of the run's own, and dotted `balance.recall` keys.

    Returns:
        The report of the calibrated model, as in its recall.json.

    Raises:
        ConfigError: With every problem of the arguments, or for a folder that cannot be written.
        DataError: The folder is not of a finished run, or its data set is missing or unreadable.
        HostError: The model cannot be loaded, or its head has no biases by class.
    """
    source = Path(run)
    trained = Trained.load(source)
    given = {**trained.arguments, **arguments}
    options = check_arguments(trained.balance.recall if recall is None else recall, given)
    rule = options.calibration or CalibrationConfig(rule="fitted")
    options = options.model_copy(update={"calibration": rule})
    baseline = recall_files.read_baseline(options)
    folder = Path(f"{source}_calibrated" if out is None else out).resolve()
    if folder == source.resolve():
        raise ConfigError(f"--out: expected another folder than the run's, which stays as it is, got {folder}")
    check_folder(folder)
    model = finished_model(trained.weights, given.get("task"))
    class_shifts.class_layers(model.model)
    given["data"] = resolve_data(given["data"], model.task)
    check_data(model, options, {**model.overrides, **given})
    given |= {"project": str(folder.parent), "name": folder.name, "exist_ok": True}
    best = folder / "weights" / "best.pt"
    try:
        trained.copy(folder, options)
        copy_whole(trained.weights, best)
        before = validated(YOLO(best), options, **{**given, "plots": False})
        calibrated = class_shifts.calibrate(
            best,
            before.outcomes,
            rule,
            names=trained.names,
            counts=trained.counts,
            split=given["split"],
            seed=trained.seed,
            plan=folder / records.BALANCE,
        )
        return final_files.write(
            folder,
            validated(YOLO(best), options, **given),
            options,
            task=model.task,
            names=trained.names,
            steps=trained.measured.steps,
            train_seconds=trained.measured.train_seconds,
            calibrated=calibrated,
            baseline=baseline,
        )
    except OSError as e:  # a full disk, a working directory without permission
        raise HostError(f"calibrate: stopped ({one_line(e)})") from e


@dataclass(frozen=True)
class Trained:
    """What a finished run's folder says.

    Attributes:
        folder: It.
        weights: best.pt as it was trained.
        arguments: The host's, those that its last validation had.
        seed: The run's.
        balance: The section, as asked.
        plan: balance.yaml.
        measured: What it measured of itself.
    """

    folder: Path
    weights: Path
    arguments: dict[str, Any]
    seed: int
    balance: BalanceConfig
    plan: dict[str, Any]
    measured: Measured

    @classmethod
    def load(cls, folder: Path) -> Trained:
        """Read a run's folder; raises DataError in one line that names what is missing or unreadable."""
        weights = folder / "weights" / class_shifts.UNCALIBRATED
        if not weights.is_file():
            weights = folder / "weights" / "best.pt"
        for path in (weights, *(folder / name for name in (ARGUMENTS, records.BALANCE, left.FILE, records.RECALL))):
            if not path.is_file():
                raise DataError(f"{folder}: expected the folder of a finished run, but there is no {path}")
        arguments, plan = (_mapping(folder / name) for name in (ARGUMENTS, records.BALANCE))
        given = {key: arguments[key] for key in READ_BY if key in DEFAULT_CFG_DICT and arguments.get(key) is not None}
        if not torch.cuda.is_available():  # trained on another machine, maybe
            given.pop("device", None)
        batch = arguments.get("batch")
        if isinstance(batch, int) and batch > 0:
            given["batch"] = batch if arguments.get("task") == "obb" else 2 * batch  # as the host in training
        try:
            counted = all(isinstance(row["boxes"], int) for row in plan["resolved"]["classes"].values())
        except (TypeError, KeyError, AttributeError):
            counted = False
        if not counted:
            raise DataError(f"{folder / records.BALANCE}: expected resolved.classes with the boxes of each class")
        balance = BalanceConfig.load({SECTION: plan.get(SECTION)})
        return cls(folder, weights, given, arguments.get("seed") or 0, balance, plan, Measured.load(folder / left.FILE))

    @property
    def names(self) -> list[str]:
        """Class names by class id."""
        return [str(name) for name in self.plan["resolved"]["classes"]]

    @property
    def counts(self) -> list[int]:
        """(C,) boxes of each class in train."""
        return [row["boxes"] for row in self.plan["resolved"]["classes"].values()]

    def copy(self, folder: Path, options: RecallConfig) -> None:
        """Put what is known of the training into another folder, and take from there what is known of its recall."""
        (folder / "weights").mkdir(parents=True, exist_ok=True)
        for name in final_files.FILES:
            (folder / name).unlink(missing_ok=True)
        for name in TRAINING:
            if (self.folder / name).exists():
                copy_whole(self.folder / name, folder / name)
        resolved = {key: value for key, value in self.plan["resolved"].items() if key != "calibration"}
        resolved["options"] = {**resolved.get("options", {}), "recall": options.model_dump()}
        asked = {**(self.plan[SECTION] or {}), "recall": options.model_dump(exclude_unset=True)}
        content = {SECTION: asked, "resolved": resolved}
        write_whole(folder / records.BALANCE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _mapping(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as e:
        raise DataError(f"{path}: cannot be read ({one_line(e)})") from e
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected keys, got {type(content).__name__}")
    return content
