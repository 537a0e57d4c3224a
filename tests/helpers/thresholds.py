"""Thresholds that no validation measured."""

from __future__ import annotations

from yolo_balance.recall import Thresholds
from yolo_balance.recall.decisions.thresholds import BudgetThresholds, ZoneBudgets


def made(review, reject, names=("0", "1", "2"), **conditions):
    """Thresholds of a review and a reject budget, one confidence per class."""
    return Thresholds(
        **{"split": "val", "iou": 0.5, "images": 20, "clean_images": 9, **conditions},
        zones=ZoneBudgets(review=1.0, reject=0.1),
        budgets=[
            BudgetThresholds(false_alarms=b, threshold=max(values), classes=dict(zip(names, values, strict=True)))
            for b, values in ((1.0, review), (0.1, reject))
        ],
    )
