"""Console tables and remarks of a training: its plan, the weight of each class, and what it was shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from yolo_balance.arrays import Floats, Ints
from yolo_balance.config import SamplingConfig
from yolo_balance.run_folder.names import BALANCE, EXPOSURE
from yolo_balance.sampling import Exposure, SamplingSchedule
from yolo_balance.sampling.exposure import lost
from yolo_balance.sampling.feedback import WIDEST, fewest_objects, informative
from yolo_balance.sampling.group_exposure import GroupExposure
from yolo_balance.sampling.pastes import pasted_shares
from yolo_balance.sampling.statistics import shares
from yolo_balance.text import counted, listed
from yolo_balance.views.tables import class_table, rare_first, table

FACTORS = {"shown": "shown", "class_weight": "class weight", "isr": "ISR-P", "cls_pw": "cls_pw", "product": "product"}
MOST = 5  # classes named; a data set may have a thousand
RARE = "those with the fewest boxes"
SMALLEST = 2  # px; Ultralytics' augmentation drops boxes whose shorter side is no larger


def remarks(schedule: SamplingSchedule, names: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return remarks before training: options without use, classes that lean on one image, images drawn very often."""
    o, statistics, expectation = schedule.options, schedule.statistics, schedule.shown.expectation
    lines = []
    if unused := o.unused():
        lines.append(f"balance.sampling: strategy {o.strategy} has no use for {', '.join(unused)}")
    if o.groups is not None and not o.groups.shares:
        lines.append("balance.sampling.groups: no shares, so nothing is grouped")
    share, image = statistics.largest_image_shares(expectation)
    share = share * (1 - pasted_shares(statistics, schedule.shown))
    leaning = [c for c in np.argsort(-share, kind="stable") if share[c] > o.max_image_share]
    lines += [
        f"balance.sampling: {names[c]} gets {share[c]:.0%} of its boxes from one image, {Path(files[image[c]]).name}, "
        f"more than max_image_share {o.max_image_share:.0%}; it is on {counted(int(statistics.images[c]), 'image')}. "
        "Collect more images of it."
        for c in leaning[:MOST]
    ]
    if more := leaning[MOST:]:
        lines.append(f"balance.sampling: {counted(len(more), 'class', 'classes')} more lean on one image in this way")
    if o.max_repeat is not None and (often := np.flatnonzero(expectation > o.max_repeat + 1e-9)).size:
        most = often[np.argmax(expectation[often])]
        lines.append(
            f"balance.sampling: {len(often)} images are drawn more than max_repeat {o.max_repeat:g} times in an epoch "
            f"of {schedule.size} images, {Path(files[most]).name} {expectation[most]:.1f} times"
        )
    return lines


def feedback_line(names: Sequence[str], objects: Ints, confidence: float) -> str | None:
    """Return a line on the classes that val has too few objects of for feedback to follow; else None.

    Args:
        names: Class names by class id.
        objects: (C,) objects of each class in the split that validation reads.
        confidence: Level of the intervals.
    """
    frozen = np.flatnonzero(~informative(objects, confidence))
    if not frozen.size:
        return None
    found = [f"{names[c]} ({objects[c]})" for c in frozen[np.argsort(objects[frozen], kind="stable")]]
    rest = "feedback follows no class" if frozen.size == len(names) else "their factors stay as they are"
    return (
        f"balance.sampling.feedback: val is too small to steer by for {listed(found, MOST)}: {rest}. A class needs "
        f"{fewest_objects(confidence)} objects in val: with fewer, the {confidence:.0%} interval of its recall may be "
        f"wider than {WIDEST:g}"
    )


def plan_table(resolution: Any) -> str:
    """Return the resolution as a console table, one line per class."""
    title = (
        f"Balance: {resolution['images']} train images, {resolution['background_images']} of them background, "
        f"{resolution['images_per_epoch']} shown per epoch, {resolution['background_share']:.1%} of them background"
    )
    o = resolution["options"]["sampling"] or {}
    ends = (("open", "first"), ("close", "last"))
    if natural := [f"{end} {n if isinstance(n := o[key], int) else f'{n:.0%}'}" for key, end in ends if o.get(key)]:
        title += f"; epochs drawn as the data is: {', '.join(natural)}"
    forms = {"images": "d", "boxes": "d", "natural": ".2%", "factor": ".2f", "requested": ".2%"}
    forms["largest_image_share"] = ".2%"
    headings = ["class", "images", "boxes", "share of boxes", "factor", "share asked for", "most from one image"]
    if any(row["pasted"] for row in resolution["classes"].values()):
        forms["pasted"] = ".2%"
        headings.append("of it pasted")
    rows = [
        (name, *(f"{row[key]:{form}}" for key, form in forms.items())) for name, row in resolution["classes"].items()
    ]
    ranks = rare_first(row["boxes"] for row in resolution["classes"].values())
    classes = class_table(headings, rows, ranks, which=RARE, file=BALANCE)
    return "\n".join([title, classes, *_groups(resolution)])


