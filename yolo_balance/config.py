"""The YAML schema: everything under `balance:`, typed, with every problem of a file reported at once.

A file holds what Ultralytics accepts at its top level and our sections under `balance:`. A section left out is off.
This module needs neither torch nor Ultralytics, so a file can be checked anywhere.
"""

from __future__ import annotations

import copy
import difflib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from yolo_balance.errors import ConfigError

SECTION = "balance"

# ---------------------------------------------------------------------------------------------------------------------
# Values
# ---------------------------------------------------------------------------------------------------------------------


def _threshold(value: Any) -> Any:
    if value == "median" or (_is_number(value) and 0 < value <= 1):
        return value
    raise ValueError("expected 'median' or a frequency in (0, 1]")


def _epoch_size(value: Any) -> Any:
    if value == "full" or (_is_number(value) and value > 0):
        if isinstance(value, int) and value < 5:  # nobody trains on four images; nearly everybody means a multiple
            raise ValueError(f"a whole number is a count of images; write {value}.0 for {value} times the data set")
        return value
    raise ValueError("expected a positive multiple of the data set (1.0), a count of images (2000) or 'full'")


def _iou(value: float) -> float:
    if not 0.5 <= value <= 0.95 or not math.isclose(value * 20, round(value * 20)):
        raise ValueError("expected one of the IoU thresholds Ultralytics matches at: 0.5, 0.55, ..., 0.95")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Section(BaseModel):
    """A section of the YAML: unknown keys are refused, values keep their type, nothing changes after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


# ---------------------------------------------------------------------------------------------------------------------
# Sections
# ---------------------------------------------------------------------------------------------------------------------


class SamplingConfig(Section):
    """Which images an epoch shows (`balance.sampling`).

    Attributes:
        strategy: The rule that turns class counts into image factors; `repeat_factor` is Gupta et al., LVIS (2019).
        threshold: Image frequency below which a class is repeated; `median` of the classes' frequencies.
        power: 0 repeats nothing, 0.5 is the published square root, 1 follows the inverse frequency.
        max_repeat: Cap on any image's factor; null for none.
        epoch_size: Images per epoch: a decimal is a multiple of the data set, a whole number a count, `full` the sum
            of the factors.
        partners: Whether Mosaic, MixUp, CutMix and CopyPaste draw their other images from the same plan.
    """

    strategy: Literal["repeat_factor"] = "repeat_factor"
    threshold: Annotated[Literal["median"] | float, BeforeValidator(_threshold)] = "median"
    power: Annotated[float, Field(ge=0)] = 0.5
    max_repeat: Annotated[float, Field(ge=1)] | None = None
    epoch_size: Annotated[Literal["full"] | int | float, BeforeValidator(_epoch_size)] = 1.0
    partners: bool = True


class FocalConfig(Section):
    """Quality focal weights on the classification loss, Li et al., GFL (2020) (`balance.losses.focal`).

    Attributes:
        beta: Exponent of |target - score|; 0 is plain cross-entropy.
    """

    beta: Annotated[float, Field(ge=0)] = 2.0


class ISRConfig(Section):
    """Importance-based sample reweighting of the positives, Cao et al. (2019) (`balance.losses.isr`).

    Attributes:
        k: Exponent of the linear importance; 0 weighs all alike.
        bias: Importance of the last-ranked sample, in [0, 1].
    """

    k: Annotated[float, Field(ge=0)] = 2.0
    bias: Annotated[float, Field(ge=0, le=1)] = 0.0


class CARLConfig(Section):
    """Classification-aware regression loss, Cao et al. (2019) (`balance.losses.carl`).

    Attributes:
        k: Exponent of the score.
        bias: Importance at score zero, in [0, 1].
        gain: Size of the added box loss relative to the host's: each positive's box weight is 1 + gain * v.
    """

    k: Annotated[float, Field(ge=0)] = 1.0
    bias: Annotated[float, Field(ge=0, le=1)] = 0.2
    gain: Annotated[float, Field(ge=0)] = 0.5


class LossesConfig(Section):
    """What the gradient weighs (`balance.losses`)."""

    focal: FocalConfig | None = None
    isr: ISRConfig | None = None
    carl: CARLConfig | None = None


class RecallConfig(Section):
    """What people read after every validation (`balance.recall`); reported with these defaults when left out.

    Attributes:
        iou: IoU at which a box finds an object, one of the host's ten thresholds.
        confidence: Confidence level of the intervals.
        false_alarms: Budgets, in false boxes per defect-free image, at which recall is read.
        targets: Recall promised per class name; the report says whether the interval shows it.
    """

    iou: Annotated[float, AfterValidator(_iou)] = 0.5
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    false_alarms: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = [0.1, 1.0]
    targets: dict[str, Annotated[float, Field(gt=0, le=1)]] | None = None


class BalanceConfig(Section):
    """The `balance:` section: what was asked, checked. A section that is None is off.

    Example:
        >>> BalanceConfig.load({"losses": {"focal": {"beta": 1.5}}}).losses.focal.beta
        1.5
    """

    sampling: SamplingConfig | None = None
    losses: LossesConfig | None = None
    recall: RecallConfig = RecallConfig()

    @classmethod
    def load(cls, source: BalanceConfig | str | Path | Mapping[str, Any] | None) -> BalanceConfig:
        """Read the section from a file, from a whole run's mapping or from the section's own mapping.

        Args:
            source: Path of a YAML file with a `balance:` section; or a mapping, either with a `balance` key or the
                section itself; or a BalanceConfig, returned as it is; or None for every term off.

        Raises:
            ConfigError: The file cannot be read, or with every problem of the section.
        """
        if isinstance(source, BalanceConfig):
            return source
        if isinstance(source, (str, Path)):
            source = read_yaml(source)
        section: Any = source
        if isinstance(source, Mapping) and (SECTION in source or "model" in source or "data" in source):
            section = source.get(SECTION)  # a whole run's mapping
            if SECTION not in source and (misspelt := difflib.get_close_matches(SECTION, map(str, source))):
                raise ConfigError(unknown_key(misspelt[0], [SECTION]))  # else all would be off without a word
        config, problems = parse_section(section)
        if config is None:
            raise ConfigError(problems)
        return config

    def off(self) -> bool:
        """Whether the run trains exactly as stock Ultralytics does (recall is still reported)."""
        return self.sampling is None and self.losses is None


# ---------------------------------------------------------------------------------------------------------------------
# Reading
# ---------------------------------------------------------------------------------------------------------------------


def read_yaml(path: str | Path) -> dict[str, Any]:
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
        raise ConfigError(f"{path}: expected a mapping of keys at the top level, got {_shown(content)}")
    return content


def apply_overrides(content: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a run's mapping with dotted keys set: {"epochs": 5, "balance.losses.carl.gain": 0.1}."""
    result: dict[str, Any] = copy.deepcopy(dict(content))
    for dotted, value in overrides.items():
        *parents, last = dotted.split(".")
        node = result
        for i, key in enumerate(parents):
            if node.get(key) is None:  # a section left out or switched off is opened by naming a key in it
                node[key] = {}
            if not isinstance(node[key], dict):
                path = ".".join(parents[: i + 1])
                raise ConfigError(f"{dotted}: {path} is {_shown(node[key])}, not a section with keys")
            node = node[key]
        node[last] = value
    return result


