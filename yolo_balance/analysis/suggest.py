"""A YAML to start from, every number with the rule it came from and the counts that rule was given."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import yaml

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.needs import RECALL, boxes_for_verdict
from yolo_balance.analysis.sizes import TINY
from yolo_balance.analysis.split import Labels
from yolo_balance.config import SamplingConfig
from yolo_balance.errors import DataError
from yolo_balance.sampling import ClassStatistics, SamplingSchedule
from yolo_balance.words import counted, listed, percent, plain

HEADER = "# Suggested by yolo_balance analyze"
STEEP = 20  # images of the largest class per image of the smallest from which the inverse frequency is suggested
MOST_REPEATS = 8.0
IMAGE_SIZES = (320, 640, 960, 1280)
SUFFIXES = {"detect": "", "segment": "-seg", "pose": "-pose", "obb": "-obb"}
WIDTH, COLUMN = 118, 30


def suggest(
    analysis: DataAnalysis, train: Labels, *, data: str, run: Mapping[str, Any], origins: Mapping[str, str], epochs: int
) -> str:
    """The text of a run's YAML.

    Args:
        analysis: The data set's figures.
        train: Its train labels.
        data: The data set as a run should name it.
        run: What was said of the run, Ultralytics' keys at the top level; carried over as it is.
        origins: Where each of its keys was said, as a comment.
        epochs: Ultralytics' own default.

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
        *_sampling(analysis, train.statistics),
        "  losses:",
        *_line(4, "focal", {"beta": 1.0}, "as in cfg/defects.yaml, where it was measured; the sum of the loss is kept"),
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


def _sampling(analysis: DataAnalysis, statistics: ClassStatistics) -> list[str]:
    images, total = statistics.images, statistics.num_images
    present = np.flatnonzero(images)
    smallest, largest = int(images[present].min()), int(images.max())
    ratio = largest / smallest
    if ratio == 1:
        reason = "one class only" if len(present) == 1 else f"every class is in {counted(smallest, 'image')}"
        return _line(2, "sampling", None, f"{reason}: there is nothing to balance")

    middle = float(np.median(images[present])) / total
    threshold: float | Literal["median"] = "median"
    t = middle
    why_threshold = (
        f"classes in fewer than {percent(middle)} of the images, as many as the median class's, are repeated"
    )
    if middle <= smallest / total:
        t = threshold = math.ceil(1e4 * math.sqrt(smallest * largest) / total) / 1e4
        why_threshold = (
            f"sqrt(smallest {percent(smallest / total)} x largest {percent(largest / total)}) of the images: "
            "the median class is as rare as the rarest, so that it would repeat nothing"
        )
    power = 1.0 if ratio >= STEEP else 0.5
    why_power = (
        f"the largest class is in {ratio:.3g} times the images of the smallest ({largest} and {smallest}): from "
        f"{STEEP} on the inverse frequency (1.0), below it the published square root (0.5)"
    )
    wanted = (t * total / smallest) ** power
    cap = min(max(math.ceil(2 * wanted) / 2, 1.0), MOST_REPEATS)
    names = list(analysis.splits["train"].classes)
    rarest = int(present[np.argmin(images[present])])
    options = SamplingConfig(threshold=threshold, power=power, max_repeat=cap)
    plan = SamplingSchedule(options, statistics, names, seed=0).balanced
    one_image = statistics.largest_image_shares(plan.expectation)[0][rarest]
    why_cap = (
        f"({percent(t)} / {percent(smallest / total)})^{power:g} = {wanted:.3g} for {plain(names[rarest])}, rounded up "
        f"to a half, at most {MOST_REPEATS:g}; one image then supplies {one_image:.0%} of its "
        "boxes in an epoch"
    )
    background = float(statistics.background.mean())
    lines = [
        "  sampling:",
        *_line(4, "strategy", "repeat_factor", "images are repeated by their rarest class (LVIS, 2019)"),
        *_line(4, "threshold", threshold, why_threshold),
        *_line(4, "power", power, why_power),
        *_line(4, "max_repeat", cap, why_cap),
        *_line(
            4,
            "epoch_size",
            1.0,
            f"as long as without balancing, {counted(total, 'image')}"
            + (f"; background stays {percent(background)}" if background else ""),
        ),
        *_line(4, "partners", True, "else Mosaic and MixUp take their other images as if nothing were balanced"),
    ]
    if background**4 > 0.25:
        why = (
            f"{percent(background)} background: by chance {percent(background)}^4 = {percent(background**4)} of the "
            "mosaics, more than a quarter, would have four empty tiles"
        )
        lines += _line(4, "foreground_mosaic", True, why)
    return lines


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
