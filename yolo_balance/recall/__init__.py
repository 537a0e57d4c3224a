"""What the inspector reads: recall per class at a false-alarm budget, with intervals. Pure numpy and scipy."""

from yolo_balance.recall.counts import ImageOutcome, Outcomes, match
from yolo_balance.recall.intervals import interval
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at
from yolo_balance.recall.prime_samples import PrimeSamples
from yolo_balance.recall.report import BudgetRecall, ClassRecall, RecallReport
from yolo_balance.recall.thresholds import Thresholds

__all__ = [
    "BudgetRecall",
    "ClassRecall",
    "ImageOutcome",
    "Outcomes",
    "PrimeSamples",
    "RecallReport",
    "Thresholds",
    "false_alarm_rate",
    "interval",
    "match",
    "threshold_at",
]
