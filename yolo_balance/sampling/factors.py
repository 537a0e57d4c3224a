"""Image factors from class counts: multiples of how often an image is shown.

Two steps. A strategy gives every class a factor r(c), relative to 1 for the classes it leaves alone; an image takes the
largest, the mean or the sum of its classes' factors. A class without images has factor 1.

    strategy             r(c)                                                                      image
    repeat_factor        max(1, (t / f(c))^power)                                                  max
    inverse_frequency    (max f / f(c))^power                                                      max
    effective_number     E(max n) / E(n(c)),  E(n) = (1 - beta^n) / (1 - beta)                     max
    class_uniform        max n / n(c), n in images                                                 sum

Sources: repeat factors, Gupta, Dollar, Girshick, LVIS (2019), its median threshold from super-gradients' class
balancer; their instance-aware form, f = sqrt(image frequency * instance frequency), Yaman et al. (2023);
inverse frequency, with power 1/2 the square-root sampling of Mahajan et al. (2018); effective number of samples,
Cui et al. (2019); class-uniform, "class-aware sampling", Shen, Lin, Huang (2016).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats
from yolo_balance.sampling.statistics import ClassStatistics, Labels

Frequency: TypeAlias = Literal["image", "instance", "sqrt(image*instance)"]
Aggregate: TypeAlias = Literal["max", "mean", "sum"]
Threshold: TypeAlias = float | Literal["median"]


def repeat_factors(
    image_classes: Labels,
    num_classes: int,
    *,
    threshold: Threshold = "median",
    power: float = 0.5,
    frequency: Frequency = "image",
    aggregate: Aggregate = "max",
    max_repeat: float | None = None,
) -> Floats:
    """Compute the repeat factor of every image, Gupta et al. (2019).

    1. f(c) = images with class c / all images, background included.
    2. r(c) = max(1, (t / f(c))^power), capped at `max_repeat`.
    3. r(I) = max over the classes c of image I of r(c); 1 for a background image.

    The reference form; training uses `SamplingSchedule`, which counts the labels once.

    Args:
        image_classes: Per image an int array of its boxes' classes, repeats kept, empty for background; or the flat
            table (classes, image_index, num_images).
        num_classes: Number of classes; classes without images do not enter the median.
        threshold: t, a frequency in (0, 1], or `median` of the present classes' frequencies.
        power: 0 gives ones, 0.5 is the published square root, 1 the inverse frequency.
        frequency: f(c) as above (`image`), boxes of c / all boxes (`instance`), or the root of the two's product.
        aggregate: Step 3's maximum, or the mean or the sum.
        max_repeat: Cap on a factor, at least 1; None for none.

    Returns:
        float64 (num_images,), at least 1.

    Raises:
        ValueError: For a threshold outside (0, 1], a negative power or a cap below 1.
    """
    statistics = ClassStatistics.of(image_classes, num_classes)
    r = class_repeat_factors(statistics, threshold=threshold, power=power, frequency=frequency)
    return image_factors(statistics, r, aggregate=aggregate, max_repeat=max_repeat)


def class_repeat_factors(
    statistics: ClassStatistics, *, threshold: Threshold = "median", power: float = 0.5, frequency: Frequency = "image"
) -> Floats:
    """Return (C,) r(c) = max(1, (t / f(c))^power), see `repeat_factors`; 1 for a class without images."""
    if threshold != "median" and not 0 < threshold <= 1:
        raise ValueError(f"expected threshold 'median' or in (0, 1], got {threshold!r}")
    _check_power(power)
    f = class_frequencies(statistics, frequency)
    present = f > 0
    if not present.any():
        return np.ones(len(f))
    t = float(np.median(f[present])) if threshold == "median" else threshold
    r = np.ones(len(f))
    r[present] = np.maximum(1.0, (t / f[present]) ** power)
    return r


def class_inverse_frequency(
    statistics: ClassStatistics, *, power: float = 0.5, frequency: Frequency = "image"
) -> Floats:
    """Return r(c) = (max f / f(c))^power, which rises with a falling frequency over all classes.

    `power=1, frequency="instance"` is the popular weighted loader's weight.
    """
    _check_power(power)
    f = class_frequencies(statistics, frequency)
    present = f > 0
    r = np.ones(len(f))
    r[present] = (f.max(initial=0.0) / f[present]) ** power
    return r


def class_effective_number(
    statistics: ClassStatistics, *, beta: float = 0.999, frequency: Frequency = "image"
) -> Floats:
    """Return r(c) = E(max n) / E(n(c)), from the effective number of samples, Cui et al. (2019).

    E(n) = (1 - beta^n) / (1 - beta) counts n samples of which each new one adds less; beta 0 gives ones, beta towards 1
    the inverse count. ValueError for a beta outside [0, 1).
    """
    if not 0 <= beta < 1:
        raise ValueError(f"expected beta in [0, 1), got {beta!r}")
    n = _counts(statistics.images, statistics.boxes, frequency)
    present = n > 0
    e = 1 - beta**n  # the factor 1 / (1 - beta) cancels
    r = np.ones(len(n))
    r[present] = e.max(initial=0.0) / e[present]
    return r


def class_uniform(statistics: ClassStatistics) -> Floats:
    """Return r(c) = max n / n(c) with n in images, of which an image takes the sum, Shen et al. (2016).

    Drawing a class, each equally often, and then one of its images draws an image for each of its classes, with
    probability 1 / n(c) each: r(I) = sum of max n / n(c). An image of the most frequent class alone has factor 1.
    """
    return class_inverse_frequency(statistics, power=1.0)


def class_frequencies(statistics: ClassStatistics, frequency: Frequency) -> Floats:
    """Return (C,) f(c): the share of images with class c, of boxes of class c, or the root of the two's product."""
    image = statistics.images / max(statistics.num_images, 1)
    instance = statistics.boxes / max(len(statistics.classes), 1)
    return _counts(image, instance, frequency)


