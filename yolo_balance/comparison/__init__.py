"""Comparison of an experiment's arms: runs paired by seed and image -> differences with intervals.

Pure: runs come in as the files they left, whoever ran them.
"""

from yolo_balance.comparison.comparison import ArmFigures, ClassCounts, Comparison
from yolo_balance.comparison.figures import Difference, Figure, Key
from yolo_balance.comparison.paired_statistics import bootstrap_interval, image_weights, seed_weights, student_interval
from yolo_balance.comparison.run_figures import RunFigures

__all__ = [
    "ArmFigures",
    "ClassCounts",
    "Comparison",
    "Difference",
    "Figure",
    "Key",
    "RunFigures",
    "bootstrap_interval",
    "image_weights",
    "seed_weights",
    "student_interval",
]
