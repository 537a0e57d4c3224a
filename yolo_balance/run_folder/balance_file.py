"""`balance.yaml`: the section as it was asked for, and its resolution on the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from yolo_balance.bounded_files import checked
from yolo_balance.config import SECTION, BalanceConfig, read_yaml
from yolo_balance.files import write_whole
from yolo_balance.losses.composition import ClassFactors
from yolo_balance.ranges import Amount, Count, Share
from yolo_balance.run_folder.names import BALANCE
from yolo_balance.sampling import ClassStatistics, SamplingSchedule, class_plans

MOST_BYTES = 8 << 20
"""Size above which the file is none of a run; that of 1,200 classes has 512 KiB."""


@dataclass(frozen=True)
class _ClassRow:
    boxes: Count
    images: Count | None = None
    natural: Share | None = None
    requested: Share | None = None
    factor: Amount | None = None
    product: Amount | None = None


@dataclass(frozen=True)
class _Resolved:
    classes: Mapping[str, _ClassRow]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Content:
    resolved: _Resolved
    balance: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BalanceFile:
    """Content of `balance.yaml`.

    Attributes:
        asked: The section, only the keys that were given; None where the section was left out.
        resolved: Options with defaults; on the data, counts, factors and shares by class (`resolved`).
    """

    asked: Mapping[str, Any] | None
    resolved: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        """Write the file, whole or not at all."""
        content = {SECTION: self.asked, "resolved": self.resolved}
        write_whole(folder / BALANCE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    @classmethod
    def load(cls, folder: Path) -> BalanceFile:
        """Read the file. Raises ConfigError or DataError in one line that names the file, and the key if it is one."""
        path = folder / BALANCE
        content: Any = read_yaml(path, MOST_BYTES)
        checked(_Content, content, path)  # its other keys are kept as they are
        return cls(content.get(SECTION), content["resolved"])

    @property
    def classes(self) -> dict[str, Mapping[str, Any]]:
        """Counts, factors and shares by class name, in class-id order."""
        return {str(name): row for name, row in self.resolved["classes"].items()}


def resolved(
    config: BalanceConfig,
    statistics: ClassStatistics,
    names: Sequence[str],
    schedule: SamplingSchedule | None,
    factors: ClassFactors | None,
) -> dict[str, object]:
    """Return the configuration as resolved: options with defaults; on the data, counts, factors and shares by class."""
    expectation = np.ones(statistics.num_images) if schedule is None else schedule.shown.expectation
    losses = config.losses
    classes = {name: asdict(plan) for name, plan in class_plans(statistics, names, schedule).items()}
    if factors is not None and factors.by_loss:
        for row, weights in zip(classes.values(), factors.rows(), strict=True):
            row.update(weights)
    return {
        "options": (config if losses is None else config.model_copy(update={"losses": losses.resolved()})).model_dump(),
        "images": statistics.num_images,
        "background_images": int(statistics.background.sum()),
        "images_per_epoch": statistics.num_images if schedule is None else schedule.size,
        "background_share": round(float(expectation[statistics.background].sum() / expectation.sum()), 5),
        "classes": classes,
        **_groups(schedule),
    }


def _groups(schedule: SamplingSchedule | None) -> dict[str, object]:
    """Return the images and the requested share of each group, where `balance.sampling.groups` is stated."""
    if schedule is None or schedule.weights is None or not schedule.weights.grouped:
        return {}
    weights, expectation = schedule.weights, schedule.shown.expectation
    images = np.bincount(weights.group).tolist()
    shares = (weights.sums(expectation) / expectation.sum()).round(5).tolist()
    rows = zip(weights.names, images, shares, strict=True)
    return {"groups": {name: {"images": count, "requested": share} for name, count, share in rows}}
