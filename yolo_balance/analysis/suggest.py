"""Suggest a YAML to start from: every number with its rule and the counts that went into the rule."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import yaml

from yolo_balance import recipe
from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.box_sizes import TINY
from yolo_balance.analysis.split import Labels
from yolo_balance.config import BalanceConfig
from yolo_balance.errors import DataError
from yolo_balance.recall.evidence.needs import RECALL, boxes_for_verdict
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
    run: Mapping[str, object],
    origins: Mapping[str, str],
    epochs: int,
    asked: BalanceConfig,
) -> str:
    """Build the text of a run's YAML.

    Args:
        analysis: The data set's figures.
        train: Labels of the train split.
        data: The data set as a run should name it.
        run: Keys of the run that the user stated, Ultralytics' keys at the top level; copied unchanged.
        origins: Comment by key of `run`: where the user stated it.
        epochs: Default of Ultralytics.
        asked: The run's section. With `auto` the keys that it states of `sampling` are copied too.

    Raises:
        DataError: Images are classified, or train has no box.
    """
    if analysis.task not in SUFFIXES:
        raise DataError(f"--suggest: expected data with boxes, got a data set for {analysis.task}")
    if not len(train.statistics.classes):
        raise DataError("--suggest: the train split has no object; expected at least one labelled box")
    lines = [
        f"{HEADER}; a starting point, not a result. The comment at each number gives its rule.",
        *_comment(f"Data: {plain(analysis.data)}; {counted(train.statistics.num_images, 'train image')}."),
        "",
        *_top(analysis, train, data, run, origins, epochs),
        "",
        "balance:",
        *_sampling(asked, train.statistics, list(analysis.splits["train"].classes)),
        *_recall(analysis),
    ]
    return "\n".join(lines) + "\n"


def _top(
    analysis: DataAnalysis, train: Labels, data: str, run: Mapping[str, object], origins: Mapping[str, str], epochs: int
) -> list[str]:
    imgsz, why = image_size(train)
    own = {
        "model": (f"yolo26n{SUFFIXES[analysis.task]}.pt", "the smallest of its family, for a quick first run"),
        "data": (data, "the analysed data set"),
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
    """Choose the smallest usual size at which nine of ten boxes fill a cell of the finest grid; say why."""
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
    length = f"as long as without balancing: {counted(statistics.num_images, 'image')}"
    length += f"; background stays {percent(background)}" if background else ""
    return lines + _line(4, "epoch_size", 1.0, length)


def _recall(analysis: DataAnalysis) -> list[str]:
    budgets, why = false_alarms(analysis)
    enough = [plain(name) for name, need in analysis.needs.items() if need.n >= boxes_for_verdict()]
    too_few = [f"{plain(n)} ({need.n})" for n, need in analysis.needs.items() if need.n < boxes_for_verdict()]
    targets = (
        f"a target of {RECALL:g} takes {boxes_for_verdict()} objects in val: enough for {listed(enough) or 'no class'}"
    )
    targets += f"; too few for {listed(too_few)}" if too_few else ""
    return [
        "  recall:",
        *_line(4, "iou", 0.5, "a box finds an object at this overlap or more: Ultralytics' lowest matching threshold"),
        *_line(4, "confidence", 0.95, "level of the intervals; .95 is customary"),
        *_line(4, "false_alarms", budgets, why),
        *_line(4, "targets", None, targets),
    ]


def false_alarms(analysis: DataAnalysis) -> tuple[list[float], str]:
    """Choose budgets that val can measure, and say why: with n clean images the lowest rate above zero is 1 / n."""
    val = analysis.splits.get("val")
    if val is None:
        return [0.1, 1.0], "one false box per ten defect-free images, and one per image; there is no val split yet"
    clean, what = (val.background, "defect-free image") if val.background else (val.images, "image")
    basis = f"false boxes per {what}; val has {clean}{'' if val.background else ', none of them defect-free'}"
    step = math.ceil(100 / clean) / 100
    if clean >= 10:
        return [0.1, 1.0], f"{basis}, so the smallest step is {1 / clean:.2g}"
    return ([step, 1.0] if step < 1 else [1.0]), f"{basis}, so nothing between 0 and {step:g} can be measured"


def _line(indent: int, key: str, value: object, comment: str) -> list[str]:
    """Write `key: value  # comment`; a long comment goes on below, and above the key where the value is long."""
    text = f"{' ' * indent}{key}: {_scalar(value)}"
    if len(text) > WIDTH - 50:
        return [*(f"{' ' * indent}{line}" for line in _comment(comment)), text]
    column = max(COLUMN, len(text) + 2)
    first, *rest = _comment(comment, WIDTH - column)
    return [f"{text:<{column}}{first}", *(f"{'':<{column}}{line}" for line in rest)]


def _comment(text: str, width: int = WIDTH) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, width - 2, break_long_words=False, break_on_hyphens=False)]


def _scalar(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return text.removesuffix("...\n").strip()
