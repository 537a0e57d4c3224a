"""Cost of sampling where the data is large, and its draws beside those of two samplers in common use.

    python examples/benchmarks/sampling_scale.py [--images 1000000] [--classes 1000] [--ranks 8] [--rounds 7]

Draws a table of labels: about three boxes per image, classes in a long tail, 30 % of the images background. No image is
read. Prints

1. for every strategy the time of the factors (counting the labels included), of the schedule built from a section, of
   one rank's plan of an epoch and of the schedule and all ranks' plans together, medians and quartiles; and the peak of
   what that last one allocates beyond the table, traced in a pass of its own;
2. the same factors given to `torch.utils.data.WeightedRandomSampler` and to the algorithm of detectron2's
   RepeatFactorTrainingSampler, restated here from its description: time of the factors and of one rank's images, epoch
   lengths, and over the same epochs the largest distance of an image's appearances from its expectation, the largest
   and the mean deviation of the share of the rarest tenth of the classes, relative to the requested share, and how many
   images were not seen in an epoch in which at least one appearance was expected.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from typing import get_args

import numpy as np
import torch
from torch.utils.data import WeightedRandomSampler

from yolo_balance.arrays import Floats, Ints
from yolo_balance.config import SamplingConfig
from yolo_balance.sampling import ClassStatistics, SamplingSchedule, plan_epoch, repeat_factors
from yolo_balance.sampling.epoch import epoch_length
from yolo_balance.sampling.factors import (
    Aggregate,
    class_effective_number,
    class_inverse_frequency,
    class_repeat_factors,
    class_uniform,
    image_factors,
)
from yolo_balance.sampling.statistics import LabelTable, label_table, shares

STRATEGIES = {
    "repeat_factor": class_repeat_factors,
    "inverse_frequency": class_inverse_frequency,
    "effective_number": class_effective_number,
    "class_uniform": class_uniform,
}
assert set(STRATEGIES) == set(get_args(SamplingConfig.model_fields["strategy"].annotation))


def draw_table(images: int, classes: int, seed: int = 0) -> LabelTable:
    """Draw labels of a long-tailed data set; class c is about c^-1.5 as frequent as class 1."""
    rng = np.random.default_rng(seed)
    boxes = np.where(rng.random(images) < 0.3, 0, 1 + rng.poisson(3 / 0.7 - 1, images))
    frequency = np.arange(1, classes + 1) ** -1.5
    drawn = np.searchsorted(np.cumsum(frequency), frequency.sum() * rng.random(int(boxes.sum())))
    return np.minimum(drawn, classes - 1), np.repeat(np.arange(images), boxes), images


def seconds(work: Callable[[], object], rounds: int) -> str:
    """Measure the median time and quartiles, after a first run that does not count."""
    work()
    times = np.empty(rounds)
    for i in range(rounds):
        start = time.perf_counter()
        work()
        times[i] = time.perf_counter() - start
    low, middle, high = np.percentile(times, [25, 50, 75])
    return f"{middle:6.3f} s [{low:.3f}, {high:.3f}]"


def peak(work: Callable[[], object]) -> float:
    """Measure the largest amount allocated at a time, in MB (10^6 bytes)."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


# ---------------------------------------------------------------------------------------------------------------------
# detectron2's RepeatFactorTrainingSampler, restated
# ---------------------------------------------------------------------------------------------------------------------


def looped_factors(images: list[list[int]], threshold: float) -> Floats:
    """Compute repeat factors (LVIS) image by image, as published: r(I) = max of max(1, sqrt(t / f(c)))."""
    holders: dict[int, int] = {}
    for classes in images:
        for c in set(classes):
            holders[c] = holders.get(c, 0) + 1
    r = {c: max(1.0, (threshold / (n / len(images))) ** 0.5) for c, n in holders.items()}
    return np.array([max((r[c] for c in set(classes)), default=1.0) for classes in images])


def rounded_epoch(factors: torch.Tensor, generator: torch.Generator) -> list[int]:
    """Draw an epoch: each factor rounded up with the probability of its fraction, its image repeated, all shuffled."""
    whole = torch.floor(factors)
    counts = whole + (torch.rand(len(factors), generator=generator, dtype=factors.dtype) < factors - whole)
    images = torch.repeat_interleave(torch.arange(len(factors)), counts.long())
    chosen: list[int] = images[torch.randperm(len(images), generator=generator)].tolist()
    return chosen


# ---------------------------------------------------------------------------------------------------------------------
# Measurements
# ---------------------------------------------------------------------------------------------------------------------