def _groups(resolution: Any) -> list[str]:
    if not (groups := resolution.get("groups")):
        return []
    of = resolution["images"]
    rows = [
        (name, str(row["images"]), f"{row['images'] / of:.2%}", f"{row['requested']:.2%}")
        for name, row in groups.items()
    ]
    return ["", table(("group", "images", "share of images", "share asked for"), rows)]


def factors_table(resolution: Any) -> str:
    """Return the weight of an object by class, beside one of the commonest; empty if no loss has a part in it."""
    classes = resolution["classes"]
    if not all("product" in row for row in classes.values()):
        return ""
    given = {key: heading for key, heading in FACTORS.items() if all(key in row for row in classes.values())}
    rows = [(name, *(f"{row[key]:.2f}" for key in given)) for name, row in classes.items()]
    title = (
        "Weight of an object beside one of the commonest class: how often it is shown, times what the losses give it"
    )
    ranks = [(-row["product"],) for row in classes.values()]
    drawn = class_table(("class", *given.values()), rows, ranks, which="those with the largest product", file=BALANCE)
    return f"\n{title}\n{drawn}\n"


def deviation_line(exposure: Exposure, epoch: int, sampling: SamplingConfig | None, planned: int) -> str | None:
    """Return a line if an epoch was off its plan: by how much, why, and the share of boxes lost; else None.

    Args:
        exposure: The epoch's counts.
        epoch: Counted from 1.
        sampling: The section.
        planned: Images the plan has.
    """
    deviations = exposure.deviations()
    if sampling is None or sampling.partners:
        # The plan's own partners are dealt from the few images shown lately, three for each image that is shown. Their
        # classes vary more than independent draws do, and even out over epochs.
        deviations = [d for d in deviations if not d.partners or d.outside]
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
        f"{d.name} {d.drawn:.1%} of the boxes drawn, {d.requested:.1%} asked for, {taken[d.name]:.1%} lost"
        for d in sorted(deviations, key=lambda d: -abs(d.drawn - d.requested))
    ]
    return f"Exposure: epoch {epoch} is off its plan ({reason}): {'; '.join(off[:MOST])}" + (
        f"; and {len(off) - MOST} more classes" if len(off) > MOST else ""
    )


def unreached_lines(
    exposure: Exposure, classes: Sequence[int] | Ints, sides: Floats, epoch: int, imgsz: int
) -> list[str]:
    """Return a line for each class that was drawn and reached the network in no box, with the cause.

    Args:
        exposure: The epoch's counts.
        classes: Class ids.
        sides: The largest shorter side of the boxes of each of them, px at `imgsz`.
        epoch: Counted from 1.
        imgsz: Image size of the run.
    """
    lines = []
    for c, side in list(zip(classes, sides, strict=True))[:MOST]:
        cause = "no box was left after cropping and scaling; lower the arguments scale, translate, mosaic or mixup"
        if side <= SMALLEST:
            cause = (
                f"at imgsz {imgsz} its boxes are {side:.1f} px or less, and Ultralytics' augmentation drops boxes of "
                f"{SMALLEST} px or less; raise imgsz or cut the images into tiles"
            )
        drawn = counted(int(exposure.drawn[c]), "box", "boxes")
        lines.append(
            f"Exposure: {exposure.names[c]}: {drawn} drawn in epoch {epoch}, none reached the network: {cause}"
        )
    if more := len(classes) - len(lines):
        lines.append(f"Exposure: {counted(more, 'class', 'classes')} more reached the network in no box")
    return lines


def groups_table(exposure: GroupExposure) -> str:
    """Return the images of each group that were counted as a console table; partners are not counted."""
    columns = np.stack(list(map(shares, (exposure.natural, exposure.requested, exposure.total))), axis=1)
    rows = [
        (name, *(f"{share:.2%}" for share in row)) for name, row in zip(exposure.weights.names, columns, strict=True)
    ]
    headings = ("group", "in the data", "asked for", "drawn")
    return f"Groups: shares of the images that the loader drew\n{table(headings, rows)}"


def exposure_table(exposure: Exposure, last: int) -> str:
    """Return the exposure of the epochs that were counted, up to epoch `last`, as a console table.

    A run that was resumed counts the epochs since; the heading then names them.
    """
    drawn, reached, requested = map(shares, exposure.total)
    columns = np.stack([exposure.natural, requested, drawn, reached], axis=1)
    rows = [
        (name, *(f"{share:.2%}" for share in row), "-" if math.isnan(taken) else f"{taken:.1%}")
        for name, row, taken in zip(exposure.names, columns, lost(*exposure.total[:2]), strict=True)
    ]
    headings = ("class", "in the data", "asked for", "drawn", "reached", "lost")
    first = last - exposure.epochs + 1
    epochs = "all epochs" if first == 1 else f"epoch {last}" if first == last else f"epochs {first} to {last}"
    ranks = rare_first(exposure.statistics.boxes.tolist())
    return f"Exposure: shares of boxes over {epochs}\n{class_table(headings, rows, ranks, which=RARE, file=EXPOSURE)}"
