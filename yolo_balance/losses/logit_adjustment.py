"""Logit adjustment: training has to overcome the class prior, inference does without; Menon et al. (2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from yolo_balance.arrays import Floats, Ints
from yolo_balance.losses.assignment import Term
from yolo_balance.losses.per_class import PerClass


def logit_offsets(counts: Ints | Floats, *, tau: float = 1.0) -> Floats:
    """Compute the offset that is added to each class's logit while training.

        offset_c = tau * (log pi_c - log max pi),   pi_c = n_c / sum n

    The commonest class has 0, a rare one less. For softmax the common term log max pi cancels; for a sigmoid it decides
    that the commonest class is the one left alone. tau = 0 gives zeros. A class without any object takes the smallest
    prior present, its own being zero; without any object at all the offsets are 0.

    Args:
        counts: (C,) n_c, objects (or images) of each class, >= 0.
        tau: Multiple of the log prior, >= 0; 1 is the paper's consistent choice.

    Returns:
        float64 (C,), at most 0.
    """
    n = np.asarray(counts, np.float64)
    present = n > 0
    if not present.any():
        return np.zeros_like(n)
    offsets: Floats = tau * np.log(np.where(present, n, n[present].min()) / n.max())
    return offsets


class LogitAdjustment(Term):
    """Adds fixed offsets to the logits that the classification loss is called with.

    At inference the plain logits are used, so that a rare class scores higher than without the term.

    The paper's loss is a softmax cross-entropy, in which classes compete: the adjusted training makes the plain logits
    those of a balanced prior. The argument holds for image classification, see `balanced_cross_entropy`. A detector's
    head has a sigmoid for each class, every one a binary problem of its own against background, and the offset moves
    that class's own bias: the raw logit has to rise by -offset before the loss sees the score it would otherwise have
    seen. Scores of rare classes rise, by up to -offset in the logit; which of two classes wins at a box changes through
    that alone.

    Args:
        offsets: (C,), as from `logit_offsets`.
    """

    def __init__(self, offsets: npt.ArrayLike | Tensor):
        self.offsets = PerClass(offsets)

    def adjusted(self, logits: Tensor) -> Tensor:
        """Return the logits plus offsets, (B, A, C), in the logits' dtype."""
        return logits + self.offsets.on(logits.device).to(logits.dtype)
