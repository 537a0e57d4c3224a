"""The arms of a comparison: files laid over a configuration, checked together, their epochs paired by optimiser steps.

An arm's keys replace those of the configuration. Its `balance:` states a method in full: `sampling` and `losses` are
those of the arm alone, off where it leaves them out; `balance.recall`, how runs are read, is laid over key by key. An
arm without `balance:` has the configuration's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_balance.config import SECTION, BalanceConfig, apply_overrides, opened, read_yaml
from yolo_balance.config.reading import shown
from yolo_balance.errors import BalanceError, ConfigError
from yolo_balance.integration.arguments import sampling_problems
from yolo_balance.integration.training.train import Found, check, look

PLACED = ("seed", "project", "name", "exist_ok", "save_dir")
"""What the comparison itself sets, for each run."""
READING = ("iou", "false_alarms")
"""Of `balance.recall`, what has to be the same for recall to be the same figure."""
BY_STEPS = ("epochs", "warmup_epochs", "close_mosaic")
"""What follows the number of optimiser steps in an arm that does not say otherwise."""


@dataclass(frozen=True)
class Arm:
    """An arm that can be trained.

    Attributes:
        name: Stem of its file.
        file: Path.
        content: A run's mapping, `balance` among it, without a seed.
        balance: Its section, checked.
        found: What is in its data.
        said: Keys its own file states; none for the configuration itself.
    """

    name: str
    file: Path
    content: dict[str, Any]
    balance: BalanceConfig
    found: Found
    said: frozenset[str]

    def value(self, key: str) -> Any:
        """An argument of the host's, its default where left out."""
        return value(self.content, key)

    @property
    def batches(self) -> int:
        """Batches of an epoch."""
        return math.ceil(self.found.images_per_epoch / int(self.value("batch")))

    @property
    def steps(self) -> float:
        """Optimiser steps of the run, warm-up's shorter accumulation aside."""
        accumulate = max(round(self.value("nbs") / self.value("batch")), 1)
        return float(self.batches * self.value("epochs") / accumulate)

    def text(self, seed: int) -> str:
        """The YAML of its run at a seed."""
        content = {**{k: v for k, v in self.content.items() if k != SECTION}, "seed": seed}
        if SECTION in self.content:
            content[SECTION] = self.content[SECTION]
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    @property
    def training(self) -> dict[str, Any]:
        """What it trains by, however it is written: defaults left out, and calibration, which comes after."""
        balance = self.found.balance
        recall = balance.recall.model_copy(update={"calibration": None})
        given = {key: value for key, value in self.content.items() if value != DEFAULT_CFG_DICT.get(key)}
        return {**given, SECTION: balance.model_copy(update={"recall": recall}).model_dump(exclude={"auto"})}

    def trained_as(self, arms: Sequence[Arm]) -> Arm | None:
        """The arm whose training is this one's too, up to calibration, so that it takes none of its own; else None.

        That is the first such one without a calibration, or where all have one the first of them, which is trained.
        """
        if self.balance.recall.calibration is None:
            return None
        alike = [arm for arm in arms if arm.training == self.training]
        first = min(alike, key=lambda arm: arm.balance.recall.calibration is not None)
        return None if first is self else first

    def changes(self, first: Arm) -> tuple[str, ...]:
        """What it trains otherwise than the first arm, besides `balance`: `imgsz 64 instead of 32`."""
        keys = [key for key in {**first.content, **self.content} if key != SECTION]
        return tuple(
            f"{key} {shown(self.value(key))} instead of {shown(first.value(key))}"
            for key in keys
            if self.value(key) != first.value(key)
        )

    def with_steps_of(self, first: Arm) -> Arm:
        """The same with as many optimiser steps, as nearly as whole epochs allow; unchanged if it states its epochs.

        Schedules are in epochs: warm-up and the epochs without Mosaic change by the same ratio, so that they last as
        many steps, unless the arm states them; what else counts epochs (patience, sampling's open and close) stays.
        """
        if "epochs" in self.said or self.steps == first.steps:
            return self
        epochs = max(round(self.value("epochs") * first.steps / self.steps), 1)
        if epochs == self.value("epochs"):
            return self
        ratio = epochs / self.value("epochs")
        scaled = {
            "epochs": epochs,
            "warmup_epochs": round(self.value("warmup_epochs") * ratio, 3),
            "close_mosaic": round(self.value("close_mosaic") * ratio),
        }
        content = {**self.content, **{key: scaled[key] for key in BY_STEPS if key not in self.said}}
        return Arm(self.name, self.file, content, self.balance, self.found, self.said)


def value(content: Mapping[str, Any], key: str) -> Any:
    """An argument of the host's, its default where left out; null epochs are its 100."""
    found = content.get(key, DEFAULT_CFG_DICT.get(key))
    return 100 if key == "epochs" and found is None else found


