"""Product of the factors that depend on the class: sampling, class weights, ISR-P's effect on a small class, cls_pw.

All factors are relative to the commonest class of the data, which has 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Floats
from yolo_balance.losses.class_weights import normalised


def isr_class_factors(shares: Floats, *, k: float, bias: float) -> Floats:
    """Compute the mean ISR-P weight of each class's positives, relative to the class with most of them.

    Ranks run from 0 to n - 1 within a class and are divided by the largest class's count n_max. With s = n / n_max,

        mean over x in [0, s] of ((1 - bias)(1 - x) + bias)^k = (1 - (1 - t)^(k + 1)) / ((k + 1) t),   t = (1 - bias) s

    which is 1 for the smallest classes and 1 / (k + 1) for the largest at bias 0: with k = 2 a threefold.

    Args:
        shares: (C,) share of the positives by class, as sampling leaves it.
        k: ISR-P's exponent.
        bias: ISR-P's bias.

    Returns:
        (C,), >= 1; 1 for a class without positives.
    """
    t = (1 - bias) * shares / max(shares.max(), 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(t > 0, (1 - (1 - t) ** (k + 1)) / ((k + 1) * t), 1.0)
    largest = mean[np.argmax(shares)]
    return np.where(shares > 0, mean / largest, 1.0)


@dataclass(frozen=True)
class ClassFactors:
    """Factors by which an object of a class counts more than one of the commonest class; (C,) each.

    Attributes:
        sampling: Ratio of how often an object is shown.
        asked: Class weight that the user requested.
        isr: Factor of ISR-P itself.
        weight: Class weight within the cap; a weight that the user stated stays as it is.
        product: sampling * weight * isr * cls_pw.
        room: By how much other terms may multiply the product before it meets the cap, >= 1.
        scaled: The weights as the loss uses them: mean 1 over an epoch's objects (over classes, for whole columns).
        cls_pw: Factor of Ultralytics' own class weights, which are on whole columns and which the cap leaves alone;
            None without.
    """

    sampling: Floats
    asked: Floats
    isr: Floats
    weight: Floats
    product: Floats
    room: Floats
    scaled: Floats
    cls_pw: Floats | None = None

    @classmethod
    def of(
        cls,
        natural: Floats,
        shown: Floats,
        asked: Floats,
        isr: Floats,
        *,
        max_weight: float,
        columns: bool,
        stated: npt.ArrayLike = False,
    ) -> ClassFactors:
        """Multiply the factors and cap their product.

        The loss's part is lowered to max_weight / sampling where the product is above max_weight, but not below 1:
        `max_repeat` caps the part of sampling. A weight that the user stated for a class is never lowered.

        Args:
            natural: (C,) share of the data's boxes by class.
            shown: (C,) share of an epoch's boxes by class.
            asked: (C,) class weights.
            isr: (C,) `isr_class_factors`, ones without ISR-P.
            max_weight: The cap.
            columns: Whether weights are on whole columns.
            stated: (C,) bool, classes whose weight the user stated.
        """
        commonest = np.argmax(natural)
        sampling = np.where(natural > 0, shown / np.maximum(natural, 1e-12), 1.0)
        sampling = sampling / sampling[commonest] if sampling[commonest] > 0 else sampling
        most = np.maximum(max_weight / np.maximum(sampling, 1e-12), 1.0)
        weight = np.where(stated, asked, np.minimum(asked, most / isr))
        product = sampling * weight * isr
        room = np.maximum(most / (weight * isr), 1.0)
        scaled = weight / weight.mean() if columns else normalised(weight, shown)
        return cls(sampling, asked, isr, weight, product, room, scaled)

    def times(self, cls_pw: Floats) -> ClassFactors:
        """Return the factors with (C,) those of Ultralytics' own cls_pw in the product."""
        return replace(self, product=self.product * cls_pw, cls_pw=cls_pw)

    @property
    def by_loss(self) -> bool:
        """Whether a factor other than sampling has a part."""
        ours = (self.weight, self.isr, self.asked)
        return self.cls_pw is not None or any(bool((factors != 1).any()) for factors in ours)

    def rows(self) -> list[dict[str, object]]:
        """Return the figures of `balance.yaml`, one dict per class."""
        columns = {"shown": self.sampling, "class_weight_asked": self.asked, "class_weight": self.weight}
        columns |= {"isr": self.isr} | ({} if self.cls_pw is None else {"cls_pw": self.cls_pw})
        columns["product"] = self.product
        return [{key: round(float(values[c]), 4) for key, values in columns.items()} for c in range(len(self.asked))]
