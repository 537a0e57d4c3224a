"""A run's sampling over its epochs: natural at first and last if asked, balanced between, following what was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo_balance.arrays import Bools, Floats
from yolo_balance.config import SamplingConfig
from yolo_balance.config.sampling import epochs_of
from yolo_balance.errors import ConfigError
from yolo_balance.sampling.epoch import SamplingPlan, epoch_length
from yolo_balance.sampling.factors import (
    Aggregate,
    background_share,
    class_effective_number,
    class_inverse_frequency,
    class_repeat_factors,
    class_uniform,
    image_factors,
)
from yolo_balance.sampling.image_weights import ImageWeights
from yolo_balance.sampling.statistics import ClassStatistics


@dataclass(frozen=True)
class ClassPlan:
    """Plan of a balanced epoch for one class.

    Attributes:
        images: Images of the data that hold the class.
        boxes: Boxes of the class in the data.
        natural: Share of the class in all boxes of the data.
        factor: Class factor.
        requested: Share of the class in all boxes of an epoch, co-occurrence included.
        distinct_images_per_epoch: Images of the class that an epoch shows at least once, in expectation.
        largest_image_share: Largest share of the class's boxes in an epoch that one image supplies.
    """

    images: int
    boxes: int
    natural: float
    factor: float
    requested: float
    distinct_images_per_epoch: float
    largest_image_share: float


def class_plans(
    statistics: ClassStatistics, names: Sequence[str], schedule: SamplingSchedule | None
) -> dict[str, ClassPlan]:
    """Plan each class of a balanced epoch, by name; without a schedule, the figures are those of the data."""
    expectation = np.ones(statistics.num_images) if schedule is None else schedule.balanced.expectation
    factors = np.ones(len(names)) if schedule is None else schedule.with_multipliers(schedule.multipliers)
    image, label, _ = statistics.pairs
    distinct = np.bincount(label, weights=np.minimum(expectation, 1.0)[image], minlength=len(names))
    natural, requested = statistics.box_shares(), statistics.box_shares(expectation)
    largest, _ = statistics.largest_image_shares(expectation)
    return {
        name: ClassPlan(
            int(statistics.images[c]),
            int(statistics.boxes[c]),
            round(float(natural[c]), 5),
            round(float(factors[c]), 4),
            round(float(requested[c]), 5),
            round(float(distinct[c]), 1),
            round(float(largest[c]), 5),
        )
        for c, name in enumerate(names)
    }


class SamplingSchedule:
    """Sampling plan of each epoch of a run.

    Attributes:
        options: The section `balance.sampling`.
        statistics: The train split's labels.
        class_factors: (C,) factors of the strategy; factors given by name replace them.
        multipliers: (C,) multipliers of feedback; ones without.
        hard: (num_images,) background images on which the detector raised false alarms.
        weights: Weights of `images` and `groups`, None without.
        size: Images per epoch, the same in all: Ultralytics counts its batches once.

    Raises:
        ConfigError: A share of background images is requested and there is none.
    """

    def __init__(
        self,
        options: SamplingConfig,
        statistics: ClassStatistics,
        names: Sequence[str],
        seed: int,
        weights: ImageWeights | None = None,
    ):
        if options.background is not None and options.background.share and not statistics.background.any():
            raise ConfigError(
                f"balance.sampling.background: expected background images for a share of "
                f"{options.background.share:g}, but all {statistics.num_images} train images have objects"
            )
        self.options, self.statistics, self.seed, self.weights = options, statistics, seed, weights
        self.class_factors = class_factors(options, statistics, names)
        self.multipliers: Floats = np.ones(len(names))
        self.hard: Bools = np.zeros(statistics.num_images, bool)
        factors = self._factors()
        self.size = epoch_length(options.epoch_size, factors)
        self._natural = SamplingPlan(np.ones(statistics.num_images), self.size, seed, statistics.rarest)
        self._balanced: SamplingPlan | None = SamplingPlan(factors, self.size, seed, statistics.rarest, options.draw)

    def plan(self, epoch: int, epochs: int) -> SamplingPlan:
        """Return the plan of an epoch of a run of so many: the same object until something changes."""
        return self._natural if self.natural(epoch, epochs) else self.balanced

    @property
    def balanced(self) -> SamplingPlan:
        """The current plan of the epochs that are not natural."""
        if self._balanced is None:
            self._balanced = SamplingPlan(
                self._factors(), self.size, self.seed, self.statistics.rarest, self.options.draw
            )
        return self._balanced

    def natural(self, epoch: int, epochs: int) -> bool:
        """Return whether an epoch is drawn as the data is: one of the first `open` or the last `close`."""
        opening, closing = (epochs_of(part, epochs) for part in (self.options.open, self.options.close))
        return epoch < opening or epoch >= epochs - closing

    def follow(self, multipliers: Floats, hard: Bools) -> None:
        """Use the multipliers of feedback and the hard images in all later plans."""
        if not (np.array_equal(multipliers, self.multipliers) and np.array_equal(hard, self.hard)):
            self.multipliers, self.hard, self._balanced = multipliers, hard, None

    def with_multipliers(self, multipliers: Floats) -> Floats:
        """Return (C,) class factors times multipliers, at most `max_repeat`."""
        factors = self.class_factors * multipliers
        return factors if self.options.max_repeat is None else np.minimum(factors, self.options.max_repeat)

    def _factors(self) -> Floats:
        aggregate: Aggregate = "sum" if self.options.strategy == "class_uniform" else self.options.aggregate
        factors = image_factors(
            self.statistics,
            self.with_multipliers(self.multipliers),
            aggregate=aggregate,
            max_repeat=self.options.max_repeat,
        )
        background = self.options.background
        if background is not None and background.hard:
            factors = np.where(self.hard, 1 + background.gain, factors)
        share = None if background is None else background.share
        if self.weights is not None:
            return self.weights.fitted(factors * self.weights.factors, self.statistics.background, share)
        return background_share(factors, self.statistics.background, share)


def class_factors(options: SamplingConfig, statistics: ClassStatistics, names: Sequence[str]) -> Floats:
    """Return (C,) the strategy's class factors, with those that `classes` names in their place."""
    o = options
    if o.strategy == "repeat_factor":
        r = class_repeat_factors(statistics, threshold=o.threshold, power=o.power, frequency=o.frequency)
    elif o.strategy == "inverse_frequency":
        r = class_inverse_frequency(statistics, power=o.power, frequency=o.frequency)
    elif o.strategy == "effective_number":
        r = class_effective_number(statistics, beta=o.beta, frequency=o.frequency)
    else:
        r = class_uniform(statistics)
    for name, factor in (o.classes or {}).items():
        r[names.index(name)] = factor
    return r
