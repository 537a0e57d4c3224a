"""The recipe of `balance: auto`: sampling worked out from the train split's counts, every value with its rule.

Auto fills the keys of `balance.sampling` that a section leaves out; stated keys stay, and the rules count with them.
The measurements behind the rules are in examples/benchmarks/RESULTS.md, arm by arm.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from yolo_balance.config import SECTION, BalanceConfig, SamplingConfig
from yolo_balance.config.reading import shown
from yolo_balance.sampling import ClassStatistics, SamplingSchedule
from yolo_balance.text import counted, percent

STRATEGY = "inverse_frequency"
POWERS = {"inverse_frequency": 1.0, "repeat_factor": 0.5}
"""Power by strategy; the other strategies have no use for one."""
MOST_APPEARANCES = 10.0  # of an image in an epoch, the most in any measured run
EMPTY_MOSAICS = 0.25
SAMPLING, STATED = "sampling", "stated"


@dataclass(frozen=True)
class Choice:
    """A value of the recipe, or a stated one that the recipe keeps.

    Attributes:
        key: Dotted key within `balance`.
        value: As in YAML.
        why: The rule and its counts, or `stated`.
    """

    key: str
    value: Any
    why: str

    @property
    def line(self) -> str:
        """The choice in words: `balance.sampling.power: 1.0 (its rule)`."""
        return f"{SECTION}.{self.key}: {shown(self.value)} ({self.why})"


def fill(asked: BalanceConfig, statistics: ClassStatistics, names: Sequence[str]) -> tuple[BalanceConfig, list[Choice]]:
    """Fill in the keys that `auto` stands for.

    Args:
        asked: The section. Its `classes` are names of the data.
        statistics: The train split's labels.
        names: Class names by class id.

    Returns:
        The section without `auto`, and a choice per key of `balance.sampling` that is filled or stated; without
        `auto` the same section and no choice.
    """
    if not asked.auto:
        return asked, []
    choices = sampling(asked, statistics, names)
    values = {choice.key.removeprefix(f"{SAMPLING}."): choice.value for choice in choices}
    filled = None if SAMPLING in values else SamplingConfig(**values)
    return asked.model_copy(update={"auto": False, SAMPLING: filled}), choices


# ---------------------------------------------------------------------------------------------------------------------
# The rules
# ---------------------------------------------------------------------------------------------------------------------


def sampling(asked: BalanceConfig, statistics: ClassStatistics, names: Sequence[str]) -> list[Choice]:
    """Return the choices of `balance.sampling`: one per key, or `sampling: null` alone where it stays off."""
    if asked.sampling is None and SAMPLING in asked.model_fields_set:
        return [Choice(SAMPLING, None, STATED)]
    stated = {} if asked.sampling is None else asked.sampling.model_dump(exclude_unset=True)
    if not stated and (reason := nothing_to_balance(statistics)):
        return [Choice(SAMPLING, None, reason)]

    filled: dict[str, tuple[Any, str]] = {
        "strategy": (STRATEGY, "the rarer the rarest class of an image, the more often it is shown")
    }
    strategy = stated.get("strategy", STRATEGY)
    if strategy in POWERS:
        filled["power"] = POWERS[strategy], _why_power(strategy, statistics)
    options = SamplingConfig(**{**{key: value for key, (value, _) in filled.items()}, **stated})
    if "max_repeat" not in stated:
        cap = repeat_cap(options, statistics, names)
        often = f"no image is shown more than {_most(options, cap, statistics, names):.2g} times per epoch"
        filled["max_repeat"] = cap, f"{often}; up to {MOST_APPEARANCES:g} times was tested"
    filled["partners"] = True, "Mosaic and MixUp then follow the plan with their other images, too"
    share = None if options.background is None else options.background.share
    background = float(statistics.background.mean()) if share is None else share
    if background**4 > EMPTY_MOSAICS and options.partners:
        filled["foreground_mosaic"] = (
            True,
            f"{percent(background)} background: by chance {percent(background)}^4 = {percent(background**4)} of the "
            "mosaics, more than a quarter, would have four empty tiles",
        )
    reasons = {**filled, **{key: (value, STATED) for key, value in stated.items()}}
    return [Choice(f"{SAMPLING}.{key}", value, why) for key, (value, why) in reasons.items()]


def nothing_to_balance(statistics: ClassStatistics) -> str:
    """Return why sampling is left off; empty where classes differ in their number of images."""
    images = statistics.images[statistics.images > 0]
    if len(images) and images.max() > images.min():
        return ""
    if not len(images):
        return "no image has an object: there is nothing to balance"
    reason = "one class only" if len(images) == 1 else f"every class is in {counted(int(images.min()), 'image')}"
    return f"{reason}: there is nothing to balance"


def repeat_cap(options: SamplingConfig, statistics: ClassStatistics, names: Sequence[str]) -> float | None:
    """Return the largest `max_repeat`, to a half, at which no image with objects is expected more than ten times.

    The cap is at least 1 and at least the largest factor in `classes`; None where no cap is needed. `max_repeat` in the
    options does not count.
    """
    if _most(options, None, statistics, names) <= MOST_APPEARANCES:
        return None
    schedule = _schedule(options, None, statistics, names)
    highest = max(schedule.class_factors.max(), schedule.balanced.factors[~statistics.background].max())
    lowest = math.ceil(2 * max([1.0, *(options.classes or {}).values()])) / 2
    caps: list[float] = np.arange(lowest, max(highest, lowest + 0.5), 0.5).tolist()
    # Appearances rise with the cap
    fitting = bisect_right(caps, MOST_APPEARANCES, key=lambda cap: _most(options, cap, statistics, names))
    return caps[max(fitting - 1, 0)]


def _why_power(strategy: str, statistics: ClassStatistics) -> str:
    if strategy == "repeat_factor":
        return "the published square root of repeat factors"
    images = statistics.images[statistics.images > 0]
    if not len(images):
        return "all classes are to be shown equally often"
    return (
        "all classes are to be shown equally often, and the largest is in "
        f"{images.max() / images.min():.3g} times the images of the smallest ({images.max()} and {images.min()})"
    )


def _most(options: SamplingConfig, cap: float | None, statistics: ClassStatistics, names: Sequence[str]) -> float:
    """Return the expected appearances in an epoch of the image with objects that has most of them."""
    expectation = _schedule(options, cap, statistics, names).balanced.expectation
    return float(expectation[~statistics.background].max(initial=0.0))


def _schedule(
    options: SamplingConfig, cap: float | None, statistics: ClassStatistics, names: Sequence[str]
) -> SamplingSchedule:
    return SamplingSchedule(options.model_copy(update={"max_repeat": cap}), statistics, names, seed=0)
