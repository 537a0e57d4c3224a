"""Effective sample size of objects that share images: the number of equally informative independent objects.

Boxes of one image are found or missed together more often than those of different images, so n of them say less than
n trials. So are boxes of the images of one unit (`units`), which then takes the place of an image here. Resampling
whole images (the cluster bootstrap, Davison and Hinkley 1997) measures how much less; an interval
is then worked out on the effective number (Kish 1965; for Clopper-Pearson, Korn and Graubard 1998).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Ints

RESAMPLES = 1000
_SEED = 0  # the same pass gives the same interval


def effective_sizes(
    detected: Bools, object_class: Ints, object_image: Ints, num_classes: int, *, resamples: int = RESAMPLES
) -> Floats:
    """Return the (K, C) effective number of objects of each class, for K readings of the same objects.

    n_eff = n / max(1, deff), deff = Var*(R) / (R (1 - R) / n): R the class's recall, Var* its variance over bootstrap
    samples of the images that hold the class, times k / (k - 1) for k such images. Where all were found, or none, no
    sample differs from another; then n_eff = k, as if the objects of an image always shared their fate. With an object
    of the class per image n_eff is n exactly, and 0 without objects. The order of the images does not matter.

    Args:
        detected: (K, T) whether an object is found.
        object_class: (T,) class ids.
        object_image: (T,) images, or units of images.
        num_classes: C.
        resamples: Bootstrap samples.
    """
    n = np.bincount(object_class, minlength=num_classes).astype(np.float64)
    sizes = np.repeat(n[None], len(detected), axis=0)
    rng = np.random.default_rng(_SEED)
    for c in range(num_classes):
        own = object_class == c
        _, image = np.unique(object_image[own], return_inverse=True)
        images = int(image.max(initial=-1)) + 1
        if images == n[c]:
            continue
        per_image = np.bincount(image).astype(np.float64)
        hits = np.array([np.bincount(image, weights=row[own], minlength=images) for row in detected], np.float64)
        sizes[:, c] = _effective(hits, per_image, rng, resamples)
    return sizes


def _effective(hits: Floats, per_image: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Return (K,) effective numbers of objects from (K, k) hits and (k,) objects per image."""
    images, n = len(per_image), per_image.sum()
    recall = hits.sum(axis=1) / n
    partly = (recall > 0) & (recall < 1)
    sizes = np.full(len(hits), float(images))
    if images == 1 or not partly.any():
        return sizes
    # Each row in the order of its counts, so that the order of the images does not matter
    hits, per_image = np.stack([row[np.lexsort((row, per_image))] for row in hits]), np.sort(per_image)
    sample = rng.integers(images, size=(resamples, images)) + images * np.arange(resamples)[:, None]
    drawn = np.bincount(sample.ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.float64)
    ratios: npt.NDArray[np.float64] = (drawn @ hits[partly].T) / (drawn @ per_image)[:, None]
    variance = ratios.var(axis=0, ddof=1) * images / (images - 1)
    design_effect = variance / (recall[partly] * (1 - recall[partly]) / n)
    sizes[partly] = n / np.maximum(design_effect, 1.0)
    return sizes


def effective_images(part: Bools, of: Bools, *, unit: Ints) -> float:
    """Return the effective number of images of a kind, whose share in a part is measured.

    As `effective_sizes`, with units for images and images for objects, and with the linearised variance of a ratio
    (Cochran, Sampling Techniques, 1977), which the bootstrap's approaches: with h_u images of m_u in the part and k
    units, Var(R) = k / (k - 1) sum of (h_u - R m_u)^2 / n^2.

    Args:
        part: (I,) whether an image is in the part, as the rejected ones.
        of: (I,) whether an image is of the kind, as the clean ones.
        unit: (I,) unit of every image.
    """
    if unit.max(initial=-1) + 1 == len(unit):  # each image is a unit
        return float(of.sum())
    images = np.bincount(unit[of]).astype(np.float64)
    n, units = images.sum(), np.count_nonzero(images)
    hits = np.bincount(unit[of & part], minlength=len(images))
    rate = hits.sum() / max(n, 1)
    if units == n or units == 1 or not 0 < rate < 1:
        return float(units)
    variance = units / (units - 1) * ((hits - rate * images) ** 2).sum() / n**2
    return float(n / max(variance / (rate * (1 - rate) / n), 1.0))