def read(config: str | Path, files: Sequence[str | Path], overrides: Mapping[str, Any]) -> list[Arm]:
    """Read and check every arm, the first being compared with.

    Args:
        config: YAML of a run.
        files: YAML of what each arm changes; without any the configuration is the only arm.
        overrides: Keys that replace those of the configuration, dotted or not, before arms are laid over it.

    Raises:
        ConfigError: With every problem of every arm, its file named; one of all arms is the configuration's.
    """
    base = apply_overrides(read_yaml(config), overrides)
    paths = [Path(file) for file in files] or [Path(config)]
    problems: dict[str, list[Path]] = {}
    arms: list[Arm] = []
    for path in paths:
        try:
            arms.append(_arm(path, base, read_yaml(path) if files else {}))
        except BalanceError as e:
            for line in str(e).splitlines():
                problems.setdefault(line.removeprefix(f"{path}: "), []).append(path)
    lines = [
        f"{config}: {line}" if len(where) == len(paths) > 1 else "\n".join(f"{path}: {line}" for path in where)
        for line, where in problems.items()
    ]
    lines += _alike(paths, arms)
    if lines:
        raise ConfigError("\n".join(lines).splitlines())
    arms = [arm.with_steps_of(arms[0]) for arm in arms]
    again = [
        f"{arm.file}: {line}"
        for arm in arms
        for line in sampling_problems(arm.found.balance.sampling, arm.content)  # its epochs may be others now
    ]
    if again:
        raise ConfigError(again)
    return arms


def lay_over(base: Mapping[str, Any], arm: Mapping[str, Any]) -> dict[str, Any]:
    """A run's mapping: the arm's keys in place of the base's, `balance` as this module's head says."""
    content = copy.deepcopy({**base, **arm})
    base, arm = ({**own, SECTION: opened(own[SECTION])} if SECTION in own else own for own in (base, arm))
    read_as = (base.get(SECTION) or {}).get("recall") if isinstance(base.get(SECTION), dict) else None
    if SECTION in arm and isinstance(read_as, dict) and isinstance(arm[SECTION] or {}, dict):
        own = arm[SECTION] or {}
        if isinstance(own.get("recall") or {}, dict):
            content[SECTION] = {**copy.deepcopy(own), "recall": {**copy.deepcopy(read_as), **(own.get("recall") or {})}}
    return content


def _arm(path: Path, base: Mapping[str, Any], own: Mapping[str, Any]) -> Arm:
    content = lay_over(base, own)
    problems = [f"{key}: expected none in an arm, the comparison sets it for each run" for key in PLACED if key in own]
    for key in PLACED:
        content.pop(key, None)
    for key in ("resume", "time"):
        if content.get(key):
            problems.append(f"{key}: expected none in a comparison, which pairs whole runs by their steps")
    batch = value(content, "batch")
    if not isinstance(batch, int) or batch < 1:
        problems.append(f"batch: expected a whole number above 0 in a comparison, got {shown(batch)}")
    for key in ("val", "save"):
        if not value(content, key):
            problems.append(f"{key}: expected true in a comparison, which reads best.pt, got {shown(content[key])}")
    try:
        balance, arguments = check({k: v for k, v in content.items() if k != "resume"})
    except ConfigError as e:
        raise ConfigError([*problems, *e.problems]) from e
    if problems:
        raise ConfigError(problems)
    _, found = look(balance, arguments)
    return Arm(path.stem, path, content, balance, found, frozenset(own))


def _alike(paths: Sequence[Path], arms: Sequence[Arm]) -> list[str]:
    """One line per arm that cannot be told apart, or whose recall would not be the first's figure."""
    folders = [path.stem.casefold() for path in paths]
    lines = [
        f"{path}: expected arms of different names, {path.stem} is already that of {paths[folders.index(folder)]}"
        for i, (path, folder) in enumerate(zip(paths, folders, strict=True))
        if folder in folders[:i]
    ]
    for arm in arms[1:]:
        first = arms[0]
        for key in READING:
            own, others = getattr(arm.balance.recall, key), getattr(first.balance.recall, key)
            if own != others:
                lines.append(
                    f"{arm.file}: balance.recall.{key}: expected {shown(others)} as in {first.name}, got {shown(own)}"
                )
        if arm.found.names != first.found.names:
            lines.append(f"{arm.file}: expected the classes of {first.name}, got {', '.join(arm.found.names)}")
        elif arm.found.val_files != first.found.val_files:
            lines.append(
                f"{arm.file}: expected to be validated on the images of {first.name}, which arms are paired by; "
                f"got {len(arm.found.val_files)} images, of {len(first.found.val_files)}"
            )
    return lines
