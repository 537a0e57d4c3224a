"""`calibrate`: a finished run with adjusted class scores, in a folder of its own, without another training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from ultralytics import YOLO
from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_balance.bounded_files import checked
from yolo_balance.config import SECTION, BalanceConfig, RecallConfig, read_yaml
from yolo_balance.config.recall import CalibrationConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import copy_whole
from yolo_balance.integration.data import class_names, resolve_data
from yolo_balance.integration.finished import class_shifts, final_files
from yolo_balance.integration.finished.report_model import check_arguments, check_data, check_folder, finished_model
from yolo_balance.integration.finished.validate_once import reading_of, validated
from yolo_balance.integration.outside_errors import outside_errors
from yolo_balance.ranges import Count
from yolo_balance.recall import RecallReport
from yolo_balance.run_folder import names
from yolo_balance.run_folder.balance_file import BalanceFile
from yolo_balance.run_folder.measured import Measured
from yolo_balance.text import listed

TRAINING = (names.ARGUMENTS, names.RESULTS, *names.EPOCH_ROWS)
"""Files on the training of a run, which stay true of the calibrated run."""
READ_BY = (
    *("task", "data", "split", "imgsz", "device", "workers", "single_cls", "classes", "conf", "iou", "max_det"),
    *("agnostic_nms", "nms", "end2end", "augment", "overlap_mask", "plots"),
)
"""Arguments of a training that its last validation uses too."""


@dataclass(frozen=True)
class _Trained:
    seed: Count | None = None


def calibrate(
    run: str | Path,
    *,
    recall: RecallConfig | Mapping[str, object] | str | Path | None = None,
    out: str | Path | None = None,
    **arguments: object,
) -> RecallReport:
    """Write the folder that the run would have left with `balance.recall.calibration`, weights included.

    The run itself stays as it is. A run that was calibrated before is calibrated anew, from best_uncalibrated.pt.

    Args:
        run: Folder of a finished run.
        recall: `balance.recall`, or the YAML of a run that holds it; the run's own when left out. Without a
            calibration in it, `{rule: fitted}`.
        out: Folder of the calibrated run, which gets `weights/best.pt`, the files on its training, and new files on
            its recall; `<run>_calibrated` when left out.
        **arguments: Arguments of Ultralytics' `val`, in place of the run's own, and dotted `balance.recall` keys.

    Returns:
        The report of the calibrated model, as in its recall.json.

    Raises:
        ConfigError: With every problem of the arguments, or for a folder that cannot be written.
        DataError: The folder is not of a finished run, or its data set is missing or unreadable.
        HostError: The model cannot be loaded, or its head has no biases by class; or the calibration was stopped from
            outside, as by a full disk.
    """
    source = Path(run)
    weights = _weights(source)
    trained, plan, measured = read_yaml(source / names.ARGUMENTS), BalanceFile.load(source), Measured.load(source)
    seed = checked(_Trained, trained, source / names.ARGUMENTS).seed or 0
    given = {**_of_validation(trained), **arguments}
    own = BalanceConfig.load({SECTION: plan.asked}).recall
    options = check_arguments(own if recall is None else recall, given)
    rule = options.calibration or CalibrationConfig(rule="fitted")
    options = options.model_copy(update={"calibration": rule})
    baseline = final_files.read_baseline(options)
    folder = Path(f"{source}_calibrated" if out is None else out).resolve()
    if folder == source.resolve():
        raise ConfigError(f"--out: expected another folder than the run's, which stays as it is, got {folder}")
    check_folder(folder)
    model = finished_model(weights, given.get("task"))
    class_shifts.class_layers(model.model)
    given["data"] = resolve_data(given["data"], model.task)
    check_data(model, options, {**model.overrides, **given})
    if (known := class_names(model.names)) != list(plan.classes):
        raise DataError(
            f"{source / names.BALANCE}: resolved.classes: expected the classes of {weights.name}, {listed(known)}, "
            f"got {listed(list(plan.classes))}"
        )
    given |= {"project": str(folder.parent), "name": folder.name, "exist_ok": True}
    best = folder / names.WEIGHTS / names.BEST
    with outside_errors("calibrate", lambda: folder):
        _copy(source, folder)
        copy_whole(weights, best)
        resolved = {key: value for key, value in plan.resolved.items() if key != "calibration"}
        resolved["options"] = {**resolved.get("options", {}), "recall": options.model_dump()}
        BalanceFile({**(plan.asked or {}), "recall": options.model_dump(exclude_unset=True)}, resolved).save(folder)
        before = reading_of(validated(YOLO(best), options, **{**given, "plots": False}))
        calibrated = class_shifts.calibrate(
            folder,
            before.outcomes,
            rule,
            counts={name: row["boxes"] for name, row in plan.classes.items()},
            split=str(given["split"]),
            seed=seed,
        )
        return final_files.write_run(
            folder,
            validated(YOLO(best), options, **given),
            steps=measured.steps,
            train_seconds=measured.train_seconds,
            baseline=baseline,
            calibrated=calibrated,
        )


def _weights(run: Path) -> Path:
    """Return best.pt as it was trained. Raises DataError in one line that names a file that the run's folder lacks."""
    weights = run / names.WEIGHTS / names.UNCALIBRATED
    if not weights.is_file():
        weights = run / names.WEIGHTS / names.BEST
    needed = (names.ARGUMENTS, names.BALANCE, names.MEASURED, names.RECALL)
    for path in (weights, *(run / name for name in needed)):
        if not path.is_file():
            raise DataError(f"{run}: expected the folder of a finished run, but there is no {path}")
    return weights


def _of_validation(trained: Mapping[str, object]) -> dict[str, object]:
    """Return Ultralytics' arguments of a run's last validation, from the arguments of the training."""
    given = {key: trained[key] for key in READ_BY if key in DEFAULT_CFG_DICT and trained.get(key) is not None}
    if not torch.cuda.is_available():  # trained on another machine, maybe
        given.pop("device", None)
    batch = trained.get("batch")
    if isinstance(batch, int) and batch > 0:
        given["batch"] = batch if trained.get("task") == "obb" else 2 * batch  # as Ultralytics in training
    return given


def _copy(run: Path, folder: Path) -> None:
    """Copy the files on the training into another folder, and remove files on recall from there."""
    (folder / names.WEIGHTS).mkdir(parents=True, exist_ok=True)
    for name in names.OF_BEST:
        (folder / name).unlink(missing_ok=True)
    for name in TRAINING:
        if (run / name).exists():
            copy_whole(run / name, folder / name)
