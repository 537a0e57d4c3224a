"""The recipe of `balance: auto`: the sections worked out from the train split's counts, every value with its rule.

What stands behind the choice of rules is measured, arm by arm, in examples/benchmarks/RESULTS.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from yolo_balance.config import BalanceConfig, CalibrationConfig, SamplingConfig
from yolo_balance.config.reading import shown
from yolo_balance.sampling import ClassStatistics, class_inverse_frequency, image_factors
from yolo_balance.sampling.statistics import Floats
from yolo_balance.words import counted, percent

POWER, GAIN = 1.0, 1.0
MOST_APPEARANCES = 10.0  # of an image in an epoch: as often as one was shown in what was measured
EMPTY_MOSAICS = 0.25


@dataclass(frozen=True)
class Choice:
    """One value of the recipe.

    Attributes:
        key: Within its section, dotted: `isr.negatives.k`.
        value: As in YAML.
        why: The rule, and the counts it was given.
    """

    key: str
    value: Any
    why: str


def resolve(config: BalanceConfig, statistics: ClassStatistics, *, reads_recall: bool = True) -> BalanceConfig:
    """The configuration with every section that `auto` was left to fill in; the same where nothing was.

    Args:
        config: What was asked; a section it states, null among them, stays.
        statistics: The train split's labels.
        reads_recall: Whether validations tell recall, which parts of the recipe follow.
    """
    if not config.auto:
        return config
    filled = _left_out(config, statistics, reads_recall)
    update: dict[str, Any] = {"auto": False}
    if "sampling" in filled:
        update["sampling"] = SamplingConfig.model_validate(nested(filled["sampling"])) if filled["sampling"] else None
    if filled.get("recall.calibration"):
        chosen = CalibrationConfig.model_validate(nested(filled["recall.calibration"]))
        update["recall"] = config.recall.model_copy(update={"calibration": chosen})
    return config.model_copy(update=update)


def explained(config: BalanceConfig, statistics: ClassStatistics, *, reads_recall: bool = True) -> list[str]:
    """One line per value that `resolve` fills in: `balance.sampling.power: 1.0 (its rule)`."""
    return [
        f"balance.{name}{choice.key and f'.{choice.key}'}: {shown(choice.value)} ({choice.why})"
        for name, choices in _left_out(config, statistics, reads_recall).items()
        for choice in choices or [Choice("", None, nothing(statistics))]
    ]


def _left_out(config: BalanceConfig, statistics: ClassStatistics, reads_recall: bool) -> dict[str, list[Choice]]:
    if not config.auto:
        return {}
    stated = config.model_fields_set | {f"recall.{key}" for key in config.recall.model_fields_set}
    sections = {"sampling": sampling(statistics, reads_recall=reads_recall)}
    if reads_recall:
        sections["recall.calibration"] = calibration(statistics)
    return {name: choices for name, choices in sections.items() if name not in stated}


def nested(choices: Sequence[Choice]) -> dict[str, Any]:
    """The section's mapping."""
    section: dict[str, Any] = {}
    for choice in choices:
        node = section
        *parents, last = choice.key.split(".")
        for key in parents:
            node = node.setdefault(key, {})
        node[last] = choice.value
    return section


# ---------------------------------------------------------------------------------------------------------------------
# The rules
# ---------------------------------------------------------------------------------------------------------------------


def sampling(statistics: ClassStatistics, *, reads_recall: bool = True) -> list[Choice]:
    """`balance.sampling`; empty where there is nothing to balance."""
    images = statistics.images
    present = np.flatnonzero(images)
    if not len(present) or (ratio := images.max() / images[present].min()) == 1:
        return []
    rarest = present[np.argmin(images[present])]
    r = class_inverse_frequency(statistics, power=POWER)
    cap = repeat_cap(statistics, r)
    often = _appearances(statistics, r, cap).max()
    choices = [
        Choice("strategy", "inverse_frequency", "every image is wanted as often as its rarest class is rare"),
        Choice(
            "power",
            POWER,
            f"the largest class is in {ratio:.3g} times the images of the smallest ({images.max()} and "
            f"{images[rarest]}); smaller powers found fewer of the rare classes",
        ),
    ]
    limit = f"an image appears {often:.2g} times in an epoch at most, the limit is {MOST_APPEARANCES:g}"
    choices.append(Choice("max_repeat", cap, f"no cap: {limit}" if cap is None else f"capped: {limit}"))
    if reads_recall:
        why = "factors grow as a class's recall in the validations so far lies below the best class's"
        choices.append(Choice("feedback.gain", GAIN, why))
    background = float(statistics.background.mean())
    if background**4 > EMPTY_MOSAICS:
        why = (
            f"{percent(background)} background: by chance {percent(background**4)} of the mosaics, more than "
            f"{EMPTY_MOSAICS:.0%}, would have four empty tiles"
        )
        choices.append(Choice("foreground_mosaic", True, why))
    return choices


def calibration(statistics: ClassStatistics) -> list[Choice]:
    """`balance.recall.calibration`; empty where there is nothing to balance."""
    if not sampling(statistics):
        return []
    why = "confidences of classes learnt from few images and from many are put on one scale, AP stays what it is"
    return [Choice("rule", "fitted", why)]


def nothing(statistics: ClassStatistics) -> str:
    """Why a section is left off."""
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
    factors = image_factors(statistics, r, max_repeat=cap)
    appearances: Floats = factors * (statistics.num_images / factors.sum())
    return appearances
