"""Checks of a command before torch is imported: arguments, the `balance:` section, and files that are not there.

The verbs check again, and more, once Ultralytics is loaded. Nothing is refused here that Ultralytics accepts: names and
kinds of its arguments are read from its installed files, without importing it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any

from yolo_balance.config import SECTION, apply_overrides, parse_section, read_yaml, unknown_key
from yolo_balance.config.reading import shown
from yolo_balance.errors import ConfigError

MOST_BYTES = 8 << 20
"""Size above which a file with a section is none; the balance.yaml of a run grows with its classes."""
KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "CFG_FLOAT_KEYS": ((int, float), "a number"),
    "CFG_FRACTION_KEYS": ((int, float), "a number"),
    "CFG_INT_KEYS": ((int,), "an integer"),
    "CFG_BOOL_KEYS": ((bool,), "true or false"),
    "CFG_STR_KEYS": ((str,), "a text"),
}
"""Ultralytics' lists of arguments by kind: the types of their values, and the kind in words."""
OPTIONAL = {"fraction": (list, tuple, NoneType)}
"""Types that an argument takes beside those of its kind; of any other, None."""
BUILDERS = {"frozenset": frozenset, "set": set}
"""All that an evaluated constant of Ultralytics may call."""
BESIDE = ("augmentations", "save_dir")
"""Arguments that Ultralytics takes and its defaults do not list."""
MISSING = {
    "weights": "weights: expected a file with a trained model, got {}",
    "source": "source: expected an image, a video, a folder or glob of them, or a .txt or .csv file that lists them, "
    "got {}",
    "run": "{0}: expected the folder of a finished run, but there is no {0}/weights/best.pt",
    "config": "{}: no such file",
    "thresholds": "{}: no such file",
}
"""Line for a word that leads to no file."""
TAKEN = {
    "model": "WEIGHTS is the model",
    "source": "SOURCE is the source",
    "mode": "the verb is the mode",
    "embed": "embeddings have no boxes",
}
"""Arguments of Ultralytics that have no place in predict, and why."""
OURS = f"{SECTION}.recall"
SPLITS = ("val", "test", "train")
FROM_ELSEWHERE = "://"
"""Part of an address, which Ultralytics downloads."""


def check_run(content: Mapping[str, object]) -> None:
    """Check the mapping of a run that is to be trained. Raises ConfigError with every problem found so early."""
    arguments = dict(content)
    problems = parse_section(arguments.pop(SECTION, None))[1] + argument_problems(arguments)
    if not arguments.get("resume"):
        problems += not_stated(arguments) + model_problems(arguments.get("model"))
        problems += data_problems(arguments.get("data"))
    _refuse(problems)


def word_problems(
    overrides: Mapping[str, object], *, section: str | Path | None = None, own: Mapping[str, object] | None = None
) -> list[str]:
    """Return a line per problem of the `key=value` words of a verb that trains nothing.

    Args:
        overrides: The words.
        section: YAML of a run whose `balance:` section the words change.
        own: Arguments that hold without the words, for a verb that reads recall; None for one that reads none.
    """
    others = [] if own is None else other_sections(overrides)
    kept = {key: value for key, value in overrides.items() if own is None or not is_other_section(key)}
    content: dict[str, object] = {}
    if section is not None and Path(section).is_file():
        content = read_yaml(section, MOST_BYTES)
    content = apply_overrides({SECTION: content.get(SECTION)}, kept)
    problems = others + parse_section(content.pop(SECTION))[1] + argument_problems(content)
    if own is not None:
        problems += reading_problems({**own, **content})
    return problems + data_problems(content.get("data"))


def check_analysis(data: str, overrides: Mapping[str, object]) -> None:
    """Check the words of a verb that reads a data set, or the YAML of a run. Raises ConfigError with every problem."""
    is_yaml = Path(data).suffix in (".yaml", ".yml")
    _refuse(word_problems({**overrides, "data": data}, section=data if is_yaml else None))


def check_report(weights: str, overrides: Mapping[str, object], config: str | None) -> None:
    """Check the words of `report`. Raises ConfigError with every problem."""
    refuse_calibration(overrides)
    lines = missing(weights=weights, config=config)
    _refuse(lines + word_problems(overrides, section=config, own={}))


def check_calibration(run: str, overrides: Mapping[str, object], config: str | None) -> None:
    """Check the words of `calibrate`. Raises ConfigError with every problem."""
    words = word_problems(overrides, section=config or Path(run) / "balance.yaml", own={"data": run})
    _refuse(missing(run=run, config=config) + words)


def check_prediction(weights: str, source: str, overrides: Mapping[str, object], thresholds: str | None) -> None:
    """Check the words of `predict`. Raises ConfigError with every problem."""
    lines = missing(weights=weights, source=source, thresholds=thresholds) + taken(overrides)
    _refuse(lines + argument_problems({key: value for key, value in overrides.items() if key not in TAKEN}))


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError(problems)


def missing(**files: str | None) -> list[str]:
    """Return a line per file that is not there, by its key of MISSING; a glob or an address is left to the verb."""
    return [
        MISSING[name].format(path)
        for name, path in files.items()
        if path is not None and not any(mark in path for mark in (FROM_ELSEWHERE, "*")) and not Path(path).exists()
    ]


