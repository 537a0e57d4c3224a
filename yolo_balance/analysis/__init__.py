"""Cost of imbalance before any training: labels -> figures, findings, a page for people, a YAML to start from.

Pure: labels come in as arrays, whoever read them.
"""

from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.duplicates import Duplicates, find_duplicates
from yolo_balance.analysis.imbalance import co_occurrence, effective_classes, gini, imbalance_ratio
from yolo_balance.analysis.split import Labels, SplitFigures
from yolo_balance.analysis.val_needs import boxes_for_half_width, boxes_to_show

__all__ = [
    "DataAnalysis",
    "Duplicates",
    "Labels",
    "SplitFigures",
    "boxes_for_half_width",
    "boxes_to_show",
    "co_occurrence",
    "effective_classes",
    "find_duplicates",
    "gini",
    "imbalance_ratio",
]
