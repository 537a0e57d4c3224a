"""What the inspector reads: recall per class at a false-alarm budget, with intervals. Pure numpy and scipy."""

from yolo_balance.recall.clustering import effective_sizes
from yolo_balance.recall.costs import CheapestThreshold, cheapest_threshold
from yolo_balance.recall.counts import ImageOutcome, Outcomes, match
from yolo_balance.recall.images import (
    ClassImages,
    Escape,
    ImageRates,
    Overkill,
    Share,
    Zones,
    ZoneShares,
    images_needed,
    zones,
)
from yolo_balance.recall.images_table import render_rates, render_zones
from yolo_balance.recall.intervals import effective_interval, interval
from yolo_balance.recall.operating_point import false_alarm_rate, threshold_at
from yolo_balance.recall.prime_samples import PrimeSamples
from yolo_balance.recall.report import BudgetRecall, ClassRecall, PerClassRecall, RecallReport
from yolo_balance.recall.sharing import share_budget

__all__ = [
    "BudgetRecall",
    "CheapestThreshold",
    "ClassImages",
    "ClassRecall",
    "Escape",
    "ImageOutcome",
    "ImageRates",
    "Outcomes",
    "Overkill",
    "PerClassRecall",
    "PrimeSamples",
    "RecallReport",
    "Share",
    "ZoneShares",
    "Zones",
    "cheapest_threshold",
    "effective_interval",
    "effective_sizes",
    "false_alarm_rate",
    "images_needed",
    "interval",
    "match",
    "render_rates",
    "render_zones",
    "share_budget",
    "threshold_at",
    "zones",
]
