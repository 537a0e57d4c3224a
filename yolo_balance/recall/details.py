"""Details in the report of a finished model: zones, costs, error types, box sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yolo_balance.config.recall import CostsConfig
from yolo_balance.recall.costs import CheapestThreshold, cheapest_threshold
from yolo_balance.recall.diagnosis.detection_probability import DetectionProbability, pod_by_class
from yolo_balance.recall.diagnosis.error_types import ErrorTypes
from yolo_balance.recall.diagnosis.recall_by_size import RecallBySize
from yolo_balance.recall.images import Zones, zones
from yolo_balance.recall.outcomes import Outcomes


@dataclass(frozen=True)
class Details:
    """Details at the first budget's common confidence; the zones use a confidence for each class.

    Attributes:
        zones: Images passed, reviewed and rejected with a confidence for each class: rejected from the higher of its
            confidences at the strictest and the loosest budget, reviewed from the lower one, as `predict` decides.
        cheapest: The threshold of least cost; None without costs, clean images or defective ones.
        errors: Why objects were missed, and what false boxes lie on.
        sizes: Recall by box size.
        detection: Probability of detection against size, by class name.
    """

    zones: Zones
    cheapest: CheapestThreshold | None
    errors: ErrorTypes
    sizes: RecallBySize
    detection: Mapping[str, DetectionProbability]

    @classmethod
    def of(
        cls,
        outcomes: Outcomes,
        names: Sequence[str],
        threshold: float,
        strict: npt.ArrayLike,
        loose: npt.ArrayLike,
        *,
        iou: float,
        confidence: float,
        costs: CostsConfig | None,
    ) -> Details:
        """Read the details of a validation pass.

        Args:
            outcomes: Boxes and objects of the split.
            names: C class names by class id.
            threshold: Confidence of the first budget.
            strict: (C,) confidences of the strictest budget, one for each class.
            loose: (C,) confidences of the loosest budget.
            iou: IoU the outcomes were matched at.
            confidence: Level of the intervals.
            costs: `balance.recall.costs`.
        """
        lower, higher = np.minimum(strict, loose), np.maximum(strict, loose)
        return cls(
            zones(outcomes, lower, higher, names, confidence=confidence),
            None
            if costs is None
            else cheapest_threshold(outcomes, names, costs.escape, costs.overkill, costs.defect_rate),
            ErrorTypes.of(outcomes, names, threshold, iou=iou),
            RecallBySize.of(outcomes, names, threshold, confidence=confidence),
            pod_by_class(outcomes, names, threshold),
        )