def _counts(image: npt.ArrayLike, instance: npt.ArrayLike, frequency: Frequency) -> Floats:
    image, instance = np.asarray(image, np.float64), np.asarray(instance, np.float64)
    if frequency == "image":
        return image
    if frequency == "instance":
        return instance
    if frequency == "sqrt(image*instance)":
        mean: Floats = np.sqrt(image * instance)
        return mean
    raise ValueError(f"expected frequency image, instance or sqrt(image*instance), got {frequency!r}")


def _check_power(power: float) -> None:
    if power < 0:
        raise ValueError(f"expected power >= 0, got {power!r}")


def image_factors(
    statistics: ClassStatistics, r: Floats, *, aggregate: Aggregate = "max", max_repeat: float | None = None
) -> Floats:
    """Combine the class factors of every image into its image factor.

    Args:
        statistics: The labels; a class counts once in an image, however many boxes it has there.
        r: (C,) class factors.
        aggregate: `max`, `mean` or `sum` over the image's classes.
        max_repeat: Cap on class factors and on the result, at least 1; None for none.

    Returns:
        float64 (num_images,), 1 for a background image.

    Raises:
        ValueError: For another aggregate or a cap below 1.
    """
    if max_repeat is not None:
        if max_repeat < 1:
            raise ValueError(f"expected max_repeat >= 1, got {max_repeat!r}")
        r = np.minimum(r, max_repeat)  # before a mean, which one class without bound would otherwise rule
    image, label, _ = statistics.pairs
    if aggregate == "max":
        factors = np.full(statistics.num_images, -np.inf)
        np.maximum.at(factors, image, r[label])
    elif aggregate in ("mean", "sum"):
        factors = np.bincount(image, weights=r[label], minlength=statistics.num_images).astype(np.float64)
        if aggregate == "mean":
            factors = factors / np.maximum(np.bincount(image, minlength=statistics.num_images), 1)
    else:
        raise ValueError(f"expected aggregate max, mean or sum, got {aggregate!r}")
    factors[statistics.background] = 1.0
    return factors if max_repeat is None else np.minimum(factors, max_repeat)


def background_share(factors: Floats, background: Bools, share: float | None = None) -> Floats:
    """Scale the background images' factors to a share of an epoch.

    By default the share stays that of the data: repeating rare images would otherwise crowd out the clean ones,
    and false alarms are learnt from clean images.

    Args:
        factors: (num_images,) factors.
        background: (num_images,) whether an image has no box.
        share: Share of background images in an epoch, in [0, 1); None for the data's.

    Returns:
        (num_images,) factors, those of images with objects unchanged; all unchanged where one of the two kinds of
        images is missing.
    """
    natural = float(background.mean()) if len(background) else 0.0
    if natural in (0.0, 1.0) or not factors[background].any():
        return factors
    share = natural if share is None else share
    requested = factors[~background].sum() * share / (1 - share)
    return np.where(background, factors * (requested / factors[background].sum()), factors)
