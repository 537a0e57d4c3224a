"""Weights on Ultralytics' own classification and box losses. Pure torch.

A term is an object with five methods, each of which leaves the loss unchanged by default:

    adjusted(logits) -> (B, A, C), what the classification loss is called with
    classification_weights(assignment, loss) -> (B, A, 1) or (B, A, C), multiplied into the elementwise loss (B, A, C)
    own_weights(assignment) -> (B, A), multiplied into each positive's loss at its own class
    anchor_weights(assignment, loss) -> (B, A), given and multiplied into each anchor's loss, the sum over its classes
    box_weights(assignment) -> (B, A), multiplied into each anchor's box weight

and keeps these laws: magnitude is preserved, so a changed result is not a changed learning rate; an empty positive set
gives a zero that carries gradient; no device synchronisation; float32 whatever the autocast.

Magnitude is that of the gradient: the L2 norm at the last layer of the classification branch is stock's, in each batch
(for class weights over the last batches). The value of the loss may differ, since about half of it has no gradient.
CARL, an added loss, adds the stated amount; logit adjustment is another loss.
"""

from yolo_balance.losses.assignment import Assignment, Term
from yolo_balance.losses.carl import CARL, carl_weights
from yolo_balance.losses.class_weights import (
    ClassWeights,
    effective_number_weights,
    inverse_frequency_weights,
    normalised,
)
from yolo_balance.losses.composition import ClassFactors, isr_class_factors
from yolo_balance.losses.cross_entropy import balanced_cross_entropy
from yolo_balance.losses.efl import EqualizedFocal, equalized_focal, equalized_focal_gradient, focusing_factors
from yolo_balance.losses.eqlv2 import EQLv2, eqlv2_weights
from yolo_balance.losses.focal import ClassicFocal, QualityFocal, focal, quality_focal
from yolo_balance.losses.gradient_ratio import GradientRatio
from yolo_balance.losses.instance_balance import (
    InstanceBalanced,
    instance_balanced_positives,
)
from yolo_balance.losses.iou_balance import IoUBalancedNegatives, iou_balanced_negatives, iou_balanced_weights
from yolo_balance.losses.isr import ISRPositive, isr_positive_weights
from yolo_balance.losses.isr_negative import ISRNegative, isr_negative_weights
from yolo_balance.losses.logit_adjustment import LogitAdjustment, logit_offsets
from yolo_balance.losses.nms_clusters import suppression_clusters
from yolo_balance.losses.ohem import HardNegatives, ohem
from yolo_balance.losses.per_class import PerClass
from yolo_balance.losses.ranking import iou_hlr, rank_within, score_hlr
from yolo_balance.losses.weighting import box_weights, weighted

__all__ = [
    "CARL",
    "Assignment",
    "ClassFactors",
    "ClassWeights",
    "ClassicFocal",
    "EQLv2",
    "EqualizedFocal",
    "GradientRatio",
    "HardNegatives",
    "ISRNegative",
    "ISRPositive",
    "InstanceBalanced",
    "IoUBalancedNegatives",
    "LogitAdjustment",
    "PerClass",
    "QualityFocal",
    "Term",
    "balanced_cross_entropy",
    "box_weights",
    "carl_weights",
    "effective_number_weights",
    "eqlv2_weights",
    "equalized_focal",
    "equalized_focal_gradient",
    "focal",
    "focusing_factors",
    "instance_balanced_positives",
    "inverse_frequency_weights",
    "iou_balanced_negatives",
    "iou_balanced_weights",
    "iou_hlr",
    "isr_class_factors",
    "isr_negative_weights",
    "isr_positive_weights",
    "logit_offsets",
    "normalised",
    "ohem",
    "quality_focal",
    "rank_within",
    "score_hlr",
    "suppression_clusters",
    "weighted",
]
