"""The oracle of a comparison: its stock arm, trained on data with nothing removed.

The oracle shows as many images an epoch as stock, drawn as its own data is, and so makes as many optimiser steps with
the same schedule. Between stock and the oracle lies the gap that the other arms can close.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_balance.config import SECTION, opened
from yolo_balance.errors import BalanceError, ConfigError
from yolo_balance.integration.arguments import complete
from yolo_balance.integration.arms import Arm
from yolo_balance.integration.training.train import check, read_run
from yolo_balance.resolution import resolve
from yolo_balance.text import listed, plain

OPTION, NAME = "--oracle", "oracle"
SCHEDULE = ("epochs", "warmup_epochs", "close_mosaic", "patience")
"""Keys that an arm may state and still train as stock does."""


def stock_of(arms: Sequence[Arm]) -> Arm:
    """Return the first arm that trains as Ultralytics does.

    Its `balance` changes nothing, after the training neither, and its file states no train argument other than
    Ultralytics' default, those of SCHEDULE aside. Raises ConfigError without such an arm.
    """
    for arm in arms:
        own = arm.stated.difference({SECTION}, SCHEDULE)
        stated = any(arm.value(key) != DEFAULT_CFG_DICT.get(key) for key in own)
        if arm.balance.off() and arm.balance.recall.calibration is None and not arm.value("cls_pw") and not stated:
            return arm
    raise ConfigError(
        f"{OPTION}: expected a stock arm among the arms, with `balance: {{}}` and no train argument of its own, as "
        f"cfg/arms/stock.yaml is; got {listed([plain(arm.name) for arm in arms], 12)}"
    )


def oracle_arm(data: str | Path, arms: Sequence[Arm]) -> Arm:
    """Return the oracle: the stock arm on other data, with as many images an epoch and the same val.

    Args:
        data: A data YAML whose train has nothing removed.
        arms: The arms of the comparison, paired by their steps.

    Raises:
        ConfigError: There is no stock arm, or an arm has the oracle's name; the data cannot be used, has other classes,
            or another val.
    """
    stock = stock_of(arms)
    if taken := [arm for arm in arms if arm.name.casefold() == NAME]:
        raise ConfigError(f"{taken[0].file}: expected another name, {NAME} is that of the arm of {OPTION}")
    content = {**stock.content, "data": str(data)}
    try:
        balance, arguments = check(content)
        model, found = read_run(balance, arguments)
        _check_shared(data, found.resolved.names, found.val_files, stock)
        shown = stock.data.resolved.images_per_epoch
        if shown != (images := found.resolved.images_per_epoch):
            content[SECTION] = {**_section(content), "sampling": natural_sampling(shown, images)}
            balance, arguments = check(content)
            complete_arguments = complete({**arguments, "task": model.task, "data": found.path})
            r = found.resolved
            found = replace(found, resolved=resolve(balance, r.statistics, r.names, complete_arguments, r.files))
    except BalanceError as e:
        lines = [line.removeprefix("data: ").removeprefix(f"{OPTION}: ") for line in str(e).splitlines()]
        raise ConfigError([f"{OPTION}: {line}" for line in lines]) from e
    return Arm(NAME, Path(data), content, found, stock.stated | {"data"})


def natural_sampling(shown: int, images: int) -> dict[str, object]:
    """Return the section `sampling` that shows so many images an epoch of a data set, none more often than another."""
    return {"strategy": "inverse_frequency", "power": 0.0, "epoch_size": shown / images, "partners": False}


def fewer(oracle: Arm, first: Arm) -> list[str]:
    """Return a warning where classes have fewer boxes in the oracle's train than in that of the first arm."""
    own, others = (arm.data.resolved.statistics.boxes for arm in (oracle, first))
    names = oracle.data.resolved.names
    less = [f"{plain(name)} {own[c]} of {others[c]}" for c, name in enumerate(names) if own[c] < others[c]]
    if not less:
        return []
    return [f"warning: {OPTION} has fewer boxes in train than {plain(first.name)}, of {listed(less, 12)}"]


def _section(content: Mapping[str, object]) -> dict[str, object]:
    section = opened(content.get(SECTION))
    return dict(section) if isinstance(section, dict) else {}


def _check_shared(data: str | Path, names: Sequence[str], files: Sequence[str], stock: Arm) -> None:
    expected = stock.data.resolved.names
    if tuple(names) != tuple(expected):
        wanted, got = (listed(list(map(plain, classes)), 12) for classes in (expected, names))
        raise ConfigError(f"{plain(str(data))}: expected the classes of {plain(stock.name)}, {wanted}, got {got}")
    if list(map(os.path.realpath, files)) != list(map(os.path.realpath, stock.data.val_files)):
        raise ConfigError(
            f"{plain(str(data))}: expected the val images of {plain(stock.name)}, which arms are paired by; got "
            f"{len(files)} images, of {len(stock.data.val_files)}"
        )
