"""Probability of detection (POD) against size, from hits and misses as in MIL-HDBK-1823A (2009).

A logistic curve in the logarithm of the size, by maximum likelihood: POD(a) = 1 / (1 + exp(-(b0 + b1 ln a))). The curve
runs from 0 for the smallest to 1 for the largest sizes, so it does not fit where large objects are missed for other
reasons than their size. a90 is the size found nine times out of ten, and a90/95 the size that is shown to be found so
at 95 % confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit
from scipy.stats import norm

from yolo_balance.arrays import Bools, Floats
from yolo_balance.recall.diagnosis.recall_by_size import object_sizes
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.text import counted

POD, CONFIDENCE = 0.9, 0.95
FEWEST = 60
"""Objects that the handbook asks for where the answer is hit or miss."""


@dataclass(frozen=True)
class DetectionProbability:
    """POD against size of one class at a threshold; sizes in pixels of the image file.

    Attributes:
        n: Objects with an extent.
        hits: Objects found.
        smallest, largest: Range of the sizes; None without objects.
        b0, b1: Intercept and slope; None where there is no fit.
        covariance: Variance of b0, covariance of both, variance of b1, from the Fisher information; likewise.
        a90: Size at which POD is .9; None without a fit that rises with size, or beyond the sizes tried.
        a9095: Size at which the lower bound of POD, one-sided at 95 %, reaches .9; likewise.
        reason: Why b0 and b1, a90 or a9095 are None; None if none is.
    """

    n: int
    hits: int
    smallest: float | None = None
    largest: float | None = None
    b0: float | None = None
    b1: float | None = None
    covariance: tuple[float, float, float] | None = None
    a90: float | None = None
    a9095: float | None = None
    reason: str | None = None

    @classmethod
    def fit(cls, sizes: npt.ArrayLike, hit: npt.ArrayLike) -> DetectionProbability:
        """Fit the curve to n objects.

        Args:
            sizes: (n,) in pixels; objects of size 0 are left out.
            hit: (n,) whether each was found.

        Raises:
            ValueError: The shapes differ.
        """
        size, found = np.asarray(sizes, np.float64), np.asarray(hit, bool)
        if size.shape != found.shape or size.ndim != 1:
            raise ValueError(f"expected as many sizes as hits, got shapes {size.shape} and {found.shape}")
        size, found = size[size > 0], found[size > 0]
        n, hits = len(size), int(found.sum())
        smallest, largest = (float(size.min()), float(size.max())) if n else (None, None)
        none = _no_fit(size, found)
        if none is not None:
            return cls(n, hits, smallest, largest, reason=none)
        x = np.log(size)
        (b0, b1), covariance = _maximum_likelihood(x, found)
        a90, a9095, reason = _sizes_reached(b0, b1, covariance, float(x.min()), float(x.max()))
        return cls(n, hits, smallest, largest, b0, b1, covariance, a90, a9095, reason)

    def curve(self, sizes: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Return POD at (k,) sizes, and its lower and upper bound, each one-sided at 95 %: (k,) each.

        Wald bounds of the linear predictor. The lower one crosses .9 at a90/95.

        Raises:
            ValueError: There is no fit, or a size is not above 0.
        """
        if self.b0 is None or self.b1 is None or self.covariance is None:
            raise ValueError(f"no curve: {self.reason}")
        size = np.asarray(sizes, np.float64)
        if not (size > 0).all():
            raise ValueError("expected sizes above 0")
        x = np.log(size)
        var0, both, var1 = self.covariance
        predictor = self.b0 + self.b1 * x
        margin = norm.ppf(CONFIDENCE) * np.sqrt(var0 + 2 * both * x + var1 * x**2)
        return expit(predictor), expit(predictor - margin), expit(predictor + margin)


def pod_by_class(
    outcomes: Outcomes, names: Sequence[str], threshold: float | npt.ArrayLike
) -> dict[str, DetectionProbability]:
    """Fit POD against size for every class, at a confidence for all or (C,) one for each; by name in class-id order."""
    sizes, detected = object_sizes(outcomes), outcomes.detected(threshold)
    mine = [outcomes.object_class == c for c in range(outcomes.num_classes)]
    return {name: DetectionProbability.fit(sizes[m], detected[m]) for name, m in zip(names, mine, strict=True)}


