"""Details in the report of a finished model: zones, costs, error types, box sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yolo_balance.recall.costs import CheapestThreshold
from yolo_balance.recall.diagnosis.detection_probability import DetectionProbability
from yolo_balance.recall.diagnosis.error_types import ErrorTypes
from yolo_balance.recall.diagnosis.recall_by_size import RecallBySize
from yolo_balance.recall.images import Zones


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
