"""The arms of a comparison: files laid over a configuration, checked together, their epochs paired by optimiser steps.

An arm's keys replace those of the configuration. An arm's `balance:` states a method in full: `sampling` and `losses`
are off where the arm leaves them out. `balance.recall`, by which runs are read, is laid over key by key. An arm without
`balance:` has the `balance:` of the configuration.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_balance.config import SECTION, BalanceConfig, apply_overrides, opened, read_yaml
from yolo_balance.config.reading import shown
from yolo_balance.errors import BalanceError, ConfigError
from yolo_balance.integration.arguments import complete
from yolo_balance.integration.training.train import RunData, check, read_run
from yolo_balance.resolution import resolve

PLACED = ("seed", "project", "name", "exist_ok", "save_dir")
"""Keys that the comparison itself sets, for each run."""


@dataclass(frozen=True)
class Arm:
    """An arm that can be trained.

    Attributes:
        name: Stem of the arm's file.
        file: Path.
        content: A run's mapping, `balance` among it, without a seed.
        data: The arm's data set and the configuration on it.
        stated: Keys that the arm's own file states; none for the configuration itself.
    """

    name: str
    file: Path
    content: dict[str, object]
    data: RunData
    stated: frozenset[str]

    @property
    def balance(self) -> BalanceConfig:
        """The section as it was stated."""
        return self.data.resolved.asked

    def value(self, key: str) -> object:
        """Return a train argument, Ultralytics' default where it is left out."""
        return complete(self.content).get(key)

    def number(self, key: str) -> float:
        """Return a train argument that is a number."""
        value = self.value(key)
        assert isinstance(value, (int, float))  # Ultralytics checked it
        return value

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return int(self.number("epochs"))

    @property
    def steps(self) -> float:
        """Optimiser steps of the run, warm-up's shorter accumulation aside."""
        batch = self.number("batch")
        accumulate = max(round(self.number("nbs") / batch), 1)
        return math.ceil(self.data.resolved.images_per_epoch / batch) * self.epochs / accumulate

    def text(self, seed: int) -> str:
        """Return the YAML of the arm's run at a seed."""
        content = {**self.content, "seed": seed}
        if SECTION in content:
            content[SECTION] = content.pop(SECTION)  # the last
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)

    @property
    def training(self) -> dict[str, object]:
        """The resolved configuration of the training: defaults left out, and calibration, which comes after."""
        balance = self.data.resolved.config
        recall = balance.recall.model_copy(update={"calibration": None})
        given = {key: value for key, value in self.content.items() if value != DEFAULT_CFG_DICT.get(key)}
        return {**given, SECTION: balance.model_copy(update={"recall": recall}).model_dump(exclude={"auto"})}

    def trained_as(self, arms: Sequence[Arm]) -> Arm | None:
        """Return the arm whose training this arm shares, so that only the calibration is its own; None without one.

        The shared training is that of the first such arm without a calibration; if all have one, that of the first.
        """
        if self.balance.recall.calibration is None:
            return None
        alike = [arm for arm in arms if arm.training == self.training]
        first = min(alike, key=lambda arm: arm.balance.recall.calibration is not None)
        return None if first is self else first

    def changes(self, first: Arm) -> tuple[str, ...]:
        """Return the train arguments that differ from the first arm's, without `balance`: `imgsz 64 instead of 32`."""
        keys = [key for key in {**first.content, **self.content} if key != SECTION]
        return tuple(
            f"{key} {shown(self.value(key))} instead of {shown(first.value(key))}"
            for key in keys
            if self.value(key) != first.value(key)
        )

    def with_steps_of(self, first: Arm) -> Arm:
        """Return the arm with the first arm's optimiser steps, to a whole epoch; unchanged if it states its epochs.

        Schedules are in epochs. Warm-up and the epochs without Mosaic change by the same ratio, unless the arm states
        them, and so last as many steps. Other options in epochs (patience, sampling's open and close) stay.

        Raises:
            ConfigError: The new number of epochs contradicts the section.
        """
        if "epochs" in self.stated or self.steps == first.steps:
            return self
        epochs = max(round(self.epochs * first.steps / self.steps), 1)
        if epochs == self.epochs:
            return self
        ratio = epochs / self.epochs
        scaled = {
            "epochs": epochs,
            "warmup_epochs": round(self.number("warmup_epochs") * ratio, 3),
            "close_mosaic": round(self.number("close_mosaic") * ratio),
        }
        content = {**self.content, **{key: n for key, n in scaled.items() if key not in self.stated}}
        r = self.data.resolved
        arguments = complete(content)
        resolved = resolve(r.asked, r.statistics, r.names, arguments, r.files, objects=r.objects, made=r.made)
        return replace(self, content=content, data=replace(self.data, resolved=resolved))


