"""Choice of the images that the network sees: class counts -> image factors -> one epoch's images. Pure numpy."""

from yolo_balance.sampling.epoch import SamplingPlan, plan_epoch
from yolo_balance.sampling.exposure import Exposure
from yolo_balance.sampling.factors import repeat_factors
from yolo_balance.sampling.feedback import RecallFeedback
from yolo_balance.sampling.schedule import ClassPlan, SamplingSchedule, class_plans
from yolo_balance.sampling.statistics import ClassStatistics

__all__ = [
    "ClassPlan",
    "ClassStatistics",
    "Exposure",
    "RecallFeedback",
    "SamplingPlan",
    "SamplingSchedule",
    "class_plans",
    "plan_epoch",
    "repeat_factors",
]
