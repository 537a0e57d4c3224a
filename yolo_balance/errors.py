"""Errors that a user can cause, as one tree.

BalanceError             anything a user can cause; the command line prints it and exits with 1
├── ConfigError          a YAML file, a key or a value; carries every problem found, one line each
├── DataError            the data set: missing, empty, without objects
└── HostError            the model, the task or the installed Ultralytics
"""

from __future__ import annotations

from collections.abc import Sequence


class BalanceError(Exception):
    """Base of every error a user can cause; the text is a complete message for the user."""


class ConfigError(BalanceError):
    """One or more problems of a configuration.

    Attributes:
        problems: One line per problem, each naming the dotted key, what was expected and what arrived.
    """

    def __init__(self, problems: str | Sequence[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(BalanceError):
    """The data set cannot be trained on."""


class HostError(BalanceError):
    """The model, its task or the installed Ultralytics does not fit."""
