"""Balanced trainers of the tasks with boxes; `classification` has the trainer of image folders."""

from __future__ import annotations

from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.models.yolo.pose import PoseTrainer
from ultralytics.models.yolo.segment import SegmentationTrainer

from yolo_balance.integration.training.trainer import BalancedTrainerMixin


class BalancedDetectionTrainer(BalancedTrainerMixin, DetectionTrainer):
    """Ultralytics' detection trainer with every term off: it trains bit for bit as stock and reports recall.

    Example:
        YOLO("yolo26n.pt").train(trainer=BalancedDetectionTrainer.configured("cfg/defects.yaml"), data="defects.yaml")
    """


class BalancedSegmentationTrainer(BalancedTrainerMixin, SegmentationTrainer):
    """Ultralytics' segmentation trainer; terms act on classes and boxes, recall is that of masks."""


class BalancedPoseTrainer(BalancedTrainerMixin, PoseTrainer):
    """Ultralytics' pose trainer; terms act on classes and boxes, recall is that of key points (OKS)."""


class BalancedOBBTrainer(BalancedTrainerMixin, OBBTrainer):
    """Ultralytics' trainer of oriented boxes; overlap is ProbIoU throughout, as in Ultralytics."""
