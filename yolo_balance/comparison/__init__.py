"""Comparison of an experiment's arms: runs paired by seed and image -> differences with intervals.

Pure: runs come in as the files they left, whoever ran them.
"""

from yolo_balance.comparison.comparison import Comparison
from yolo_balance.comparison.figures import Key
from yolo_balance.comparison.run_figures import RunFigures

__all__ = ["Comparison", "Key", "RunFigures"]
