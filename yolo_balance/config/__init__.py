"""The YAML schema: everything under `balance:`, typed, with every problem of a file reported at once.

The top level of a file holds the keys of Ultralytics, `balance:` those of this package. A section left out is off.
The schema needs neither torch nor Ultralytics, so a file can be checked on any machine.
"""

from __future__ import annotations

import difflib
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, ValidationError, model_validator

from yolo_balance.config.losses import LossesConfig
from yolo_balance.config.reading import (
    AUTO,
    SECTION,
    apply_overrides,
    opened,
    problem_lines,
    read_yaml,
    shown,
    unknown_key,
)
from yolo_balance.config.recall import RecallConfig
from yolo_balance.config.sampling import SamplingConfig
from yolo_balance.config.section import COMPARED, RECOMMENDED, Section, subsection
from yolo_balance.config.synthesis import PasteConfig, SynthesisConfig
from yolo_balance.errors import ConfigError

__all__ = [
    "SECTION",
    "BalanceConfig",
    "LossesConfig",
    "PasteConfig",
    "RecallConfig",
    "SamplingConfig",
    "SynthesisConfig",
    "apply_overrides",
    "dotted_keys",
    "opened",
    "parse_section",
    "read_yaml",
    "unknown_key",
]


class BalanceConfig(Section):
    """The `balance:` section as the file states it, checked. A section that is None is off.

    Example:
        >>> BalanceConfig.load({"losses": {"focal": {"beta": 1.5}}}).losses.focal.beta
        1.5
    """

    auto: Annotated[bool, RECOMMENDED] = False
    """Fill the sampling keys that this file leaves out from the counts of the train split, each printed with its rule.
    `balance: auto` is short for this key alone."""
    sampling: Annotated[SamplingConfig | None, RECOMMENDED] = None
    """Images that an epoch shows; null shows each image once, as Ultralytics does."""
    synthesis: Annotated[SynthesisConfig | None, COMPARED] = None
    """Objects of rare classes in new places; null shows the images as they are, {} pastes at the defaults."""
    losses: Annotated[LossesConfig | None, COMPARED] = None
    """Weights on the losses of Ultralytics, by class, anchor and object; a term that is left out is off."""
    recall: Annotated[
        RecallConfig,
        BeforeValidator(lambda section: {} if section is None else section, json_schema_input_type=RecallConfig | None),
        RECOMMENDED,
    ] = RecallConfig()
    """Figures read after every validation; null reads them at their defaults."""

    @model_validator(mode="before")
    @classmethod
    def _opened(cls, section: object) -> object:
        return opened(section)

    @classmethod
    def load(cls, source: BalanceConfig | str | Path | Mapping[str, object] | None) -> BalanceConfig:
        """Read the section from a file, from a whole run's mapping or from the section's own mapping.

        Args:
            source: Path of a YAML file with a `balance:` section; or `auto`; or a mapping, either with a `balance` key
                or the section itself; or a BalanceConfig, returned as it is; or None for every term off.

        Raises:
            ConfigError: The file cannot be read, or with every problem of the section.
        """
        if isinstance(source, BalanceConfig):
            return source
        if isinstance(source, (str, Path)) and source != AUTO:
            source = read_yaml(source)
        section: Any = source
        if isinstance(source, Mapping) and (SECTION in source or "model" in source or "data" in source):
            section = source.get(SECTION)  # a whole run's mapping
            keys = [key for key in source if isinstance(key, str) and len(key) < 2 * len(SECTION)]
            if SECTION not in source and (misspelt := difflib.get_close_matches(SECTION, keys)):
                raise ConfigError(unknown_key(misspelt[0], [SECTION]))  # else all would be off without a word
        config, problems = parse_section(section)
        if config is None:
            raise ConfigError(problems)
        return config

    def __repr__(self) -> str:
        """Return the stated keys on one line, cut to 60 characters."""
        return f"BalanceConfig({shown(self.model_dump(exclude_unset=True))})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the stated keys as YAML."""
        text = yaml.safe_dump({SECTION: self.model_dump(exclude_unset=True)}, sort_keys=False, allow_unicode=True)
        return f"<pre>{html.escape(text)}</pre>"

    def off(self) -> bool:
        """Return whether the run trains exactly as stock Ultralytics does (recall is still reported)."""
        return not self.auto and self.sampling is None and self.losses is None and not self.synthetic

    @property
    def synthetic(self) -> bool:
        """Whether the network is shown objects that are pasted or made elsewhere."""
        return self.paste is not None or self.made is not None

    @property
    def made(self) -> str | None:
        """The folder `balance.synthesis.folder`; None without."""
        return None if self.synthesis is None else self.synthesis.folder

    @property
    def paste(self) -> PasteConfig | None:
        """The section `balance.synthesis.paste`; None where nothing is pasted."""
        return None if self.synthesis is None else self.synthesis.paste


def parse_section(section: object) -> tuple[BalanceConfig | None, list[str]]:
    """Check a `balance:` section.

    Returns:
        The configuration and no problems, or None and one line per problem.
    """
    try:
        return BalanceConfig.model_validate({} if section is None else section), []
    except ValidationError as e:
        return None, problem_lines(e, dotted_keys(), SECTION)


def dotted_keys(model: type[Section] = BalanceConfig, prefix: str = SECTION) -> list[str]:
    """Return every valid dotted key below a section: `balance.sampling.power` and so on."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(f"{prefix}.{name}")
        if section := subsection(field):
            keys += dotted_keys(section, f"{prefix}.{name}")
    return keys
