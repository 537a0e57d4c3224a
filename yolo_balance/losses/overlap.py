"""Overlap of boxes: IoU of upright ones, ProbIoU of oriented ones. Vectorised, in bounded memory, no device sync.

Upright boxes have 4 numbers, xyxy; oriented ones 5: centre x and y, width, height, angle in radians.
"""

from __future__ import annotations

import torch
from torch import Tensor

AT_ONCE = 2**21  # pairs of boxes compared at once: 8 MB per intermediate result
AT_ONCE_CPU = 2**18  # what stays in a core's cache


@torch.no_grad()
def aligned_iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute overlap in pairs: (..., 4 or 5), broadcast against each other -> (...), detached; 0 for empty boxes."""
    return _prob_iou(a, b) if a.shape[-1] == 5 else _iou(a, b)


@torch.no_grad()
def highest_iou(boxes: Tensor, objects: Tensor, present: Tensor) -> Tensor:
    """Compute the highest overlap of each box with any object of its image.

    Args:
        boxes: (B, A, 4 or 5).
        objects: (B, G, 4 or 5), padded.
        present: (B, G) bool, which of them count.

    Returns:
        (B, A), detached; 0 where an image has no object.
    """
    images, anchors = boxes.shape[:2]
    highest = boxes.new_zeros(images, anchors)
    step = max((AT_ONCE_CPU if boxes.device.type == "cpu" else AT_ONCE) // max(images * anchors, 1), 1)
    objects = (objects * present.unsqueeze(-1)).unsqueeze(2)  # padding is an empty box, which overlaps nothing
    boxes = boxes.movedim(-1, 0).contiguous().movedim(0, -1).unsqueeze(1)  # each coordinate of all anchors in a row
    for some in range(0, objects.shape[1], step):  # a bounded number of objects at once, not one by one
        highest = torch.maximum(highest, aligned_iou(boxes, objects[:, some : some + step]).amax(1))
    return highest


def _iou(a: Tensor, b: Tensor) -> Tensor:
    """Compute intersection over union of xyxy boxes."""
    ax, ay, ar, ab = a.unbind(-1)
    bx, by, br, bb = b.unbind(-1)
    width = torch.minimum(ar, br).sub_(torch.maximum(ax, bx)).clamp_(min=0)
    overlap = torch.minimum(ab, bb).sub_(torch.maximum(ay, by)).clamp_(min=0).mul_(width)
    area_a, area_b = (
        (r - x).clamp(min=0) * (d - y).clamp(min=0) for x, y, r, d in ((ax, ay, ar, ab), (bx, by, br, bb))
    )
    return overlap.div_((area_a + area_b).sub_(overlap).clamp_(min=1e-9))


def _prob_iou(p: Tensor, q: Tensor) -> Tensor:
    """Compute ProbIoU: 1 - Hellinger distance of the boxes' Gaussians; Llerena et al. (2021), as Ultralytics does.

    A box is the Gaussian of its centre and of covariance R diag(w^2 / 12, h^2 / 12) R^T = (a, b; c off the diagonal).

        B = ((a1 + a2) dy^2 + (b1 + b2) dx^2) / (4 D) - (c1 + c2) dx dy / (2 D) + ln(D / (4 sqrt(d1 d2))) / 2
        D = (a1 + a2)(b1 + b2) - (c1 + c2)^2,   d = a b - c^2,   ProbIoU = 1 - sqrt(1 - exp(-B))
    """
    a1, b1, c1 = _covariance(p)
    a2, b2, c2 = _covariance(q)
    dx, dy = p[..., 0] - q[..., 0], p[..., 1] - q[..., 1]
    a, b, c = a1 + a2, b1 + b2, c1 + c2
    eps = 1e-9
    d = (a * b - c.square()).clamp(min=eps)
    d1, d2 = ((s * t - u.square()).clamp(min=eps) for s, t, u in ((a1, b1, c1), (a2, b2, c2)))
    distance = (a * dy.square() + b * dx.square() - 2 * c * dx * dy) / (4 * d) + (d / (4 * (d1 * d2).sqrt())).log() / 2
    empty = (p[..., 2:4].amin(-1) <= 0) | (q[..., 2:4].amin(-1) <= 0)
    return torch.where(empty, 0.0, 1 - (1 - (-distance.clamp(0, 100)).exp()).clamp(min=0).sqrt())


def _covariance(box: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return variances in x and y, and covariance, of oriented boxes (..., 5) -> (...) each."""
    w, h = box[..., 2].square() / 12, box[..., 3].square() / 12
    cos, sin = box[..., 4].cos(), box[..., 4].sin()
    return w * cos.square() + h * sin.square(), w * sin.square() + h * cos.square(), (w - h) * cos * sin
