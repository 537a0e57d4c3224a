"""Words of the command line as values: `key=value`, and seeds."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from yolo_balance.errors import ConfigError


def parse_overrides(words: Sequence[str]) -> dict[str, object]:
    """Parse `key=value` words; values are read as YAML, so that 5, 0.1, true, null and [1, 2] mean the same.

    Raises:
        ConfigError: For every word that is not of that form.
    """
    overrides, problems = {}, []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            problems.append(f"{word}: expected key=value, as in epochs=50 or balance.sampling.power=1.0")
            continue
        try:
            overrides[key] = _value(text)
        except yaml.YAMLError:
            problems.append(f"{key}: expected a YAML value, got {text}")
    if problems:
        raise ConfigError(problems)
    return overrides


def parse_seeds(text: str) -> list[int]:
    """Parse seeds: `5` is 0 to 4, `0,3,7` are these three, `3,` is the one.

    Raises:
        ConfigError: For anything else.
    """
    try:
        return [int(word) for word in text.split(",") if word] if "," in text else list(range(int(text)))
    except ValueError:
        raise ConfigError(f"--seeds: expected a number of seeds or a list such as 0,3,7, got {text}") from None


def _value(text: str) -> object:
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)  # 1e-3 is a number to everyone but YAML 1.1
        except ValueError:
            return value
    return value
