"""A YAML to start from, every number with the rule it came from and the counts that rule was given."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from yolo_balance import recipe
from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.box_sizes import TINY
from yolo_balance.analysis.split import Labels
from yolo_balance.analysis.val_needs import RECALL, boxes_for_verdict
from yolo_balance.config import BalanceConfig
from yolo_balance.errors import DataError
from yolo_balance.sampling import ClassStatistics
from yolo_balance.text import counted, listed, percent, plain

HEADER = "# Suggested by yolo_balance analyze"
IMAGE_SIZES = (320, 640, 960, 1280)
SUFFIXES = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb"}
WIDTH, COLUMN = 118, 30


def suggest(
    analysis: DataAnalysis,
    train: Labels,
    *,
    data: str,
    run: Mapping[str, Any],
    origins: Mapping[str, str],
    epochs: int,
    asked: BalanceConfig,
) -> str:
    """Write the text of a run's YAML.

    Args:
        analysis: The data set's figures.
        train: Its train labels.
        data: The data set as a run should name it.
        run: The run's stated train arguments, carried over.
        origins: Source of each of these arguments, as a comment.
        epochs: Ultralytics' own default.
        asked: The run's section. With `auto` its stated keys of `sampling` are carried over too.

    Raises:
        DataError: Nothing to suggest for: images are classified, or train has no box.
    """
    if analysis.task not in SUFFIXES:
        raise DataError(f"--suggest: expected data with boxes, got a data set for {analysis.task}")
    if not len(train.statistics.classes):
        raise DataError("--suggest: the train split has no object; expected at least one labelled box")
    lines = [
        f"{HEADER}; a starting point, not a result: the comment at a number is the rule it came from.",
        *_comment(f"Data: {plain(analysis.data)}; {counted(train.statistics.num_images, 'train image')}."),
        "",
        *_top(analysis, train, data, run, origins, epochs),
        "",
        "balance:",
        *_sampling(asked, train.statistics, list(analysis.splits["train"].classes)),
        *_recall(analysis),
    ]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------------------------------
# Ultralytics' keys
# ---------------------------------------------------------------------------------------------------------------------


def _top(
    analysis: DataAnalysis, train: Labels, data: str, run: Mapping[str, Any], origins: Mapping[str, str], epochs: int
) -> list[str]:
    imgsz, why = image_size(train)
    own = {
        "model": (f"yolo26n{SUFFIXES[analysis.task]}.pt", "the smallest of its family: a first run should be quick"),
        "data": (data, "the data set that was analysed"),
        "epochs": (epochs, "Ultralytics' own default"),
        "imgsz": (imgsz, why),
    }
    lines = []
    for key, (value, comment) in own.items():
        kept = key != "data" and run.get(key) is not None
        lines += _line(0, key, run[key] if kept else value, plain(origins[key]) if kept else comment)
    for key, value in run.items():
        if key not in own and value is not None:
            lines += _line(0, key, value, plain(origins[key]))
    return lines


def image_size(train: Labels) -> tuple[int, str]:
    """The smallest of the usual sizes at which nine of ten boxes are at least a cell of the finest grid, and why."""
    sizes = train.sizes(1)
    assert sizes is not None
    tenth = float(np.quantile(sizes[2], 0.1))
    chosen = next((size for size in IMAGE_SIZES if tenth * size >= TINY), IMAGE_SIZES[-1])
    usual = ", ".join(map(str, IMAGE_SIZES))
    if tenth * chosen < TINY:
        return chosen, f"the largest of {usual}; a tenth of the boxes is still under {TINY} px ({tenth * chosen:.1f})"
    return chosen, (
        f"the smallest of {usual} at which nine of ten boxes have at least {TINY} px, a cell of the finest grid "
        f"(10 % quantile: {tenth * chosen:.0f} px)"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Ours
# ---------------------------------------------------------------------------------------------------------------------


def _sampling(asked: BalanceConfig, statistics: ClassStatistics, names: Sequence[str]) -> list[str]:
    choices = recipe.sampling(asked if asked.auto else BalanceConfig(auto=True), statistics, names)
    if choices[0].value is None:
        return _line(2, "sampling", None, choices[0].why)
    values = {choice.key.rpartition(".")[2]: choice for choice in choices}
    lines = ["  sampling:"]
    for key, choice in values.items():
        lines += _line(4, key, choice.value, choice.why)
    if {"epoch_size", "background"} & set(values):
        return lines
    background = float(statistics.background.mean())
    length = f"as long as without balancing, {counted(statistics.num_images, 'image')}"
    length += f"; background stays {percent(background)}" if background else ""
    return lines + _line(4, "epoch_size", 1.0, length)


def _recall(analysis: DataAnalysis) -> list[str]:
    budgets, why = false_alarms(analysis)
    able = [plain(name) for name, need in analysis.needs.items() if need.n >= boxes_for_verdict()]
    unable = [f"{plain(n)} ({need.n})" for n, need in analysis.needs.items() if need.n < boxes_for_verdict()]
    targets = f"{RECALL:g} can be shown with {boxes_for_verdict()} objects in val or more: "
    targets += f"{listed(able) or 'no class'}" + (f"; not for {listed(unable)}" if unable else "")
    return [
        "  recall:",
        *_line(4, "iou", 0.5, "a box finds an object from here on: Ultralytics' lowest matching threshold"),
        *_line(4, "confidence", 0.95, "level of the intervals, the customary one"),
        *_line(4, "false_alarms", budgets, why),
        *_line(4, "targets", None, targets),
    ]


def false_alarms(analysis: DataAnalysis) -> tuple[list[float], str]:
    """Budgets that val can measure, and why: with n clean images the lowest rate above zero is 1 / n."""
    val = analysis.splits.get("val")
    if val is None:
        return [0.1, 1.0], "one false box per ten defect-free images, and one per image; there is no val split yet"
    clean, what = (val.background, "defect-free image") if val.background else (val.images, "image")
    basis = f"false boxes per {what}; val has {clean}{'' if val.background else ' and none that is defect-free'}"
    step = math.ceil(100 / clean) / 100
    if clean >= 10:
        return [0.1, 1.0], f"{basis}, so the smallest step is {1 / clean:.2g}"
    return ([step, 1.0] if step < 1 else [1.0]), f"{basis}: nothing between 0 and {step:g} can be measured"


# ---------------------------------------------------------------------------------------------------------------------
# Lines
# ---------------------------------------------------------------------------------------------------------------------


def _line(indent: int, key: str, value: Any, comment: str) -> list[str]:
    """`key: value  # comment`, the comment going on in lines of its own below; above it where the value is long."""
    text = f"{' ' * indent}{key}: {_scalar(value)}"
    if len(text) > WIDTH - 50:
        return [*(f"{' ' * indent}{line}" for line in _comment(comment)), text]
    column = max(COLUMN, len(text) + 2)
    first, *rest = _comment(comment, WIDTH - column)
    return [f"{text:<{column}}{first}", *(f"{'':<{column}}{line}" for line in rest)]


def _comment(text: str, width: int = WIDTH) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, width - 2, break_long_words=False, break_on_hyphens=False)]


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n").strip()