def _no_fit(size: Floats, found: Bools) -> str | None:
    """Return the reason why there is no finite curve; None if there is one."""
    n, hits = len(size), int(found.sum())
    if n == 0:
        return "no data"
    if n < FEWEST:
        return f"{counted(n, 'object')}, and hit or miss data need at least {FEWEST}"
    if hits in (0, n):
        return f"{'all' if hits else 'none'} of {n} objects found: nothing to tell sizes apart by"
    hit, miss = size[found], size[~found]
    if size.min() == size.max():
        return f"all objects are of one size, {size[0]:.4g} px"
    if miss.max() <= hit.min():
        return f"size alone parts hits from misses, at {_between(miss.max(), hit.min())}: no finite slope fits best"
    if hit.max() <= miss.min():
        return f"smaller objects are found and larger ones missed, parted at {_between(hit.max(), miss.min())}"
    return None


def _between(low: float, high: float) -> str:
    return f"{low:.4g} px" if low == high else f"{low:.4g} to {high:.4g} px"


def _maximum_likelihood(x: Floats, found: Bools) -> tuple[tuple[float, float], tuple[float, float, float]]:
    """Fit intercept and slope over (n,) logarithms of sizes; also their covariance, the inverse Fisher information.

    Hits and misses overlap in size, so the negative log likelihood is strictly convex and has one minimum.
    """
    middle, spread = float(x.mean()), float(x.std())
    design = np.stack([np.ones_like(x), (x - middle) / spread], axis=1)  # well conditioned, whatever the sizes
    sign = np.where(found, 1.0, -1.0)

    def loss(b: Floats) -> float:
        return float(np.logaddexp(0, -sign * (design @ b)).mean())

    def gradient(b: Floats) -> Floats:
        slope: Floats = design.T @ (expit(design @ b) - found) / len(x)
        return slope

    def information(b: Floats) -> Floats:
        p = expit(design @ b)
        fisher: Floats = (design * (p * (1 - p))[:, None]).T @ design / len(x)
        return fisher

    start = np.array([logit(found.mean()), 0.0])
    answer = minimize(loss, start, method="trust-exact", jac=gradient, hess=information, options={"gtol": 1e-8})
    # b0 + b1 x of the sizes themselves, from those of the scaled ones
    back = np.array([[1.0, -middle / spread], [0.0, 1 / spread]])
    b0, b1 = (back @ answer.x).tolist()
    covariance = back @ np.linalg.inv(information(answer.x) * len(x)) @ back.T
    return (b0, b1), (float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1]))


def _sizes_reached(
    b0: float, b1: float, covariance: tuple[float, float, float], smallest: float, largest: float
) -> tuple[float | None, float | None, str | None]:
    """Return a90, a90/95 and the reason if one is None; `smallest` and `largest` are logarithms of the sizes tried.

    The lower bound of the linear predictor reaches t = logit(.9) where b0 + b1 x - t = z sqrt(v0 + 2 c x + v1 x^2),
    z the 95 % quantile of the normal distribution: the larger root of the squared equation. With x in it once only if
    b1 > z sqrt(v1), which is to say if the slope is significantly positive.
    """
    var0, both, var1 = covariance
    z, target = float(norm.ppf(CONFIDENCE)), float(logit(POD))
    if b1 <= 0:
        return None, None, f"POD does not grow with size: slope {b1:.3g}"
    a = b1**2 - z**2 * var1
    if a <= 0:
        return None, None, f"POD does not grow significantly with size: slope {b1:.3g} +- {math.sqrt(var1):.2g}"
    half = (b0 - target) * b1 - z**2 * both
    c = (b0 - target) ** 2 - z**2 * var0
    reached = {"a90": (target - b0) / b1, "a90/95": (math.sqrt(max(half**2 - a * c, 0.0)) - half) / a}
    within = {name: math.exp(x) if smallest <= x <= largest else None for name, x in reached.items()}
    reasons = []
    for name, x in reached.items():
        if x > largest:
            size = f" (extrapolated: {math.exp(x):.4g} px)" if x < largest + math.log(10) else ""
            reasons.append(f"{name} lies beyond the largest object tried, {math.exp(largest):.4g} px{size}")
        elif x < smallest:
            reasons.append(f"{name} lies below the smallest object tried, {math.exp(smallest):.4g} px")
    return within["a90"], within["a90/95"], "; ".join(reasons) or None
