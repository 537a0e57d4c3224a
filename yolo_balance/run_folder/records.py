"""The files a run leaves beside its weights."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.table import Table
from rich.text import Text

from yolo_balance.arrays import Bools, Floats
from yolo_balance.config import BalanceConfig, SamplingConfig
from yolo_balance.files import csv_text, write_whole
from yolo_balance.losses import ClassFactors
from yolo_balance.recall import RecallReport
from yolo_balance.sampling import ClassStatistics, Exposure, SamplingSchedule, class_plans
from yolo_balance.sampling.exposure import lost
from yolo_balance.sampling.statistics import shares
from yolo_balance.text import plain
from yolo_balance.views.tables import plain_text

EXPOSURE, RECALL_ROWS, RECALL, BALANCE = "exposure.csv", "recall.csv", "recall.json", "balance.yaml"
FEEDBACK, PRIME_SAMPLES = "feedback.csv", "prime_samples.png"
BY_EPOCH = (EXPOSURE, RECALL_ROWS, FEEDBACK)
FEEDBACK_COLUMNS = ("epoch", "class", "n", "recall", "low", "smoothed", "factor", "frozen")
FACTORS = {"shown": "shown", "class_weight": "class weight", "isr": "ISR-P", "product": "product"}
MOST = 5  # classes named in one remark; a data set may have a thousand


def append_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Append rows to a CSV file, with a header if it is new."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([columns, *rows] if new else rows)


def keep_epochs(path: Path, last: int) -> None:
    """Drop the rows after epoch `last`, which a run that resumes there writes again."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as f:
        header, *rows = csv.reader(f)
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([header, *(row for row in rows if int(row[0]) <= last)])


def feedback_rows(
    epoch: int, names: Sequence[str], report: RecallReport, smoothed: Floats, factors: Floats, moved: Bools
) -> list[tuple[str, ...]]:
    """One row per class in the order of FEEDBACK_COLUMNS; empty fields where there is no data."""
    classes = report.budgets[0].classes
    return [
        (
            str(epoch),
            csv_text(name),
            str(classes[name].n),
            *(_decimals(value) for value in (classes[name].recall, classes[name].low, s, factor)),
            str(int(not told)),
        )
        for name, s, factor, told in zip(names, smoothed, factors, moved, strict=True)
    ]


def _decimals(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.5f}"


def resolved(
    config: BalanceConfig,
    statistics: ClassStatistics,
    names: Sequence[str],
    schedule: SamplingSchedule | None,
    factors: ClassFactors | None,
) -> dict[str, Any]:
    """What the configuration became: its options with defaults; on this data, counts, factors and shares by class."""
    expectation = np.ones(statistics.num_images) if schedule is None else schedule.balanced.expectation
    losses = config.losses
    classes = {name: asdict(plan) for name, plan in class_plans(statistics, names, schedule).items()}
    if factors is not None and factors.by_loss:
        for row, weights in zip(classes.values(), factors.rows(), strict=True):
            row.update(weights)
    return {
        "options": (config if losses is None else config.model_copy(update={"losses": losses.resolved()})).model_dump(),
        "images": statistics.num_images,
        "background_images": int(statistics.background.sum()),
        "images_per_epoch": statistics.num_images if schedule is None else schedule.size,
        "background_share": round(float(expectation[statistics.background].sum() / expectation.sum()), 5),
        "classes": classes,
    }


def remarks(schedule: SamplingSchedule, names: Sequence[str], files: Sequence[str]) -> list[str]:
    """What a user should know before training starts: options without use, and images a class leans on too much."""
    o, statistics, expectation = schedule.options, schedule.statistics, schedule.balanced.expectation
    lines = []
    if unused := o.unused():
        lines.append(f"balance.sampling: strategy {o.strategy} has no use for {', '.join(unused)}")
    share, image = statistics.largest_image_shares(expectation)
    leaning = [
        f"{names[c]} {share[c]:.0%} ({Path(files[image[c]]).name}, {statistics.images[c]} distinct images)"
        for c in np.argsort(-share, kind="stable")
        if share[c] > o.max_image_share
    ]
    if leaning:
        lines.append(
            f"balance.sampling: one image supplies more than max_image_share {o.max_image_share:.0%} of a class's "
            f"boxes in an epoch, which invites overfitting: {some(leaning)}"
        )
    if o.max_repeat is not None and (often := np.flatnonzero(expectation > o.max_repeat + 1e-9)).size:
        most = often[np.argmax(expectation[often])]
        lines.append(
            f"balance.sampling: {len(often)} images are drawn more than max_repeat {o.max_repeat:g} times in an epoch "
            f"of {schedule.size} images, {Path(files[most]).name} {expectation[most]:.1f} times"
        )
    return lines