def cost(strategy: str, table: LabelTable, classes: int, ranks: int, rounds: int) -> None:
    """Print the costs of a strategy (part 1)."""
    names = [f"class {c}" for c in range(classes)]
    options = SamplingConfig.model_validate({"strategy": strategy})

    def schedule() -> SamplingSchedule:
        built = SamplingSchedule(options, ClassStatistics.of(table, classes), names, seed=0)
        assert built.balanced.size == table[2]
        return built

    def everything() -> tuple[SamplingSchedule, list[Ints]]:
        built = schedule()
        return built, [built.balanced.epoch(0, rank=rank, world_size=ranks) for rank in range(ranks)]

    def factors() -> Floats:
        statistics = ClassStatistics.of(table, classes)
        aggregate: Aggregate = "sum" if strategy == "class_uniform" else "max"
        return image_factors(statistics, STRATEGIES[strategy](statistics), aggregate=aggregate)

    balanced = schedule().balanced
    print(
        f"{strategy:18} factors {seconds(factors, rounds)}  "
        f"schedule {seconds(schedule, rounds)}  "
        f"one rank's plan {seconds(lambda: balanced.epoch(0, rank=ranks - 1, world_size=ranks), rounds)}  "
        f"all together {seconds(everything, rounds)}, peak {peak(everything):.0f} MB"
    )


def outcome(epochs: list[Ints], expectation: Floats, statistics: ClassStatistics) -> str:
    """Describe the images drawn over several epochs, against an expectation per image."""
    tail = np.argsort(np.where(statistics.boxes > 0, statistics.boxes, np.iinfo(np.int64).max), kind="stable")
    tail = tail[: max(1, np.count_nonzero(statistics.boxes) // 10)]
    requested = shares(statistics.box_shares(expectation))[tail]
    seen = [np.bincount(images, minlength=len(expectation)) for images in epochs]
    furthest = max(float(np.abs(counts - expectation).max()) for counts in seen)
    off = np.array([np.abs(statistics.box_shares(counts.astype(np.float64))[tail] / requested - 1) for counts in seen])
    missed = np.mean([((counts == 0) & (expectation >= 1)).sum() for counts in seen])
    lengths = [len(images) for images in epochs]
    return (
        f"length {min(lengths)}..{max(lengths)}, an image's appearances at most {furthest:.2f} from expected, "
        f"rarest tenth of the classes {100 * off.max():.1f} % off at most and {100 * off.mean():.2f} % on average, "
        f"{missed:.0f} images not seen in an epoch ({100 * missed / (expectation >= 1).sum():.2f} %)"
    )


def compare(table: LabelTable, classes: int, ranks: int, rounds: int, epochs: int = 5) -> None:
    """Print the comparison with the two samplers (part 2)."""
    statistics = ClassStatistics.of(table, classes)
    frequency = statistics.images / statistics.num_images
    threshold = float(np.median(frequency[frequency > 0]))
    lists = [part.tolist() for part in np.split(table[0], np.flatnonzero(np.diff(table[1])) + 1)]
    images: list[list[int]] = [[] for _ in range(table[2])]
    for i, part in zip(np.unique(table[1]).tolist(), lists, strict=True):
        images[i] = part
    factors = repeat_factors(table, classes)
    np.testing.assert_allclose(factors, looped_factors(images, threshold), rtol=1e-12)

    size = epoch_length("full", factors)
    generator = torch.Generator().manual_seed(0)
    weights = torch.as_tensor(factors)
    sampler = WeightedRandomSampler(factors.tolist(), size, replacement=True, generator=generator)
    whole = [plan_epoch(factors, size, seed=0, epoch=epoch) for epoch in range(epochs)]
    independent = [np.array(list(sampler)) for _ in range(epochs)]
    rounded = [np.array(rounded_epoch(weights, generator)) for _ in range(epochs)]

    def ours() -> list[int]:
        mine: list[int] = plan_epoch(factors, size, seed=0, epoch=0, world_size=ranks).tolist()
        return mine

    print(
        f"\nThe same repeat factors, an epoch of their sum, {epochs} epochs; images as a list, as a loader takes them"
    )
    print(f"yolo_balance           factors {seconds(lambda: repeat_factors(table, classes), rounds)}")
    print(f"                       one rank's images {seconds(ours, rounds)}")
    print(f"                       {outcome(whole, factors, statistics)}")
    print("WeightedRandomSampler  factors: none of its own")
    print(f"                       one rank's images {seconds(lambda: list(sampler), rounds)}")
    print(f"                       {outcome(independent, factors, statistics)}")
    print(f"detectron2, restated   factors {seconds(lambda: looped_factors(images, threshold), min(rounds, 3))}")
    print(f"                       one rank's images {seconds(lambda: rounded_epoch(weights, generator), rounds)}")
    print(f"                       {outcome(rounded, factors, statistics)}")
    rows = [np.array(part, np.float32) for part in images]  # as Ultralytics holds them
    print(
        f"\nThe table itself, from an array of classes per image: {seconds(lambda: label_table(rows), min(rounds, 3))}"
    )


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    table = draw_table(options.images, options.classes)
    boxes = np.bincount(table[0], minlength=options.classes)
    background = options.images - len(np.unique(table[1]))
    print(
        f"{options.images} images, {background} of them background, {len(table[0])} boxes of "
        f"{options.classes} classes, {boxes.min()} to {boxes.max()} each; {options.ranks} ranks; the table itself "
        f"takes {(table[0].nbytes + table[1].nbytes) / 1e6:.0f} MB"
    )
    for strategy in STRATEGIES:
        cost(strategy, table, options.classes, options.ranks, options.rounds)
    compare(table, options.classes, options.ranks, options.rounds)


if __name__ == "__main__":
    main()
