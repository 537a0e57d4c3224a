"""Greedy suppression, one candidate after the other."""

from __future__ import annotations

from helpers.assignments import slow_iou


def greedy(boxes, score, label, threshold=0.5, overlap=slow_iou):
    """Non-maximum suppression of one image: the index of the kept candidate each belongs to."""
    left = sorted(range(len(score)), key=lambda i: -score[i])
    leader = {}
    while left:
        best, *left = left
        dropped = [i for i in left if label[i] == label[best] and overlap(boxes[best], boxes[i]) > threshold]
        leader.update(dict.fromkeys([best, *dropped], best))
        left = [i for i in left if i not in dropped]
    return [leader[i] for i in range(len(score))]
