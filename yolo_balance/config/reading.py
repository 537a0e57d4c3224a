"""Reading a YAML file and its overrides, and the lines that report problems in them."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from yolo_balance.bounded_files import read_text, reason
from yolo_balance.errors import ConfigError
from yolo_balance.text import plain

SECTION, AUTO = "balance", "auto"
MOST_BYTES = 1 << 20
"""Size of a YAML file above which the file is no configuration."""
DEEPEST = 40
"""Nesting above which a YAML is no configuration; the deepest valid key lies at 5."""
MOST_NODES = 100_000
"""Keys and values, aliases written out, above which a YAML with aliases is no configuration."""
MOST_LINES = 40
"""Problems of one file that are written out."""
PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class MisfitError(ValueError):
    """Options of one section that do not fit together: a line for each, beginning with its key in that section."""


def opened(section: object) -> object:
    """Return `auto` as the section that it is short for, and anything else as it is."""
    return {AUTO: True} if isinstance(section, str) and section == AUTO else section


def read_yaml(path: str | Path, most: int = MOST_BYTES) -> dict[str, object]:
    """Read a YAML mapping of at most so many bytes with the safe loader.

    Raises:
        ConfigError: In one line that names the file: it cannot be read, is too large or too deeply nested, is not
            valid YAML, states a key twice, or holds no mapping.
    """
    name = plain(str(path))
    try:
        text = read_text(path, most)
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file") from None
    except (OSError, ValueError) as e:  # a path with a null character, a pipe, too many bytes, bytes that are no UTF-8
        raise ConfigError(f"{name}: cannot be read ({reason(e)})") from None
    try:
        _check_structure(text)
        content = yaml.load(text, PARSER)
    except Exception as e:  # PyYAML raises errors of many kinds for dates, numbers and tags that cannot be
        raise ConfigError(f"{name}: not valid YAML ({' '.join(plain(str(e)).split())})") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{name}: expected a mapping of keys at the top level, got {shown(content)}")
    return content


def _check_structure(text: str) -> None:
    """Raise ValueError for a YAML that is nested too deeply, repeats too much, or states a key of a mapping twice.

    PyYAML would keep the last of two equal keys without a word, and build a deep nesting by recursion. Aliases of
    aliases make a short file endless for whoever writes its content out.
    """
    open_nodes: list[dict[str, int] | None] = []  # keys of a mapping with their lines; None for a list
    awaits_key: list[bool] = []
    nodes, sizes, starts = 0, dict[str, int](), list[tuple[str | None, int]]()  # aliases written out; by anchor
    event: Any
    for event in yaml.parse(text, PARSER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionEndEvent):
            open_nodes.pop()
            awaits_key.pop()
            anchor, start = starts.pop()
            if anchor is not None:
                sizes[anchor] = nodes - start
        elif isinstance(event, yaml.NodeEvent):
            nodes += sizes.get(str(event.anchor), 1) if isinstance(event, yaml.AliasEvent) else 1
            if sizes and nodes > MOST_NODES:
                raise ValueError(f"line {line} repeats more than {MOST_NODES:,} nodes by aliases")
            is_key = bool(awaits_key) and awaits_key[-1]
            if open_nodes and open_nodes[-1] is not None:
                awaits_key[-1] = not is_key
            if is_key and isinstance(event, yaml.ScalarEvent) and (keys := open_nodes[-1]) is not None:
                if event.value in keys:
                    first = keys[event.value]
                    raise ValueError(f"the key {event.value} stands in line {first} and again in line {line}")
                keys[event.value] = line
            if isinstance(event, yaml.CollectionStartEvent):
                mapping = isinstance(event, yaml.MappingStartEvent)
                open_nodes.append({} if mapping else None)
                awaits_key.append(mapping)
                starts.append((event.anchor, nodes))
                if len(open_nodes) > DEEPEST:
                    raise ValueError(f"line {line} is nested more than {DEEPEST} levels deep")


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
    key = key[:60]  # the time of a comparison grows with both lengths

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
        section: Section of the YAML, prefixed to every key.
    """
    keys, errors = list(valid), error.errors(include_url=False)
    prefix = [section] if section else []
    lines = [line for e in errors[:MOST_LINES] for line in _lines([*prefix, *map(key_text, e["loc"])], e, keys)]
    more = len(errors) - MOST_LINES
    return [*lines, f"{section or 'the file'}: {more} more problems"] if more > 0 else lines


def key_text(part: object) -> str:
    """Return a part of a dotted path on one line, whatever a key of a mapping is."""
    return part if isinstance(part, str) and part.isprintable() and len(part) <= 60 else shown(part)


def _lines(keys: list[str], error: ErrorDetails, valid: list[str]) -> list[str]:
    kind, value, path = error["type"], error["input"], ".".join(keys)
    if kind == "extra_forbidden":
        return [unknown_key(path, valid)]
    if kind == "invalid_key" or keys[-1] == "[key]":
        key = shown(value)  # in place of the path's last parts, where false stands as 0
        path = ".".join([*keys[: -2 if keys[-1] == "[key]" else -1], key])
        return [f"{path}: expected a name, in quotes where YAML reads it otherwise ('NO', 'on', '5'), got {key}"]
    if kind == "missing":
        return [f"{path}: missing, expected a value"]
    text = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if isinstance(error.get("ctx", {}).get("error"), MisfitError):
        return [f"{path}.{line}" for line in text.splitlines()]
    if kind == "model_type":
        text = "expected a section of keys ({} for its defaults, null for off)"
    if kind == "too_short":
        text = "expected at least one item"
    return [f"{path}: {plain(text)}, got {shown(value)}"]


def shown(value: object) -> str:
    """Return a value as YAML on one line, cut to 60 characters; a value that YAML does not know as Python writes it."""
    try:
        text = yaml.safe_dump(_shortened(value), default_flow_style=True, allow_unicode=True)
    except (yaml.YAMLError, ValueError):  # another type; an integer of too many digits
        text = _written(value)
    text = plain(" ".join(text.removesuffix("...\n").split()))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _written(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # whatever an object's own repr raises
        return f"a value of type {type(value).__name__}"


def _shortened(value: object, depth: int = 4) -> object:
    """Return a value with only as many items and characters as `shown` can use."""
    if isinstance(value, str):
        return value[:80]
    if isinstance(value, Mapping) and type(value) is dict:
        return {k: _shortened(v, depth - 1) for k, v in islice(value.items(), 10)} if depth else "..."
    if type(value) in (list, tuple, set):
        return [_shortened(item, depth - 1) for item in islice(value, 10)] if depth else "..."  # type: ignore[call-overload]
    return value
