"""What the inspector reads: recall per class at a false-alarm budget, with intervals. Pure numpy and scipy."""

from yolo_balance.recall.clustering import effective_sizes
from yolo_balance.recall.counts import ImageOutcome, Outcomes, match
from yolo_balance.recall.intervals import effective_interval, interval
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at
from yolo_balance.recall.prime_samples import PrimeSamples
from yolo_balance.recall.report import BudgetRecall, ClassRecall, PerClassRecall, RecallReport
from yolo_balance.recall.sharing import share_budget

__all__ = [
    "BudgetRecall",
    "ClassRecall",
    "ImageOutcome",
    "Outcomes",
    "PerClassRecall",
    "PrimeSamples",
    "RecallReport",
    "effective_interval",
    "effective_sizes",
    "false_alarm_rate",
    "interval",
    "match",
    "share_budget",
    "threshold_at",
]
