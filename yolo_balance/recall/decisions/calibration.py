"""Class scores adjusted after training, so that one confidence for all classes treats them alike.

A calibration is a shift of each class's logit. The order of a class's own boxes stays, and with it the class's average
precision; what changes is how boxes of different classes compare.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.recall.outcomes import Outcomes

FLOOR = 0.01
"""Boxes are fitted from this confidence on: those below are many and decide nothing."""

EDGE = 1e-4
"""Confidences nearer to 1 than this count as 1 - EDGE in the fit, so that a saturated score has a finite logit."""

FLATTEST = 0.01
"""Slope of the fit up to which confidence does not tell hits from false boxes: classes cannot be compared on it."""


@dataclass(frozen=True)
class Fit:
    """Chance that a box is a hit: sigmoid(a logit(confidence) + b + d_c) for class c.

    Attributes:
        a, b: Slope and intercept, common to all classes.
        d: (C,) effect of each class, above 0 where its boxes are better than their confidence; 0 where not fitted.
    """

    a: float
    b: float
    d: Floats

    @property
    def usable(self) -> bool:
        """Whether more confident boxes are hits more often."""
        return self.a > FLATTEST

    @property
    def shifts(self) -> Floats:
        """(C,) d_c / a: the shift of each class's logit that gives all classes one curve; 0 if not usable."""
        return self.d / self.a if self.usable else np.zeros_like(self.d)


def prior_shifts(counts: npt.ArrayLike, *, tau: float = 1.0) -> Floats:
    """Post-hoc logit adjustment, Menon et al., "Long-tail learning via logit adjustment" (2021).

        shift_c = -tau * (log pi_c - log max pi),   pi_c = n_c / sum n

    The paper takes tau * log pi_c off the logits of a softmax, for which the common term log max pi cancels. A detector
    has a sigmoid for each class, whose scores mean something by themselves: the term leaves the commonest class as it
    is, as in the loss of the same name, and every rarer one rises.

    Args:
        counts: (C,) n_c, boxes of each class in train, >= 0.
        tau: Multiple of the log prior, >= 0.

    Returns:
        (C,), at least 0; 0 for a class without boxes.
    """
    n = np.asarray(counts, np.float64)
    shifts = np.zeros_like(n)
    present = n > 0
    shifts[present] = -tau * np.log(n[present] / n.max(initial=1))
    return shifts + 0.0  # no -0


def fit(outcomes: Outcomes, *, strength: float = 1.0, images: Bools | None = None) -> Fit:
    """Logistic regression of hits on confidence with an effect d_c of each class, d_c ~ N(0, strength^2).

    Minimises, over boxes i with a confidence of at least 0.01, y_i = 1 for hits, x_i = logit(confidence_i),

        sum_i log(1 + exp(z_i)) - y_i z_i + sum_c d_c^2 / (2 strength^2),   z_i = a x_i + b + d_c(i)

    A class of few hits is so shrunk to no effect, and the effects add up to 0. A class without a hit is left out, and
    so are its boxes: how its scores compare is not known.

    The fit separates hits from the false boxes that count against a budget (`Outcomes.alarming`): of two boxes the
    likelier hit comes first, which finds most at a budget (Neyman and Pearson). Where there are clean images, a false
    box on a defective image is left out: it is no hit, but costs nothing of the budget either.

    Args:
        outcomes: Boxes and objects of a split.
        strength: Standard deviation of the effects that is expected, in logits, > 0.
        images: (I,) images to read; None for all.

    Returns:
        The fit; its effects are 0 if there are no hits or no false boxes.
    """
    kept = (outcomes.confidence >= FLOOR) & (outcomes.hit | outcomes.alarming)
    if images is not None:
        kept &= images[outcomes.image]
    n = outcomes.num_classes
    known = np.bincount(outcomes.predicted[kept & outcomes.hit], minlength=n) > 0
    kept &= known[outcomes.predicted]
    x, y, c = (
        logit(np.minimum(outcomes.confidence[kept], 1 - EDGE)),
        outcomes.hit[kept].astype(np.float64),
        outcomes.predicted[kept],
    )
    if y.all():  # also without any box
        return Fit(1.0, 0.0, np.zeros(n))

    def penalised(theta: Floats) -> tuple[float, Floats]:
        a, b, d = theta[0], theta[1], theta[2:]
        z = a * x + b + d[c]
        error = expit(z) - y
        value = (np.logaddexp(0, z) - y * z).sum() + (d**2).sum() / (2 * strength**2)
        gradient = np.r_[error @ x, error.sum(), np.bincount(c, error, minlength=n) + d / strength**2]
        return value / len(x), gradient / len(x)

    start = np.zeros(n + 2)
    start[0] = 1  # as if every confidence were true
    theta: Floats = minimize(penalised, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9}).x
    d = np.where(known, theta[2:], 0.0)
    common = d[known].mean()  # 0 but for the search's tolerance, as b takes what all effects share
    return Fit(float(theta[0]), float(theta[1] + common), np.where(known, d - common, 0.0))


def shifted(confidence: Floats, predicted: Ints, shifts: Floats) -> Floats:
    """Return (P,) confidences with shifted class logits, sigmoid(logit(confidence) + shift).

    Args:
        confidence: (P,) in [0, 1].
        predicted: (P,) classes.
        shifts: (C,).
    """
    shift = shifts[predicted]
    return np.where(shift == 0, confidence, expit(logit(confidence) + shift))


def halves(outcomes: Outcomes, *, seed: int = 0) -> Bools:
    """Split the images into two stratified halves at random; (I,) True for the second half.

    Units with the same rarest class, by objects of the split, are dealt out in turn, and so are the clean ones: each
    such group and the whole are halved to within one unit, by default one image. The halves depend on file names,
    labels, units and the seed only.
    """
    rank = np.empty(outcomes.num_classes, np.int64)
    rank[np.argsort(outcomes.objects, kind="stable")] = np.arange(outcomes.num_classes)
    group = np.full(outcomes.units, outcomes.num_classes)
    np.minimum.at(group, outcomes.object_unit, rank[outcomes.object_class])
    images = sorted(range(outcomes.images), key=outcomes.files.__getitem__)
    by_name = np.array(list(dict.fromkeys(outcomes.unit[images].tolist())), np.int64)
    shuffled = np.random.default_rng(seed).permutation(by_name)
    dealt = shuffled[np.argsort(group[shuffled], kind="stable")]
    second = np.zeros(outcomes.units, bool)
    second[dealt[1::2]] = True
    return second[outcomes.unit]


def out_of_fold(outcomes: Outcomes, *, strength: float = 1.0, seed: int = 0) -> Outcomes:
    """Shift the boxes of each half of the images by a fit on the other half.

    Recall read from these confidences is that of images which the fit has not seen. As an image's boxes of a class
    shift together, what each box found stays.

    Args:
        outcomes: Boxes and objects of the model before calibration.
        strength: As in `fit`.
        seed: Seed of the halves.
    """
    second = halves(outcomes, seed=seed)
    confidence = outcomes.confidence.copy()
    for half in (second, ~second):
        shifts, here = fit(outcomes, strength=strength, images=~half).shifts, half[outcomes.image]
        confidence[here] = shifted(confidence[here], outcomes.predicted[here], shifts)
    return dataclasses.replace(outcomes, confidence=confidence)
