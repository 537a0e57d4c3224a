"""Recall per class at a false-alarm budget, with intervals. Pure numpy and scipy."""

from yolo_balance.recall.class_recall import ClassRecall
from yolo_balance.recall.class_thresholds import share_budget
from yolo_balance.recall.decisions.thresholds import Thresholds
from yolo_balance.recall.diagnosis.prime_samples import PrimeSamples
from yolo_balance.recall.evidence.intervals import interval
from yolo_balance.recall.matching import ImageOutcome
from yolo_balance.recall.operating_point import threshold_at
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.recall.report import RecallReport

__all__ = [
    "ClassRecall",
    "ImageOutcome",
    "Outcomes",
    "PrimeSamples",
    "RecallReport",
    "Thresholds",
    "interval",
    "share_budget",
    "threshold_at",
]
