"""`recall.html`: the report for people, one file that opens anywhere."""

from yolo_balance.recall.page.history import ClassExposure, EpochRecall, Shares, read_exposure, read_history
from yolo_balance.recall.page.html import render

__all__ = ["ClassExposure", "EpochRecall", "Shares", "read_exposure", "read_history", "render"]