def some(items: Sequence[str], most: int = MOST) -> str:
    """The first few items in words."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")


def write_balance(path: Path, config: BalanceConfig, resolution: Any) -> None:
    """Write `balance.yaml`: the configuration as asked, and as resolved on the data."""
    content = {"balance": config.model_dump(exclude_unset=True), "resolved": resolution}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def add_resolved(path: Path, key: str, resolution: Any) -> None:
    """Add to what `balance.yaml` says of the resolution, whole or not at all."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["resolved"][key] = resolution
    write_whole(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def plan_table(resolution: Any) -> str:
    """The resolution as a console table, one line per class."""
    title = (
        f"Balance: {resolution['images']} train images, {resolution['background_images']} of them background, "
        f"{resolution['images_per_epoch']} shown per epoch, {resolution['background_share']:.1%} of them background"
    )
    o = resolution["options"]["sampling"] or {}
    ends = (("open", "first"), ("close", "last"))
    if natural := [f"{end} {n if isinstance(n := o[key], int) else f'{n:.0%}'}" for key, end in ends if o.get(key)]:
        title += f"; epochs drawn as the data is: {', '.join(natural)}"
    rows = [
        (
            name,
            str(row["images"]),
            str(row["boxes"]),
            f"{row['natural']:.2%}",
            f"{row['factor']:.2f}",
            f"{row['requested']:.2%}",
            f"{row['largest_image_share']:.2%}",
        )
        for name, row in resolution["classes"].items()
    ]
    headings = ("class", "images", "boxes", "share of boxes", "factor", "share asked for", "most from one image")
    return f"{title}\n{_table(headings, rows)}"


def factors_table(resolution: Any) -> str:
    """What an object of each class counts, beside one of the commonest; empty if the losses have no part in it."""
    classes = resolution["classes"]
    if not all("product" in row for row in classes.values()):
        return ""
    rows = [(name, *(f"{row[key]:.2f}" for key in FACTORS)) for name, row in classes.items()]
    title = (
        "Weight of an object beside one of the commonest class: how often it is shown, times what the losses give it"
    )
    return f"\n{title}\n{_table(('class', *FACTORS.values()), rows)}\n"


def deviation_line(exposure: Exposure, epoch: int, sampling: SamplingConfig | None, planned: int) -> str | None:
    """One line if an epoch was off its plan: by how much, why, and what cropping took; None if it was not.

    Args:
        exposure: The epoch's counts.
        epoch: Counted from 1.
        sampling: The section.
        planned: Images the plan has.
    """
    deviations = exposure.deviations()
    if not deviations:
        return None
    if exposure.images < planned:
        reason = f"the epoch ended after {exposure.images} of {planned} images"
    elif not any(d.partners for d in deviations):
        reason = "the loader gave other images than the plan"
    elif sampling is not None and not sampling.partners:
        reason = "tiles and partners are left to Ultralytics (partners: false)"
    else:
        reason = "tiles or partners were picked outside the plan, by a transform of another kind"
    taken = dict(zip(exposure.names, lost(exposure.drawn, exposure.reached), strict=True))
    off = [
        f"{d.name} {d.drawn:.1%} of the boxes drawn, {d.requested:.1%} asked for, {taken[d.name]:.1%} lost to cropping"
        for d in sorted(deviations, key=lambda d: -abs(d.drawn - d.requested))
    ]
    return f"Exposure: epoch {epoch} is off its plan ({reason}): {'; '.join(off[:MOST])}" + (
        f"; and {len(off) - MOST} more classes" if len(off) > MOST else ""
    )


def exposure_table(exposure: Exposure) -> str:
    """What the run was shown, all its epochs together, as a console table."""
    drawn, reached, requested = map(shares, exposure.total)
    taken = lost(*exposure.total[:2])
    rows = [
        (
            name,
            f"{exposure.natural[c]:.2%}",
            f"{requested[c]:.2%}",
            f"{drawn[c]:.2%}",
            f"{reached[c]:.2%}",
            "-" if math.isnan(taken[c]) else f"{taken[c]:.1%}",
        )
        for c, name in enumerate(exposure.names)
    ]
    headings = ("class", "in the data", "asked for", "drawn", "reached", "lost to cropping")
    return f"Exposure: shares of boxes over all epochs\n{_table(headings, rows)}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return plain_text(table)
