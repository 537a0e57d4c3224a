"""The command line: one function per verb, plain values in, an exit code out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import yaml

from yolo_balance import __version__
from yolo_balance.errors import BalanceError, ConfigError

OK, USER_ERROR, UNKNOWN_ERROR, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 0 is success, 1 an error of the user's said in one line each, 2 a bug with its traceback."""
    try:
        arguments = _parser().parse_args(argv)
        arguments.verb(arguments)
    except BalanceError as e:
        for line in str(e).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return UNKNOWN_ERROR
    return OK


def _train(arguments: argparse.Namespace) -> None:
    overrides = parse_overrides(arguments.overrides)
    from yolo_balance.integration.run import train  # torch and ultralytics are needed from here on

    train(arguments.file, **overrides)


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as a mapping; values are read as YAML, so that 5, 0.1, true, null and [1, 2] mean the same.

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


def _value(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)  # 1e-3 is a number to everyone but YAML 1.1
        except ValueError:
            return value
    return value


class _Parser(argparse.ArgumentParser):
    """Usage errors like all others: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="yolo_balance", description="Train detectors that must not miss the rare class.")
    parser.add_argument("--version", action="version", version=f"yolo_balance {__version__}")
    verbs = parser.add_subparsers(metavar="verb", required=True, parser_class=_Parser)
    train = verbs.add_parser("train", help="train as a YAML says and read recall per class")
    train.add_argument("file", help="YAML: what Ultralytics accepts, and our sections under balance:")
    train.add_argument("overrides", nargs="*", metavar="key=value", help="replaces a key of the file, dotted or not")
    train.set_defaults(verb=_train)
    return parser
