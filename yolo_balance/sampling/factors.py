"""Image factors from class counts: how many times as often an image is wanted.

Gupta, Dollar, Girshick: LVIS: A Dataset for Large Vocabulary Instance Segmentation (2019), section on repeat factor
sampling. The median as default threshold follows super-gradients' class balancer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from yolo_balance.sampling.statistics import ClassStatistics, Floats


def repeat_factors(
    image_classes: Sequence[npt.ArrayLike] | tuple[npt.ArrayLike, npt.ArrayLike, int],
    num_classes: int,
    *,
    threshold: float | Literal["median"] = "median",
    power: float = 0.5,
    max_repeat: float | None = None,
) -> Floats:
    """Repeat factor of every image.

    1. f(c) = images with class c / all images, background included.
    2. r(c) = max(1, (t / f(c))^power), capped at `max_repeat`.
    3. r(I) = max over the classes c of image I of r(c); 1 for a background image.

    Args:
        image_classes: Per image an int array of its boxes' classes, repeats kept, empty for background; or the flat
            table (classes, image_index, num_images).
        num_classes: Number of classes; classes without images ask for nothing and do not enter the median.
        threshold: t, a frequency in (0, 1], or `median` of the present classes' frequencies.
        power: 0 gives ones, 0.5 is the published square root, 1 the inverse frequency.
        max_repeat: Cap on a factor, at least 1; None for none.

    Returns:
        float64 (num_images,), at least 1.

    Raises:
        ValueError: For a threshold outside (0, 1], a negative power or a cap below 1.
    """
    statistics = ClassStatistics.of(image_classes, num_classes)
    r = class_repeat_factors(statistics, threshold=threshold, power=power, max_repeat=max_repeat)
    return image_factors(statistics, r)


def class_repeat_factors(
    statistics: ClassStatistics,
    *,
    threshold: float | Literal["median"] = "median",
    power: float = 0.5,
    max_repeat: float | None = None,
) -> Floats:
    """Steps 1 and 2 of `repeat_factors`: r(c) of every class, (C,), 1 for a class without images."""
    if threshold != "median" and not 0 < threshold <= 1:
        raise ValueError(f"expected threshold 'median' or in (0, 1], got {threshold!r}")
    if power < 0:
        raise ValueError(f"expected power >= 0, got {power!r}")
    if max_repeat is not None and max_repeat < 1:
        raise ValueError(f"expected max_repeat >= 1, got {max_repeat!r}")
    f = statistics.images / max(statistics.num_images, 1)
    present = f > 0
    if not present.any():
        return np.ones(len(f))
    t = float(np.median(f[present])) if threshold == "median" else threshold
    r = np.ones(len(f))
    r[present] = np.maximum(1.0, (t / f[present]) ** power)
    return r if max_repeat is None else np.minimum(r, max_repeat)


def image_factors(statistics: ClassStatistics, r: Floats) -> Floats:
    """Step 3 of `repeat_factors`: the largest of its classes' factors for every image, (num_images,)."""
    factors = np.ones(statistics.num_images)
    np.maximum.at(factors, statistics.image_index, r[statistics.classes])
    return factors


def keep_background_share(factors: Floats, background: npt.NDArray[np.bool_]) -> Floats:
    """Scale the background images' factors so that their share of an epoch stays what it is in the data.

    Without this, repeating rare images crowds out the clean ones, and false alarms are learnt from those.

    Args:
        factors: (num_images,) factors.
        background: (num_images,) whether an image has no box.

    Returns:
        (num_images,) factors, those of images with objects unchanged.
    """
    share = background.mean() if len(background) else 0.0
    if share in (0.0, 1.0):
        return factors
    objects = factors[~background].sum()
    wanted = objects * share / (1 - share)
    return np.where(background, factors * (wanted / factors[background].sum()), factors)
