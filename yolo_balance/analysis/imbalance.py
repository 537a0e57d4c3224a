"""Measures of imbalance: one number each, from counts alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from yolo_balance.arrays import Ints
from yolo_balance.sampling.statistics import ClassStatistics, shares


def imbalance_ratio(counts: npt.ArrayLike) -> float | None:
    """Divide the largest class's count by that of the smallest class present; None where no class is.

    Absent classes do not enter the ratio: the analysis reports them by name.
    """
    present = _present(counts)
    return float(present.max() / present.min()) if len(present) else None


def gini(counts: npt.ArrayLike) -> float | None:
    """Compute the Gini coefficient over the classes present: 0 for equal classes, towards 1 if one has nearly all.

    G = sum_i (2 i - n - 1) x_i / (n sum_i x_i), x ascending, i from 1 to n. None where no class is present.
    """
    x = np.sort(_present(counts))
    n = len(x)
    if not n:
        return None
    i = np.arange(1, n + 1)
    return float(((2 * i - n - 1) * x).sum() / (n * x.sum()))


def effective_classes(counts: npt.ArrayLike) -> float | None:
    """Compute exp of the Shannon entropy of the shares: C for C equal classes, 1 for one class; None without any."""
    p = shares(_present(counts))
    return float(np.exp(-(p * np.log(p)).sum())) if len(p) else None


def co_occurrence(statistics: ClassStatistics) -> Ints:
    """Count (C, C) images that hold both classes; the diagonal is the number of images of a class."""
    rows, columns, _ = statistics.pairs
    ones = np.ones(len(rows), np.int64)
    holds = csr_array((ones, (rows, columns)), shape=(statistics.num_images, statistics.num_classes))
    together: Ints = (holds.T @ holds).toarray().astype(np.int64)
    return together


def most_in_one_image(statistics: ClassStatistics) -> tuple[Ints, Ints]:
    """Find per class the most boxes in a single image, and that image (-1 for a class without boxes)."""
    images, classes, counts = statistics.pairs
    most = np.zeros(statistics.num_classes, np.int64)
    where = np.full(statistics.num_classes, -1, np.int64)
    order = np.argsort(counts, kind="stable")  # the last write of a class is its largest count
    most[classes[order]] = counts[order]
    where[classes[order]] = images[order]
    return most, where


def _present(counts: npt.ArrayLike) -> npt.NDArray[np.float64]:
    counts = np.asarray(counts, np.float64)
    return counts[counts > 0]