def read(config: str | Path, files: Sequence[str | Path], overrides: Mapping[str, object]) -> list[Arm]:
    """Read and check every arm; the first is the one that the others are compared with.

    Args:
        config: YAML of a run.
        files: A YAML per arm, with the keys that the arm changes; without any the configuration is the only arm.
        overrides: Keys that replace those of the configuration, dotted or not, before arms are laid over it.

    Raises:
        ConfigError: With every problem of every arm and its file; a problem that all arms have names the configuration.
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
    paired: list[Arm] = []
    for arm in arms:
        try:
            paired.append(arm.with_steps_of(arms[0]))
        except ConfigError as e:
            lines += [f"{arm.file}: {problem}" for problem in e.problems]
    if lines:
        raise ConfigError(lines)
    return paired


def lay_over(base: Mapping[str, object], arm: Mapping[str, object]) -> dict[str, object]:
    """Return a run's mapping: the arm's keys replace the base's; this module's docstring says how `balance` is."""
    content = copy.deepcopy({**base, **arm})
    section, own = opened(base.get(SECTION)), opened(arm.get(SECTION)) or {}
    read_as = section.get("recall") if isinstance(section, dict) else None
    if SECTION in arm and isinstance(read_as, dict) and isinstance(own, dict):
        recall = own.get("recall") or {}
        if isinstance(recall, dict):
            content[SECTION] = copy.deepcopy({**own, "recall": {**read_as, **recall}})
    return content


def _arm(path: Path, base: Mapping[str, object], own: Mapping[str, object]) -> Arm:
    content = lay_over(base, own)
    problems = [f"{key}: expected none in an arm, the comparison sets it for each run" for key in PLACED if key in own]
    for key in PLACED:
        content.pop(key, None)
    for key in ("resume", "time"):
        if content.get(key):
            problems.append(f"{key}: expected none in a comparison, which pairs whole runs by their steps")
    given = complete(content)
    batch = given["batch"]
    if not isinstance(batch, int) or batch < 1:
        problems.append(f"batch: expected a whole number above 0 in a comparison, got {shown(batch)}")
    for key in ("val", "save"):
        if not given[key]:
            problems.append(f"{key}: expected true in a comparison, which reads best.pt, got {shown(content[key])}")
    try:
        balance, arguments = check({k: v for k, v in content.items() if k != "resume"})
    except ConfigError as e:
        raise ConfigError([*problems, *e.problems]) from e
    if problems:
        raise ConfigError(problems)
    _, data = read_run(balance, arguments)
    return Arm(path.stem, path, content, data, frozenset(own))


def _alike(paths: Sequence[Path], arms: Sequence[Arm]) -> list[str]:
    """Return a line per arm with the name of another one, or whose recall is not comparable with the first arm's."""
    folders = [path.stem.casefold() for path in paths]
    lines = [
        f"{path}: expected arms of different names, {path.stem} is already that of {paths[folders.index(folder)]}"
        for i, (path, folder) in enumerate(zip(paths, folders, strict=True))
        if folder in folders[:i]
    ]
    for arm in arms[1:]:
        first = arms[0]
        for key in ("iou", "false_alarms"):  # recall is the same figure at equal ones only
            own, firsts = getattr(arm.balance.recall, key), getattr(first.balance.recall, key)
            if own != firsts:
                lines.append(
                    f"{arm.file}: balance.recall.{key}: expected {shown(firsts)} as in {first.name}, got {shown(own)}"
                )
        data, others = arm.data, first.data
        if data.resolved.names != others.resolved.names:
            lines.append(f"{arm.file}: expected the classes of {first.name}, got {', '.join(data.resolved.names)}")
        elif data.val_files != others.val_files:
            lines.append(
                f"{arm.file}: expected to be validated on the images of {first.name}, which arms are paired by; "
                f"got {len(data.val_files)} images, of {len(others.val_files)}"
            )
    return lines
