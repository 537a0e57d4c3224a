"""Choice of the images that the network sees: class counts -> image factors -> one epoch's images. Pure numpy."""

from yolo_balance.sampling.epoch import SamplingPlan, epoch_length, plan_epoch
from yolo_balance.sampling.exposure import Exposure
from yolo_balance.sampling.factors import (
    background_share,
    class_effective_number,
    class_inverse_frequency,
    class_repeat_factors,
    class_uniform,
    class_uniform_factors,
    effective_number_factors,
    image_factors,
    inverse_frequency_factors,
    repeat_factors,
)
from yolo_balance.sampling.feedback import RecallFeedback
from yolo_balance.sampling.schedule import ClassPlan, SamplingSchedule, class_plans
from yolo_balance.sampling.statistics import ClassStatistics, LabelTable, label_table

__all__ = [
    "ClassPlan",
    "ClassStatistics",
    "Exposure",
    "LabelTable",
    "RecallFeedback",
    "SamplingPlan",
    "SamplingSchedule",
    "background_share",
    "class_effective_number",
    "class_inverse_frequency",
    "class_plans",
    "class_repeat_factors",
    "class_uniform",
    "class_uniform_factors",
    "effective_number_factors",
    "epoch_length",
    "image_factors",
    "inverse_frequency_factors",
    "label_table",
    "plan_epoch",
    "repeat_factors",
]
