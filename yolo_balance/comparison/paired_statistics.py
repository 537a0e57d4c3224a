"""Intervals of a difference between two arms that share seeds and images.

A run's figure depends on its seed and on the images it is read on. Every run is read on the same images, so the two
are crossed, and both are resampled, as in the pigeonhole bootstrap (Owen 2007). Each resample of the images serves all
seeds and both arms, so what a hard image does to both cancels. What is chance in a single run on a single image is
counted with both, so the interval errs towards wide.

A handful of seeds shows less than its bootstrap says: of S values it knows S only, and its variance is too small by
(S - 1) / S. What seeds contribute is therefore widened to what Student's t would say of S values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from yolo_balance.arrays import Floats, Ints

Bounds = tuple[float, float]
RESAMPLES = 2000
SEED = 0  # the same runs give the same intervals


def resample_counts(n: int, resamples: int, rng: np.random.Generator) -> Ints:
    """Draw (1 + resamples, n) counts of each image or seed: 1 in the first row, then with replacement."""
    counts: Ints = np.ones((1 + resamples, n), np.int64)
    if n:
        counts[1:] = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return counts


def widening(seeds: int, confidence: float) -> float:
    """Return the factor on the seeds' part of a resample: sqrt(S / (S - 1)) t / z, at the interval's level."""
    tail = (1 + confidence) / 2
    return float(np.sqrt(seeds / (seeds - 1)) * stdtrit(seeds - 1, tail) / ndtri(tail))


def replicates(differences: Floats, seeds: Ints, confidence: float) -> Floats:
    """Compute (B, ...) replicates of a mean difference over seeds and images.

    With d_s(b) the difference at seed s on resample b of the images, 0 being all images once, d(b) its mean over seeds
    and c_s(b) the times the seed is drawn, a replicate is

        d(b) + widening * (1/S) sum over s of c_s(b) (d_s(0) - d(0)),

    d(b) alone with a single seed.

    Args:
        differences: (1 + B, S, ...) first on all images, then on the resamples; NaN where a resample has no object.
        seeds: (1 + B, S) from `resample_counts`.
        confidence: Level of the interval that is read from them.
    """
    found: Floats = differences[1:].mean(axis=1)
    if (count := differences.shape[1]) > 1:
        apart = differences[0] - differences[0].mean(axis=0)
        found = found + widening(count, confidence) / count * np.tensordot(seeds[1:], apart, 1)
    return found


def bootstrap_interval(differences: Floats, seeds: Ints, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Return the percentile interval of a mean difference over seeds and images.

    Args:
        differences: (1 + B, S, ...) as in `replicates`; replicates without data are left out.
        seeds: (1 + B, S) from `resample_counts`.
        confidence: Level.

    Returns:
        Lower and upper bounds (...); NaN where there is no data at all.
    """
    drawn = replicates(differences, seeds, confidence)
    flat = drawn.reshape(len(drawn), -1)
    low, high = np.full((2, flat.shape[1]), np.nan)
    tail = (1 - confidence) / 2
    for column in np.flatnonzero(np.isfinite(flat).any(axis=0)):
        known = flat[np.isfinite(flat[:, column]), column]
        low[column], high[column] = np.quantile(known, [tail, 1 - tail])
    return low.reshape(drawn.shape[1:]), high.reshape(drawn.shape[1:])


def ratio_interval(differences: Floats, gaps: Floats, seeds: Ints, *, confidence: float = 0.95) -> Bounds:
    """Return the percentile interval of a mean difference over a mean gap, both on the same seeds and images.

    Args:
        differences: (1 + B, S) as in `replicates`.
        gaps: (1 + B, S) of the gap, whose interval does not hold 0; the few replicates in which the gap has not the
            sign that was measured, or there is no data, are left out.
        seeds: (1 + B, S) from `resample_counts`.
        confidence: Level.
    """
    above, below = (replicates(part, seeds, confidence) for part in (differences, gaps))
    known = np.isfinite(above) & (below * np.sign(gaps[0].mean()) > 0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(above[known] / below[known], [tail, 1 - tail])
    return float(low), float(high)


def student_interval(differences: npt.ArrayLike, *, confidence: float = 0.95) -> Bounds | None:
    """Return Student's t interval of a mean over seeds; None for fewer than two.

    Args:
        differences: (S,) one per seed.
        confidence: Level.
    """
    d = np.asarray(differences, np.float64)
    if len(d) < 2:
        return None
    half = float(stdtrit(len(d) - 1, (1 + confidence) / 2) * d.std(ddof=1) / np.sqrt(len(d)))
    return float(d.mean()) - half, float(d.mean()) + half


def images_can_tell(images: int, confidence: float) -> bool:
    """Decide whether so many images could show any difference: two-sided sign test, 2 * 0.5^n <= 1 - confidence.

    At 95 % that takes six. A percentile interval of fewer says more than they can: of two images that one arm finds and
    the other misses, every resample agrees.
    """
    return bool(2 * 0.5**images <= 1 - confidence)
