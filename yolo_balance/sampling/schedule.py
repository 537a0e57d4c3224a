"""A run's sampling over its epochs: natural at first and last if asked, balanced between, following what was learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
from yolo_balance.sampling.pastes import PasteWish, pasted_shares, requested_shares
from yolo_balance.sampling.statistics import ClassStatistics


@dataclass(frozen=True)
class ClassPlan:
    """Plan of a balanced epoch for one class.

    Attributes:
        images: Images of the data that hold the class.
        boxes: Boxes of the class in the data.
        natural: Share of the class in all boxes of the data.
        factor: Class factor; with pastes, the factor that pastes and images make up together.
        requested: Share of the class in all boxes of an epoch, co-occurrence and pastes included.
        pasted: Share of the class's boxes in an epoch that are pasted.
        distinct_images_per_epoch: Images of the class that an epoch shows at least once, in expectation.
        largest_image_share: Largest share of the class's boxes in an epoch that one image supplies.
    """

    images: int
    boxes: int
    natural: float
    factor: float
    requested: float
    pasted: float
    distinct_images_per_epoch: float
    largest_image_share: float


def class_plans(
    statistics: ClassStatistics, names: Sequence[str], schedule: SamplingSchedule | None
) -> dict[str, ClassPlan]:
    """Plan each class of a balanced epoch, by name; without a schedule, the figures are those of the data."""
    plan = None if schedule is None else schedule.shown
    expectation = np.ones(statistics.num_images) if plan is None else plan.expectation
    factors = np.ones(len(names)) if schedule is None else schedule.with_multipliers(schedule.multipliers)
    image, label, _ = statistics.pairs
    distinct = np.bincount(label, weights=np.minimum(expectation, 1.0)[image], minlength=len(names))
    natural, requested = statistics.box_shares(), requested_shares(statistics, plan)
    pasted = pasted_shares(statistics, plan)
    largest, _ = statistics.largest_image_shares(expectation)
    return {
        name: ClassPlan(
            int(statistics.images[c]),
            int(statistics.boxes[c]),
            round(float(natural[c]), 5),
            round(float(factors[c]), 4),
            round(float(requested[c]), 5),
            round(float(pasted[c]), 5),
            round(float(distinct[c]), 1),
            round(float(largest[c] * (1 - pasted[c])), 5),
        )
        for c, name in enumerate(names)
    }


class SamplingSchedule:
    """Sampling plan of each epoch of a run.

    Attributes:
        options: The section `balance.sampling`.
        statistics: The train split's labels.
        wish: Classes to be pasted, and the caps on how often; None without pastes.
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
        wish: PasteWish | None = None,
    ):
        if options.background is not None and options.background.share and not statistics.background.any():
            raise ConfigError(
                f"balance.sampling.background: expected background images for a share of "
                f"{options.background.share:g}, but all {statistics.num_images} train images have objects"
            )
        self.options, self.statistics, self.seed, self.weights = options, statistics, seed, weights
        self.wish = wish
        self.class_factors = class_factors(options, statistics, names)
        self.multipliers: Floats = np.ones(len(names))
        self.hard: Bools = np.zeros(statistics.num_images, bool)
        factors = self._factors()
        self.size = epoch_length(options.epoch_size, factors)
        self._natural = SamplingPlan(np.ones(statistics.num_images), self.size, seed, statistics.rarest)
        self._balanced: SamplingPlan | None = SamplingPlan(factors, self.size, seed, statistics.rarest, options.draw)
        self._pasted: SamplingPlan | None = None

    def plan(self, epoch: int, epochs: int) -> SamplingPlan:
        """Return the plan of an epoch of a run of so many: the same object until something changes."""
        if self.natural(epoch, epochs):
            return self._natural
        closed = self.wish is None or epoch >= epochs - epochs_of(self.wish.close, epochs)
        return self.balanced if closed else self.shown

    @property
    def balanced(self) -> SamplingPlan:
        """The current plan of the epochs that are not natural."""
        if self._balanced is None:
            self._balanced = SamplingPlan(
                self._factors(), self.size, self.seed, self.statistics.rarest, self.options.draw
            )
        return self._balanced

    @property
    def shown(self) -> SamplingPlan:
        """The current plan of the epochs that are neither natural nor closed to pastes."""
        if self.wish is None:
            return self.balanced
        if self._pasted is None:
            wanted = self.statistics.boxes_shown(self.balanced.expectation)
            plan = replace(self.balanced, factors=self._factors(self.wish.taken_over(wanted, self.size)))
            real = self.statistics.boxes_shown(plan.expectation)
            self._pasted = replace(plan, pasted=self.wish.pasted(wanted, real, self.size))
        return self._pasted

    def natural(self, epoch: int, epochs: int) -> bool:
        """Return whether an epoch is drawn as the data is: one of the first `open` or the last `close`."""
        opening, closing = (epochs_of(part, epochs) for part in (self.options.open, self.options.close))
        return epoch < opening or epoch >= epochs - closing

    def follow(self, multipliers: Floats, hard: Bools) -> None:
        """Use the multipliers of feedback and the hard images in all later plans."""
        if not (np.array_equal(multipliers, self.multipliers) and np.array_equal(hard, self.hard)):
            self.multipliers, self.hard, self._balanced, self._pasted = multipliers, hard, None, None

    def with_multipliers(self, multipliers: Floats) -> Floats:
        """Return (C,) class factors times multipliers, at most `max_repeat`."""
        factors = self.class_factors * multipliers
        return factors if self.options.max_repeat is None else np.minimum(factors, self.options.max_repeat)

    def _factors(self, taken_over: Floats | float = 0.0) -> Floats:
        """Return (num_images,) image factors, those of classes lowered by the share that pastes take over.

        A factor is not lowered below 1, so that pastes are on top of what the data has.
        """
        factors = self.with_multipliers(self.multipliers)
        factors = np.maximum(factors * (1 - np.asarray(taken_over)), np.minimum(factors, 1.0))
        aggregate: Aggregate = "sum" if self.options.strategy == "class_uniform" else self.options.aggregate
        image = image_factors(
            self.statistics,
            factors,
            aggregate=aggregate,
            max_repeat=self.options.max_repeat,
        )
        background = self.options.background
        if background is not None and background.hard:
            image = np.where(self.hard, 1 + background.gain, image)
        share = None if background is None else background.share
        if self.weights is not None:
            return self.weights.fitted(image * self.weights.factors, self.statistics.background, share)
        return background_share(image, self.statistics.background, share)


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
