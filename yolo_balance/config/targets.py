"""Recall promised by class, read from any YAML that states it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolo_balance.config import SECTION, BalanceConfig, opened, parse_section, read_yaml
from yolo_balance.errors import ConfigError

INSIDE = f"{SECTION}.recall.targets."


def read_targets(path: str | Path) -> dict[str, float]:
    """Read the targets by class name.

    Args:
        path: A whole run's YAML (`balance.recall.targets`), its `balance:` section alone (`recall: targets:`), the
            `recall:` section alone (`targets:`), or class names and numbers (`crack: 0.95`).

    Raises:
        ConfigError: The file cannot be read, states no target, or with every problem of what it states.
    """
    content = read_yaml(path)
    if _holds(content, "targets"):
        section: Any = {"recall": content}
    elif _holds(content, "recall"):
        section = content
    elif _holds(content, SECTION) or any(isinstance(content.get(key), str) for key in ("model", "data")):
        section = BalanceConfig.load(content)  # a whole run's, whose other keys are not ours
    else:
        section = {"recall": {"targets": content}}
    config, problems = (section, []) if isinstance(section, BalanceConfig) else parse_section(section)
    if config is None:
        raise ConfigError([f"{path}: {problem.removeprefix(INSIDE)}" for problem in problems])
    if not config.recall.targets:
        raise ConfigError(f"{path}: no targets, expected {SECTION}.recall.targets or lines such as crack: 0.95")
    return config.recall.targets


def _holds(content: Mapping[str, object], section: str) -> bool:
    """Return whether a key is a section, and not a class of that name with its recall."""
    return section in content and (content[section] is None or isinstance(opened(content[section]), Mapping))
