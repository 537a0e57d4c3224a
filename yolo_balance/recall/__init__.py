"""Recall per class at a false-alarm budget, with intervals. Pure numpy and scipy."""

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.class_thresholds import share_budget
from yolo_balance.recall.costs import CheapestThreshold, cheapest_threshold
from yolo_balance.recall.decisions.thresholds import Thresholds
from yolo_balance.recall.details import Details
from yolo_balance.recall.diagnosis.detection_probability import DetectionProbability, pod_by_class
from yolo_balance.recall.diagnosis.error_types import (
    ClassErrors,
    ErrorTypes,
    FalseBoxes,
    MissedObjects,
    false_box_types,
    miss_causes,
)
from yolo_balance.recall.diagnosis.prime_samples import PrimeSamples
from yolo_balance.recall.diagnosis.recall_by_size import RecallBySize, SizeBin, object_sizes
from yolo_balance.recall.evidence.effective_size import effective_sizes
from yolo_balance.recall.evidence.intervals import effective_interval, interval
from yolo_balance.recall.images import (
    ClassImages,
    Escape,
    ImageRates,
    ImageShare,
    Overkill,
    Zones,
    ZoneShares,
    images_needed,
    zones,
)
from yolo_balance.recall.matching import ImageOutcome, match
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.recall.report import BudgetRecall, PerClassRecall, RecallReport

__all__ = [
    "BudgetRecall",
    "CheapestThreshold",
    "ClassErrors",
    "ClassImages",
    "ClassRecall",
    "Details",
    "DetectionProbability",
    "ErrorTypes",
    "Escape",
    "FalseBoxes",
    "ImageOutcome",
    "ImageRates",
    "ImageShare",
    "MissedObjects",
    "Outcomes",
    "Overkill",
    "PerClassRecall",
    "PrimeSamples",
    "RecallBySize",
    "RecallReport",
    "SizeBin",
    "Thresholds",
    "ZoneShares",
    "Zones",
    "cheapest_threshold",
    "effective_interval",
    "effective_sizes",
    "false_alarm_rate",
    "false_box_types",
    "images_needed",
    "interval",
    "match",
    "miss_causes",
    "object_sizes",
    "pod_by_class",
    "share_budget",
    "threshold_at",
    "zones",
]
