"""Prime samples of a finished model: does the box that fits an object best also score highest?

Cao et al., Prime Sample Attention in Object Detection (2019): the prime sample of an object is the sample with the
highest IoU with it. A detector should give these its highest scores, and should not give high scores to boxes that lie
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from yolo_balance.arrays import Floats32
from yolo_balance.recall.outcomes import Outcomes

SCORE, IOU = 0.3, 0.5
"""A box of at least this score and less than this IoU is misplaced."""


@dataclass(frozen=True)
class PrimeSamples:
    """Score and IoU of each object's prime sample, and of every predicted box, pooled over a split.

    An object's prime sample is the box of its class with the highest IoU with it; of several, the one that scores
    highest. An object that no box of its class overlaps has IoU 0 and score 0.

    IoU is what the task matches by: that of masks, the similarity of key points, the ProbIoU of oriented boxes.

    Boxes of other classes do not count. A box of Ultralytics' validation has one class, but a place is listed as a box
    of each class that scores there above `conf` (unless `agnostic_nms`), so an object's own class is among them
    wherever it has a score. What other classes list beside a found object is left over, from non-maximum suppression,
    which works class by class, or from an end-to-end head, which reports its 300 highest scores as they are. Some of it
    lies a little closer to the object by chance, and its class says nothing of how the object scored.

    Attributes:
        iou: (n,) of each object's prime sample, float32.
        score: (n,) of the same, for the object's class.
        label: (n,) class of the object, int64.
        box_score: (m,) of every box, a place counting once per class listed there.
        box_iou: (m,) highest IoU of the box with an object of its class; 0 if there is none.
    """

    iou: Floats32
    score: Floats32
    label: npt.NDArray[np.int64]
    box_score: Floats32
    box_iou: Floats32

    @classmethod
    def of(cls, outcomes: Outcomes) -> PrimeSamples:
        """Take the prime samples of a split.

        Example:
            >>> from yolo_balance.recall import ImageOutcome
            >>> image = ImageOutcome.of([[0.9, 0.6, 0.0]], [2], [2, 2, 2], [0.4, 0.7, 0.5])
            >>> samples = PrimeSamples.of(Outcomes.pool([image], num_classes=3))
            >>> f"{samples.iou[0]:.1f} {samples.score[0]:.1f}", samples.misplaced(score=0.5)
            ('0.9 0.4', (0.5, 2))
        """
        score = outcomes.confidence.astype(np.float32)
        return cls(outcomes.prime_iou, outcomes.prime_score, outcomes.object_class, score, outcomes.own_iou)

    def misplaced(self, score: float = SCORE, iou: float = IOU) -> tuple[float | None, int]:
        """Return the share of boxes of at least a score that lie below an IoU, and the number of boxes with that score.

        A box on an object of another class is misplaced too: its IoU is that with objects of its own.

        Returns:
            The share, None without such boxes, and their number.
        """
        high = self.box_score >= np.float32(score)
        n = int(high.sum())
        return (int((high & (self.box_iou < np.float32(iou))).sum()) / n if n else None), n

    def correlation(self) -> float | None:
        """Return Spearman's rank correlation of score and IoU over all objects, with or without a box on them.

        Returns:
            It in [-1, 1]; None for fewer than 3 objects, or if all have one score or one IoU.
        """
        if len(self.iou) < 3 or np.ptp(self.iou) == 0 or np.ptp(self.score) == 0:
            return None
        return float(spearmanr(self.iou, self.score).statistic)
