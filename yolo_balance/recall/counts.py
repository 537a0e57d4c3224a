"""Every box of a validation pass, matched or not, as flat arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outcomes:
    """Predicted boxes and the objects they were to find, pooled over a split.

    A box is a hit if it found an object: same class, IoU at least the report's, best remaining object first come first
    served in falling confidence. Counting the boxes at or above a threshold then equals matching only those, because a
    box below it never takes an object from one above.

    Attributes:
        confidence: (P,) of every box, float64.
        predicted: (P,) class of every box.
        hit: (P,) whether it found an object.
        on_clean: (P,) whether its image is without objects.
        objects: (C,) objects per class.
        images: Images of the split.
        clean_images: Those without objects.
    """

    confidence: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]
    hit: Bools
    on_clean: Bools
    objects: npt.NDArray[np.int64]
    images: int
    clean_images: int

    @classmethod
    def pool(
        cls,
        hit: Sequence[npt.ArrayLike],
        confidence: Sequence[npt.ArrayLike],
        predicted: Sequence[npt.ArrayLike],
        objects: Sequence[npt.ArrayLike],
        num_classes: int,
    ) -> Outcomes:
        """Pool per-image arrays.

        Args:
            hit: Per image (P_i,) bool.
            confidence: Per image (P_i,).
            predicted: Per image (P_i,) classes of the boxes.
            objects: Per image (T_i,) classes of its objects; empty for a clean image.
            num_classes: C.
        """
        clean = np.array([np.size(classes) == 0 for classes in objects], bool)
        boxes = np.array([np.size(c) for c in confidence], np.int64)
        return cls(
            confidence=_flat(confidence).astype(np.float64),
            predicted=_flat(predicted).astype(np.int64),
            hit=_flat(hit).astype(bool),
            on_clean=np.repeat(clean, boxes),
            objects=np.bincount(_flat(objects).astype(np.int64), minlength=num_classes),
            images=len(clean),
            clean_images=int(clean.sum()),
        )

    def hits_at(self, threshold: float) -> npt.NDArray[np.int64]:
        """(C,) objects found by boxes at or above the threshold."""
        found = self.hit & (self.confidence >= threshold)
        return np.bincount(self.predicted[found], minlength=len(self.objects))

    def false_confidences(self) -> tuple[npt.NDArray[np.float64], int]:
        """Confidences of the false boxes that count against a budget, and the number of images they are read on.

        Those on clean images; on a split without clean images, all that found nothing, over all images.
        """
        if self.clean_images:
            return self.confidence[self.on_clean], self.clean_images
        return self.confidence[~self.hit], self.images


def _flat(rows: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float64]:
    return np.concatenate([np.asarray(row, np.float64).ravel() for row in rows]) if len(rows) else np.zeros(0)
