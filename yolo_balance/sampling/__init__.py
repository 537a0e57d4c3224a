"""What the network sees: class counts -> image factors -> one epoch's images. Pure numpy."""

from yolo_balance.sampling.epoch import SamplingPlan, epoch_length, plan_epoch
from yolo_balance.sampling.exposure import Exposure
from yolo_balance.sampling.factors import class_repeat_factors, image_factors, keep_background_share, repeat_factors
from yolo_balance.sampling.statistics import ClassStatistics, LabelTable, label_table

__all__ = [
    "ClassStatistics",
    "Exposure",
    "LabelTable",
    "SamplingPlan",
    "class_repeat_factors",
    "epoch_length",
    "image_factors",
    "keep_background_share",
    "label_table",
    "plan_epoch",
    "repeat_factors",
]
