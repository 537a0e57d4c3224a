"""The resolution of a configuration on data: every check and every derived value of a run, in one place.

`train`, `attach`, `analyze` and `compare` all call `resolve`. Pure: Ultralytics' train arguments arrive as a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from yolo_balance import recipe
from yolo_balance.arrays import Floats, Ints
from yolo_balance.config import SECTION, BalanceConfig, LossesConfig, PasteConfig, RecallConfig, SamplingConfig
from yolo_balance.config.sampling import epochs_of
from yolo_balance.config.synthesis import RARE
from yolo_balance.errors import ConfigError
from yolo_balance.sampling import ClassStatistics, SamplingSchedule
from yolo_balance.sampling.image_weights import ImageWeights
from yolo_balance.sampling.pastes import PasteWish, rare_classes, requested_shares
from yolo_balance.text import listed


@dataclass(frozen=True)
class ResolvedBalance:
    """A configuration on a data set.

    Attributes:
        asked: The section as it was stated.
        config: The complete section: the keys that `auto` and `pisa` stand for are filled in.
        names: Class names by class id.
        statistics: The train split's labels.
        explained: With `auto`, a line per key of `balance.sampling` with its rule, or marked as stated; else empty.
        schedule: The plan of each epoch before anything is learnt, None without `balance.sampling`.
        shown: (C,) share of a balanced epoch's boxes by class, pastes included.
        files: Images of the train split.
        objects: (C,) objects of each class that can be cut out and pasted; None where nobody has looked.
        made: (C,) boxes of each class in images made elsewhere; None without.
    """

    asked: BalanceConfig
    config: BalanceConfig
    names: tuple[str, ...]
    statistics: ClassStatistics
    explained: tuple[str, ...]
    schedule: SamplingSchedule | None
    shown: Floats
    files: tuple[str, ...] = ()
    objects: Ints | None = None
    made: Ints | None = None

    @property
    def images_per_epoch(self) -> int:
        """Images that an epoch shows."""
        return self.statistics.num_images if self.schedule is None else self.schedule.size


def resolve(
    asked: BalanceConfig,
    statistics: ClassStatistics,
    names: Sequence[str],
    arguments: Mapping[str, Any],
    files: Sequence[str] = (),
    *,
    objects: Ints | None = None,
    made: Ints | None = None,
) -> ResolvedBalance:
    """Resolve a configuration on the train split's labels.

    Args:
        asked: The section as it was stated.
        statistics: The train split's labels.
        names: Class names by class id.
        arguments: The run's train arguments, complete with Ultralytics' defaults (`arguments.complete`).
        files: Images of the train split, of which `sampling.groups` and `sampling.images` need the names.
        objects: (C,) objects of each class that can be cut out and pasted; None for all boxes.
        made: (C,) boxes of each class in images made elsewhere; None without.

    Raises:
        ConfigError: With every problem: classes that the data does not have, arguments that contradict the section,
            background images or objects to paste that are asked for and not there.
    """
    problems = name_problems(asked, names)
    config, choices = (asked, []) if problems else recipe.fill(asked, statistics, names)
    if problems := problems + conflicts(config, arguments):
        raise ConfigError(problems)
    if config.losses is not None:
        config = config.model_copy(update={"losses": config.losses.resolved()})
    schedule, wish = None, None
    if config.synthetic:
        wish = paste_wish(config, statistics, names, objects, made)
    sampling = config.sampling or (None if wish is None else SamplingConfig(power=0.0))
    if sampling is not None:
        data = Path(str(arguments.get("data") or ""))  # a YAML, or a folder of class folders
        weights = ImageWeights.read(sampling, files, data if data.is_dir() else data.parent)
        schedule = SamplingSchedule(sampling, statistics, names, arguments["seed"], weights, wish)
    return ResolvedBalance(
        asked,
        config,
        tuple(names),
        statistics,
        tuple(choice.line for choice in choices),
        schedule,
        requested_shares(statistics, None if schedule is None else schedule.shown),
        tuple(files),
        objects,
        made,
    )


def paste_wish(
    config: BalanceConfig,
    statistics: ClassStatistics,
    names: Sequence[str],
    objects: Ints | None = None,
    made: Ints | None = None,
) -> PasteWish | None:
    """Return what is to be pasted: the classes, and how often at most; None where no class is rare.

    Images made elsewhere count as pastes of the same classes, or of all their classes where nothing is pasted.

    Args:
        config: The section. Its classes are names of the data.
        statistics: The train split's labels.
        names: Class names by class id.
        objects: (C,) objects of each class that can be cut out; None for all boxes.
        made: (C,) boxes of each class in images made elsewhere; None without.

    Raises:
        ConfigError: No object of the classes, or of a class that is named, can be cut out, or no train image is clean.
    """
    if config.made is not None and not statistics.background.any():
        raise ConfigError(
            f"{SECTION}.synthesis.folder: expected clean train images, whose place the made ones take, but all "
            f"{statistics.num_images} have objects"
        )
    options, alone = config.paste, config.sampling is None
    if options is None:
        options, made = PasteConfig(), np.zeros(len(names), np.int64) if made is None else made
        return PasteWish(made, options.p, options.max_objects, options.share, options.close, alone)
    key = f"{SECTION}.synthesis.paste"
    objects = statistics.boxes if objects is None else objects
    if options.classes == RARE:
        chosen = rare_classes(statistics.boxes)
        if not chosen.any():
            return None
    else:
        chosen = np.isin(np.arange(len(names)), [names.index(name) for name in options.classes])
    without = [f"{names[c]} ({statistics.boxes[c]} boxes)" for c in np.flatnonzero(chosen & (objects == 0)).tolist()]
    if without and (options.classes != RARE or not objects[chosen].any()):
        raise ConfigError(
            f"{key}.classes: no object to cut of {listed(without)}; boxes over a quarter of the image, at two of its "
            "borders or under other boxes are not cut"
        )
    wished = np.where(chosen, objects + (0 if made is None else made), 0)
    return PasteWish(wished, options.p, options.max_objects, options.share, options.close, alone)


# ---------------------------------------------------------------------------------------------------------------------
# Checks, one line per problem
# ---------------------------------------------------------------------------------------------------------------------


def name_problems(config: BalanceConfig, names: Sequence[str]) -> list[str]:
    """Return a line per class that the section names and the data does not have."""
    weights = None if config.losses is None else config.losses.class_weights
    costs, paste = config.recall.costs, config.paste
    sections = {
        "recall.targets": config.recall.targets,
        "recall.costs.escape": costs.escape if costs is not None and isinstance(costs.escape, dict) else None,
        "sampling.classes": None if config.sampling is None else config.sampling.classes,
        "losses.class_weights": weights and weights.values,
        "synthesis.paste.classes": None if paste is None or paste.classes == RARE else paste.classes,
        "synthesis.paste.keep_out": None if paste is None else paste.keep_out,
    }
    return [
        f"{SECTION}.{section}.{name}: the data has no class {name}, its classes are {', '.join(names)}"
        for section, classes in sections.items()
        for name in classes or {}
        if name not in names
    ]


def conflicts(config: BalanceConfig, arguments: Mapping[str, object]) -> list[str]:
    """Return a line per train argument that contradicts the section; needs no data.

    Args:
        config: The section, before or after `auto` is filled in.
        arguments: The run's train arguments, complete with Ultralytics' defaults.
    """
    return [
        *(_classification_problems(config) if arguments["task"] == "classify" else ()),
        *_sampling_problems(config.sampling, arguments),
        *_paste_problems(config.paste or (PasteConfig(close=0) if config.synthetic else None), arguments),
        *_loss_problems(config.losses, arguments),
        *_checkpoint_problems(config.recall, arguments),
    ]


def _classification_problems(config: BalanceConfig) -> list[str]:
    s = config.sampling
    without_part = {
        "sampling.background": s and s.background,
        "sampling.foreground_mosaic": s and s.foreground_mosaic,
        "sampling.feedback": s and s.feedback,
        "synthesis": config.synthetic,
        "recall.units": config.recall.units,
        "recall.best": config.recall.best != "fitness",
        "recall.calibration": config.recall.calibration,
    }
    return [f"{SECTION}.{key}: not for task classify" for key, value in without_part.items() if value]


def _sampling_problems(options: SamplingConfig | None, arguments: Mapping[str, object]) -> list[str]:
    if options is None:
        return []
    problems = []
    if arguments["rect"]:
        problems.append("rect: expected false with balance.sampling, got true; rectangular batches fix the image order")
    epochs = arguments["epochs"]
    natural = epochs_of(options.open, epochs) + epochs_of(options.close, epochs) if isinstance(epochs, int) else 0
    if not arguments["time"] and natural and isinstance(epochs, int) and natural >= epochs:
        problems.append(
            f"{SECTION}.sampling: open {options.open} and close {options.close} leave none of {epochs} epochs balanced"
        )
    hard = options.background is not None and options.background.hard
    for key, on in (("feedback", options.feedback is not None), ("background.hard", hard)):
        if on and not arguments["val"]:
            problems.append(f"{SECTION}.sampling.{key}: expected val: true, which it follows, got false")
    return problems


def _paste_problems(options: PasteConfig | None, arguments: Mapping[str, object]) -> list[str]:
    if options is None:
        return []
    problems = []
    if arguments["rect"]:
        problems.append(
            "rect: expected false with balance.synthesis, got true; rectangular batches fix the image order"
        )
    epochs = arguments["epochs"]
    if not arguments["time"] and isinstance(epochs, int) and epochs_of(options.close, epochs) >= epochs:
        problems.append(
            f"{SECTION}.synthesis.paste.close: expected fewer than {epochs} epochs, got {options.close}, which leaves "
            "no epoch with pastes"
        )
    return problems


def _loss_problems(options: LossesConfig | None, arguments: Mapping[str, object]) -> list[str]:
    weighting = arguments.get("cls_pw") or 0  # early releases do not have it
    if options is None or options.class_weights is None or not weighting:
        return []
    return [
        f"cls_pw: expected 0 with balance.losses.class_weights, got {weighting}; each weighs by class, so they would "
        "multiply. cls_pw weighs whole columns, which class_weights does with `on: column`"
    ]


def _checkpoint_problems(options: RecallConfig, arguments: Mapping[str, object]) -> list[str]:
    needs = []
    if options.best != "fitness":
        needs += [
            ("best", "val", f"which {options.best_words} follows"),
            ("best", "save", "or there is no best.pt to choose"),
        ]
    if options.calibration is not None:
        needs.append(("calibration", "save", "or there is no best.pt to calibrate"))
    return [
        f"{SECTION}.recall.{key}: expected {argument}: true, {why}, got false"
        for key, argument, why in needs
        if not arguments[argument]
    ]
