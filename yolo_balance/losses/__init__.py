"""Weights on Ultralytics' own classification and box losses. Pure torch.

A term is an object with five methods, each of which leaves the loss unchanged by default:

    adjusted(logits) -> (B, A, C), what the classification loss is called with
    classification_weights(assignment, loss) -> (B, A, 1) or (B, A, C), multiplied into the elementwise loss (B, A, C)
    own_weights(assignment) -> (B, A), multiplied into each positive's loss at its own class
    anchor_weights(assignment, loss) -> (B, A), given and multiplied into each anchor's loss, the sum over its classes
    box_weights(assignment) -> (B, A), multiplied into each anchor's box weight

and keeps these laws: magnitude is preserved, so a changed result is not a changed learning rate (class weights keep it
over an epoch; CARL, an added loss, adds the stated amount; logit adjustment is another loss); an empty positive set
gives a zero that carries gradient; no device synchronisation; float32 whatever the autocast.
"""

from yolo_balance.losses.carl import carl_weights
from yolo_balance.losses.focal import quality_focal
from yolo_balance.losses.instance_balance import instance_balanced_positives
from yolo_balance.losses.iou_balance import iou_balanced_negatives
from yolo_balance.losses.isr import isr_positive_weights
from yolo_balance.losses.isr_negative import isr_negative_weights
from yolo_balance.losses.ohem import ohem
from yolo_balance.losses.ranking import iou_hlr, score_hlr

__all__ = [
    "carl_weights",
    "instance_balanced_positives",
    "iou_balanced_negatives",
    "iou_hlr",
    "isr_negative_weights",
    "isr_positive_weights",
    "ohem",
    "quality_focal",
    "score_hlr",
]