def parse_section(section: Any) -> tuple[BalanceConfig | None, list[str]]:
    """Check a `balance:` section.

    Returns:
        The configuration and no problems, or None and one line per problem.
    """
    try:
        return BalanceConfig.model_validate({} if section is None else section), []
    except ValidationError as e:
        return None, [_line(error["loc"], error["type"], error["msg"], error["input"]) for error in e.errors()]


def unknown_key(path: str, valid: Iterable[str]) -> str:
    """The line for an unknown key: names the nearest valid one by its dotted path.

    A key of the same section is preferred; one of another section is named only if it is spelt nearly alike.
    """
    parent, _, key = path.rpartition(".")

    def closeness(candidate: str) -> tuple[bool, float]:
        candidate_parent, _, candidate_key = candidate.rpartition(".")
        ratio = difflib.SequenceMatcher(None, key, candidate_key).ratio()
        return ratio >= 0.6 or candidate_parent == parent, ratio + 0.1 * (candidate_parent == parent)

    return f"{path}: unknown key, the nearest valid one is {max(valid, key=closeness)}"


def dotted_keys(model: type[BaseModel] = BalanceConfig, prefix: str = SECTION) -> list[str]:
    """Every valid dotted key of the section, `balance.sampling.power` and so on."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(f"{prefix}.{name}")
        for option in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(option, type) and issubclass(option, BaseModel):
                keys += dotted_keys(option, f"{prefix}.{name}")
    return keys


def _line(loc: tuple[int | str, ...], kind: str, message: str, value: Any) -> str:
    """One problem in one line: dotted key, what was expected, what arrived."""
    path = ".".join([SECTION, *map(str, loc)])
    if kind == "extra_forbidden":
        return unknown_key(path, dotted_keys())
    if kind == "model_type":
        return f"{path}: expected a section of keys ({{}} for its defaults, null for off), got {_shown(value)}"
    text = message.removeprefix("Value error, ").replace("Input should be", "expected")
    if kind == "too_short":
        text = "expected at least one item"
    return f"{path}: {text}, got {_shown(value)}"


def _shown(value: Any) -> str:
    """A value as the user wrote it, short."""
    text = " ".join(yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").split())
    return text if len(text) <= 60 else f"{text[:57]}..."
