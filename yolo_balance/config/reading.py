"""Reading a YAML file and its overrides, and the lines that report problems in them."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from yolo_balance.errors import ConfigError

SECTION, AUTO = "balance", "auto"


def opened(section: object) -> object:
    """Return `auto` as the section that it is short for, and anything else as it is."""
    return {AUTO: True} if isinstance(section, str) and section == AUTO else section


def read_yaml(path: str | Path) -> dict[str, object]:
    """Read a YAML mapping with the safe loader; raises ConfigError naming the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: cannot be read ({e.__class__.__name__}: {e})") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(e).split())})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys at the top level, got {shown(content)}")
    return content


def apply_overrides(content: Mapping[str, object], overrides: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of a run's mapping with dotted keys set: {"epochs": 5, "balance.losses.carl.gain": 0.1}."""
    result: dict[str, Any] = copy.deepcopy(dict(content))
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        node = result
        for i, key in enumerate(parents):
            if node.get(key) is None:  # a section left out or switched off is opened by naming a key in it
                node[key] = {}
            elif node is result and key == SECTION:
                node[key] = opened(node[key])
            if not isinstance(node[key], dict):
                path = ".".join(parents[: i + 1])
                raise ConfigError(f"{dotted}: {path} is {shown(node[key])}, not a section with keys")
            node = node[key]
        node[last] = value
    return result


def unknown_key(path: str, valid: Iterable[str]) -> str:
    """Return the line for an unknown key, which names the nearest valid one by its dotted path.

    A key of the same section is preferred; one of another section is named only if it is spelt nearly alike.
    """
    parent, _, key = path.rpartition(".")

    def closeness(candidate: str) -> tuple[bool, float]:
        candidate_parent, _, candidate_key = candidate.rpartition(".")
        ratio = difflib.SequenceMatcher(None, key, candidate_key).ratio()
        return ratio >= 0.6 or candidate_parent == parent, ratio + 0.1 * (candidate_parent == parent)

    return f"{path}: unknown key, the nearest valid one is {max(valid, key=closeness)}"


def problem_lines(error: ValidationError, valid: Iterable[str], section: str = "") -> list[str]:
    """Return the lines of all problems: dotted key, expected value, actual value.

    Args:
        error: The problems.
        valid: Dotted keys there are, for the nearest to an unknown one.
        section: Of the YAML, prefixed to every key.
    """
    keys = list(valid)
    prefix = [section] if section else []
    return [line for e in error.errors() for line in _lines(".".join([*prefix, *map(str, e["loc"])]), e, keys)]


def _lines(path: str, error: ErrorDetails, valid: list[str]) -> list[str]:
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return [unknown_key(path, valid)]
    if kind == "missing":
        return [f"{path}: missing, expected a value"]
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if kind == "value_error" and isinstance(value, Mapping):  # options that do not fit together name their keys
        return [f"{path}.{line}" for line in text.splitlines()]
    if kind == "model_type":
        text = "expected a section of keys ({} for its defaults, null for off)"
    if kind == "too_short":
        text = "expected at least one item"
    return [f"{path}: {text}, got {shown(value)}"]


def shown(value: object) -> str:
    """Return a value as YAML on one line, cut to 60 characters."""
    text = " ".join(yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").split())
    return text if len(text) <= 60 else f"{text[:57]}..."
