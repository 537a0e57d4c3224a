"""What the inspector reads: recall per class at a false-alarm budget, with intervals. Pure numpy and scipy."""

from yolo_balance.recall.counts import ImageOutcome, Outcomes, match
from yolo_balance.recall.detection_probability import DetectionProbability, pod_by_class
from yolo_balance.recall.errors import ClassErrors, ErrorTypes, FalseBoxes, MissedObjects, false_box_types, miss_causes
from yolo_balance.recall.errors_table import KNOBS
from yolo_balance.recall.intervals import interval
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at
from yolo_balance.recall.prime_samples import PrimeSamples
from yolo_balance.recall.report import BudgetRecall, ClassRecall, RecallReport
from yolo_balance.recall.sizes import RecallBySize, SizeBin, object_sizes

__all__ = [
    "KNOBS",
    "BudgetRecall",
    "ClassErrors",
    "ClassRecall",
    "DetectionProbability",
    "ErrorTypes",
    "FalseBoxes",
    "ImageOutcome",
    "MissedObjects",
    "Outcomes",
    "PrimeSamples",
    "RecallBySize",
    "RecallReport",
    "SizeBin",
    "false_alarm_rate",
    "false_box_types",
    "interval",
    "match",
    "miss_causes",
    "object_sizes",
    "pod_by_class",
    "threshold_at",
]