def taken(arguments: Mapping[str, object]) -> list[str]:
    """Return a line per argument that has no place in `predict`."""
    return [f"{key}: not an option of predict, {why}" for key, why in TAKEN.items() if key in arguments]


def refuse_calibration(words: Mapping[str, object]) -> None:
    """Raise ConfigError for a calibration among the words of `report`."""
    if any(key.startswith(f"{OURS}.calibration") for key in words):
        raise ConfigError(f"{OURS}.calibration: expected none in report, which changes no model; calibrate does")


def is_other_section(key: str) -> bool:
    """Return whether a key is of a section that has no effect on a finished model."""
    return key.partition(".")[0] == SECTION and key != OURS and not key.startswith(f"{OURS}.")


def other_sections(words: Mapping[str, object]) -> list[str]:
    """Return a line per key of a section that has no effect on a finished model."""
    why = f"expected a key of {OURS}; the other sections have no effect on a finished model"
    return [f"{key}: {why}" for key in words if is_other_section(key)]


def reading_problems(arguments: Mapping[str, object]) -> list[str]:
    """Return a line per argument with which the recall of a finished model cannot be read."""
    problems, data = [], arguments.get("data")
    if not data:
        problems.append("data: missing, expected the data YAML to read the model on, or demo")
    elif FROM_ELSEWHERE in str(data):
        problems.append(f"data: expected a file, got {data}; nothing is downloaded")
    if arguments.get("split", "val") not in SPLITS:
        problems.append(f"split: expected one of {', '.join(SPLITS)}, got {arguments['split']}")
    if (fraction := arguments.get("fraction")) not in (None, 1):
        problems.append(f"fraction: expected 1, got {fraction}; recall is read on the whole split")
    return problems


def not_stated(arguments: Mapping[str, object]) -> list[str]:
    """Return a line for each argument without which no new run starts."""
    expected = {"model": "a checkpoint or architecture such as yolo26n.pt", "data": "a data YAML or demo"}
    return [f"{key}: missing, expected {what}" for key, what in expected.items() if not arguments.get(key)]


def argument_problems(arguments: Mapping[str, object]) -> list[str]:
    """Return a line per argument whose name or kind Ultralytics refuses; none where its files cannot be read."""
    defaults = _defaults()
    if not defaults:
        return []
    kinds = _constants("cfg/__init__.py", tuple(KINDS))
    problems = []
    for key, value in arguments.items():
        if key not in defaults and key not in BESIDE:
            problems.append(unknown_key(key, [*defaults, SECTION]))
            continue
        for name, (types, expected) in KINDS.items():
            if key in kinds.get(name, ()) and not isinstance(value, (*types, *OPTIONAL.get(key, (NoneType,)))):
                problems.append(f"{key}: expected {expected}, got {shown(value)}")
    return problems


def model_problems(model: object) -> list[str]:
    """Return a line for a model that is no file, no published checkpoint and no architecture of Ultralytics."""
    root = _ultralytics()
    if not isinstance(model, str) or not model or root is None or FROM_ELSEWHERE in model or Path(model).exists():
        return []
    name = Path(model).name
    published = _constants("utils/downloads.py", ("GITHUB_ASSETS_NAMES",)).get("GITHUB_ASSETS_NAMES")
    if Path(model).suffix in (".yaml", ".yml"):
        names = {name, re.sub(r"(\d+)[a-z](.+)?$", r"\1\2", Path(name).stem) + Path(name).suffix}  # without its size
        if any(Path(model).with_name(other).exists() or any(root.glob(f"cfg/**/{other}")) for other in names):
            return []
        return [f"model: {model} cannot be loaded (no such file, nor an architecture of Ultralytics)"]
    if published is None or name in published or f"{name}.pt" in published:
        return []
    return [f"model: {model} is not a file, nor one of the checkpoints Ultralytics publishes"]


def data_problems(data: object) -> list[str]:
    """Return a line for a data YAML that is not there; folders of classes may also be names of sets to download."""
    root = _ultralytics()
    if not isinstance(data, str) or root is None or FROM_ELSEWHERE in data or Path(data).exists():
        return []
    if Path(data).suffix not in (".yaml", ".yml") or any(root.glob(f"cfg/**/{Path(data).name}")):
        return []
    return [f"data: {data} cannot be used (no such file)"]


@cache
def _ultralytics() -> Path | None:
    """Return the folder of the installed Ultralytics; None without one, which the verb then says."""
    found = importlib.util.find_spec("ultralytics")
    return Path(found.origin).parent if found is not None and found.origin is not None else None


@cache
def _defaults() -> dict[str, object]:
    root = _ultralytics()
    file = root / "cfg" / "default.yaml" if root is not None else None
    return read_yaml(file) if file is not None and file.is_file() else {}


@cache
def _constants(file: str, names: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """Evaluate module constants of Ultralytics, built of literals, without importing the module, which needs torch."""
    root = _ultralytics()
    if root is None or not (root / file).is_file():
        return {}
    found: dict[str, Any] = {}
    for node in ast.parse((root / file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names:
            try:
                value = eval(compile(ast.Expression(node.value), file, "eval"), {"__builtins__": BUILDERS})
            except NameError:  # another release builds it of other names; the verb checks it later
                continue
            found[node.targets[0].id] = frozenset(value)
    return found
