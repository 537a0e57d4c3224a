"""One epoch's images from image factors: seeded, without luck, the same plan on every rank."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats, Ints

GOLDEN = (math.sqrt(5) - 1) / 2
Draw: TypeAlias = Literal["systematic", "independent"]


def plan_epoch(
    factors: npt.ArrayLike,
    size: int,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
    strata: npt.ArrayLike | None = None,
    draw: Draw = "systematic",
) -> Ints:
    """Return this rank's image indices of this epoch, in order.

    1. e(I) = size * r(I) / sum of r: the expected appearances of image I.
    2. Its whole part is certain. The fractions are drawn by systematic sampling: the images lie side by side on a line,
       each as long as its fraction, and ticks one apart pick those they fall on. So every image appears floor or ceil
       of e(I) times and the total is `size`. Images of one stratum are neighbours, in an order that the seed fixes: of
       those together floor or ceil of what is expected appears too.
    3. The ticks start at u(epoch) = u + epoch * 0.618... mod 1, u from the seed: the expectation is exact, and as the
       golden ratio's multiples fill [0, 1) evenly, an image of fraction f waits for less than 2 / f epochs.
    4. The plan is shuffled; rank k takes every world_size-th entry from k on.

    Equal lengths for all ranks may need up to world_size - 1 more entries; they go to images still below their ceil,
    those of the plan first, so that other world sizes show the same images where the law above allows it.

    `draw="independent"` replaces steps 2 and 3 by the weighted random sampler of the popular recipes: every entry is
    drawn with replacement, image I with probability e(I) / size, whatever was drawn before.

    Args:
        factors: (num_images,) non-negative factors, not all zero.
        size: Images of the epoch over all ranks.
        seed: Seed of the run; non-negative.
        epoch: Epoch number; together with the seed it fixes the plan.
        rank: This process.
        world_size: Number of processes.
        strata: (num_images,) numbers that group images, as by class; None groups images of equal factor.
        draw: Rule of drawing: `systematic` as above, or `independent`, which ignores strata.

    Returns:
        int64 (ceil(size / world_size),) indices into `factors`. Same arguments, same plan.

    Raises:
        ValueError: For factors that are negative, not finite or all zero, a size below 1 or a rank out of range.
    """
    r = np.asarray(factors, np.float64)
    if r.ndim != 1 or not len(r) or not np.isfinite(r).all() or (r < 0).any() or not r.any():
        raise ValueError("expected a non-empty vector of finite factors >= 0, at least one above 0")
    if size < 1:
        raise ValueError(f"expected size >= 1, got {size!r}")
    if not 0 <= rank < world_size:
        raise ValueError(f"expected rank in [0, {world_size}), got {rank!r}")
    if draw == "independent":
        drawn = np.random.default_rng([seed, epoch]).choice(len(r), size + -size % world_size, p=r / r.sum())
        entries: Ints = drawn[rank::world_size].astype(np.int64)
        return entries
    line = np.random.default_rng([seed])  # the same in every epoch
    order = line.permutation(len(r))  # neighbours in the data set would otherwise exclude each other
    order = order[np.argsort((r if strata is None else np.asarray(strata))[order], kind="stable")]
    start = (line.random() + epoch * GOLDEN) % 1.0

    e = size * r / r.sum()  # SamplingPlan.expectation
    counts = np.floor(e + 1e-9).astype(np.int64)  # 2.9999999999 is 3 that lost a bit, not 2 and a fraction
    missing = size - int(counts.sum())
    if missing:
        ends = (e - counts)[order]
        np.maximum(ends, 0.0, out=ends)
        np.cumsum(ends, out=ends)
        ends *= missing / ends[-1]
        ends += start
        ticks = ends.astype(np.int64)  # the floor: none is negative
        ticks[-1] = missing  # what rounding may have left at the end
        hits = np.diff(ticks, prepend=0)
        hit = np.flatnonzero(hits)
        counts[order[hit]] += hits[hit]

    rng = np.random.default_rng([seed, epoch])
    plan = rng.permutation(np.repeat(np.arange(len(r)), counts))
    padding = -size % world_size
    if padding:
        candidates = rng.permutation(len(r))
        full = counts[candidates] >= np.ceil(e[candidates] - 1e-9)
        candidates = candidates[np.lexsort((counts[candidates] == 0, full))]
        plan = np.concatenate([plan, np.resize(candidates, padding)])
    mine: Ints = plan[rank::world_size].copy()  # a view would keep all ranks' images in memory
    return mine


def epoch_length(epoch_size: float | Literal["full"], factors: Floats) -> int:
    """Return images per epoch: a float is a multiple of the data set, an int a count, `full` is sum(factors).

    The sum is rounded up, so that an image of factor 1 is seen in every epoch.
    """
    if epoch_size == "full":
        return max(1, math.ceil(float(factors.sum()) - 1e-9))
    if isinstance(epoch_size, int):
        return epoch_size
    return max(1, round(epoch_size * len(factors)))


@dataclass(frozen=True)
class SamplingPlan:
    """Recipe from which epochs are drawn: factors, size and seed.

    Attributes:
        factors: (num_images,) image factors.
        size: Images per epoch over all ranks.
        seed: Seed of the run.
        strata: (num_images,) groups of images that are to appear as often as expected together; None for equal factors.
        draw: Rule of drawing, see `plan_epoch`.
        pasted: (C,) boxes of each class that are pasted into an epoch's images, in expectation; None without pastes.
    """

    factors: Floats
    size: int
    seed: int
    strata: npt.NDArray[np.integer[Any]] | None = None
    draw: Draw = "systematic"
    pasted: Floats | None = None

    def epoch(self, epoch: int, *, rank: int = 0, world_size: int = 1) -> Ints:
        """Return this rank's images of an epoch, see `plan_epoch`."""
        return plan_epoch(
            self.factors,
            self.size,
            seed=self.seed,
            epoch=epoch,
            rank=rank,
            world_size=world_size,
            strata=self.strata,
            draw=self.draw,
        )

    @cached_property
    def expectation(self) -> Floats:
        """(num_images,) expected appearances per epoch."""
        expectation: Floats = self.size * self.factors / self.factors.sum()
        return expectation

    def partners(self, opened: int) -> SamplingPlan:
        """Return the same factors under another seed: the stream Mosaic and MixUp partners are drawn from.

        Args:
            opened: Epoch in which the stream is opened, so that a resumed run does not repeat its first partners.
        """
        seed = int(np.random.SeedSequence([self.seed, opened, 1]).generate_state(1)[0])
        return replace(self, seed=seed)
