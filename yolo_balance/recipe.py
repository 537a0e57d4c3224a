"""The recipe of `balance: auto`: sampling worked out from the train split's counts, every value with its rule.

What stands behind the rules is measured, arm by arm, in examples/benchmarks/RESULTS.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from yolo_balance.arrays import Floats
from yolo_balance.config import BalanceConfig, SamplingConfig
from yolo_balance.config.reading import shown
from yolo_balance.sampling import ClassStatistics, background_share, class_inverse_frequency, image_factors
from yolo_balance.text import counted, percent

POWER = 1.0
MOST_APPEARANCES = 10.0  # of an image in an epoch: as often as one was shown in what was measured
EMPTY_MOSAICS = 0.25


@dataclass(frozen=True)
class Choice:
    """One value of the recipe.

    Attributes:
        key: Within `balance.sampling`.
        value: As in YAML.
        why: The rule, and the counts it was given.
    """

    key: str
    value: Any
    why: str


def resolve(config: BalanceConfig, statistics: ClassStatistics) -> BalanceConfig:
    """The configuration with the sampling that `auto` stands for; the same without `auto`.

    Args:
        config: What was asked; a `sampling` that it states, null too, stays.
        statistics: The train split's labels.
    """
    if not config.auto:
        return config
    update: dict[str, Any] = {"auto": False}
    if "sampling" not in config.model_fields_set:
        choices = sampling(statistics)
        update["sampling"] = SamplingConfig(**{choice.key: choice.value for choice in choices}) if choices else None
    return config.model_copy(update=update)


def explained(config: BalanceConfig, statistics: ClassStatistics) -> list[str]:
    """One line per value that `resolve` fills in: `balance.sampling.power: 1.0 (its rule)`."""
    if not config.auto or "sampling" in config.model_fields_set:
        return []
    choices = sampling(statistics)
    if not choices:
        return [f"balance.sampling: null ({nothing(statistics)})"]
    return [f"balance.sampling.{choice.key}: {shown(choice.value)} ({choice.why})" for choice in choices]


# ---------------------------------------------------------------------------------------------------------------------
# The rules
# ---------------------------------------------------------------------------------------------------------------------


def sampling(statistics: ClassStatistics) -> list[Choice]:
    """`balance.sampling`; empty where there is nothing to balance."""
    images = statistics.images
    present = np.flatnonzero(images)
    if not len(present) or (ratio := images.max() / images[present].min()) == 1:
        return []
    r = class_inverse_frequency(statistics, power=POWER)
    cap = repeat_cap(statistics, r)
    often = f"an image then comes {_appearances(statistics, r, cap).max():.2g} times in an epoch at most"
    limit = f"more than {MOST_APPEARANCES:g} was not measured"
    choices = [
        Choice("strategy", "inverse_frequency", "an image is wanted as often as its rarest class is rare"),
        Choice(
            "power",
            POWER,
            f"classes are wanted equally often, the largest being in {ratio:.3g} times the images of the smallest "
            f"({images.max()} and {images[present].min()})",
        ),
        Choice("max_repeat", cap, f"{often}; {limit}"),
        Choice("partners", True, "else Mosaic and MixUp take their other images as if nothing were balanced"),
    ]
    background = float(statistics.background.mean())
    if background**4 > EMPTY_MOSAICS:
        why = (
            f"{percent(background)} background: by chance {percent(background)}^4 = {percent(background**4)} of the "
            "mosaics, more than a quarter, would have four empty tiles"
        )
        choices.append(Choice("foreground_mosaic", True, why))
    return choices


def nothing(statistics: ClassStatistics) -> str:
    """Why sampling is left off."""
    images = statistics.images[statistics.images > 0]
    reason = "one class only" if len(images) == 1 else f"every class is in {counted(int(images.min()), 'image')}"
    return f"{reason}: there is nothing to balance"


def repeat_cap(statistics: ClassStatistics, r: Floats) -> float | None:
    """The largest `max_repeat`, to a half, at which no image of an epoch is expected more than ten times.

    Args:
        statistics: The train split's labels.
        r: (C,) class factors.

    Returns:
        None where none is needed; at least 1.
    """
    if _appearances(statistics, r, None).max() <= MOST_APPEARANCES:
        return None
    caps = np.arange(1.0, r.max(), 0.5)  # appearances rise with the cap
    low, high = 0, len(caps) - 1
    while low < high:
        middle = (low + high + 1) // 2
        fits = _appearances(statistics, r, float(caps[middle])).max() <= MOST_APPEARANCES
        low, high = (middle, high) if fits else (low, middle - 1)
    return float(caps[low])


def _appearances(statistics: ClassStatistics, r: Floats, cap: float | None) -> Floats:
    factors = background_share(image_factors(statistics, r, max_repeat=cap), statistics.background)
    appearances: Floats = factors * (statistics.num_images / factors.sum())
    return appearances
