"""Overlap of boxes: upright by hand, oriented against a restatement in double precision."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.assignments import oriented, slow_iou

from yolo_balance.losses import overlap
from yolo_balance.losses.overlap import aligned_iou, highest_iou


def upright(*shape, seed=0, spread=50.0):
    g = torch.Generator().manual_seed(seed)
    corner = spread * torch.rand(*shape, 2, generator=g)
    return torch.cat([corner, corner + 1 + 30 * torch.rand(*shape, 2, generator=g)], -1)


def slow_probiou(p, q):
    """Llerena et al. (2021): Bhattacharyya distance of two Gaussians by matrices, then 1 - Hellinger distance."""
    mean, covariance = [], []
    for x, y, w, h, angle in (p, q):
        cos, sin = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
        covariance.append(turn @ torch.diag(torch.tensor([w * w / 12, h * h / 12], dtype=torch.float64)) @ turn.T)
        mean.append(torch.tensor([x, y], dtype=torch.float64))
    middle, away = (covariance[0] + covariance[1]) / 2, mean[0] - mean[1]
    distance = away @ torch.linalg.inv(middle) @ away / 8
    distance += (middle.det() / (covariance[0].det() * covariance[1].det()).sqrt()).log() / 2
    return 1 - math.sqrt(max(1 - math.exp(-distance.item()), 0))


# -- upright boxes -----------------------------------------------------------------------------------------------------


def test_upright_overlap_agrees_with_the_loop():
    a, b = upright(40), upright(40, seed=1)
    expected = [slow_iou(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert aligned_iou(a, b).tolist() == pytest.approx(expected, abs=1e-6)
    assert max(expected) > 0.3


@pytest.mark.parametrize("boxes", [upright, oriented])
def test_overlap_broadcasts(boxes):
    a, b = boxes(7), boxes(5, seed=1)
    matrix = aligned_iou(a.unsqueeze(1), b.unsqueeze(0))
    assert matrix.shape == (7, 5)
    for i in range(7):
        torch.testing.assert_close(matrix[i], aligned_iou(a[i].expand(5, -1), b))


@pytest.mark.parametrize("boxes", [upright, oriented])
def test_overlap_is_symmetric_and_within_bounds(boxes):
    a, b = boxes(200), boxes(200, seed=1)
    torch.testing.assert_close(aligned_iou(a, b), aligned_iou(b, a), atol=1e-4, rtol=0)
    assert (aligned_iou(a, b) >= 0).all()
    assert (aligned_iou(a, b) <= 1).all()


# -- oriented boxes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_oriented_overlap_agrees_with_the_paper_restated(dtype):
    a, b = oriented(200), oriented(200, seed=1)
    b[::2] = a[::2] + 0.2 * b[::2]
    expected = [slow_probiou(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    tolerance = 1e-7 if dtype == torch.float64 else 1e-3
    assert aligned_iou(a.to(dtype), b.to(dtype)).tolist() == pytest.approx(expected, abs=tolerance)


def test_a_box_overlaps_itself_fully_and_a_far_one_not_at_all():
    a = oriented(100)
    torch.testing.assert_close(aligned_iou(a, a), torch.ones(100), atol=1e-3, rtol=0)
    far = a + torch.tensor([1e4, 1e4, 0, 0, 0])
    assert (aligned_iou(a, far) < 1e-6).all()


def test_a_quarter_turn_with_sides_swapped_is_the_same_box():
    a, b = oriented(100), oriented(100, seed=1)
    turned = torch.stack([a[:, 0], a[:, 1], a[:, 3], a[:, 2], a[:, 4] + math.pi / 2], -1)
    torch.testing.assert_close(aligned_iou(a, turned), torch.ones(100), atol=3e-3, rtol=0)
    torch.testing.assert_close(aligned_iou(a, b), aligned_iou(turned, b), atol=1e-3, rtol=0)
    half = a + torch.tensor([0, 0, 0, 0, math.pi])
    torch.testing.assert_close(aligned_iou(half, b), aligned_iou(a, b), atol=1e-3, rtol=0)


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [4, 5])
def test_degenerate_boxes_overlap_nothing_and_stay_finite(columns):
    rows = [[0] * 5, [5, 5, 0, 9, 1], [5, 5, 9, 0, 1], [5, 5, -3, 4, 0], [5, 5, 5, 5, 0], [1e6, 1e6, 1e6, 1e6, 0]]
    rows += [[5, 5, 1e-4, 1e4, 0.7], [5, 5, 1e-12, 1e-12, 0]] if columns == 5 else [[5, 5, 5.0001, 1e4, 0]]
    boxes = torch.tensor(rows, dtype=torch.float32)[:, :columns]
    iou = aligned_iou(boxes.unsqueeze(0), boxes.unsqueeze(1))
    assert iou.isfinite().all()
    assert ((iou >= 0) & (iou <= 1)).all()
    assert (iou[:4] == 0).all() if columns == 5 else (iou[0] == 0).all()
    sample = (oriented if columns == 5 else upright)(8)
    assert aligned_iou(boxes.unsqueeze(0), sample.unsqueeze(1)).isfinite().all()


def slow_highest(boxes, objects, present):
    pairs = slow_iou if boxes.shape[-1] == 4 else slow_probiou
    return [
        [
            max((pairs(b, o) for o, p in zip(objects[i].tolist(), present[i].tolist(), strict=True) if p), default=0.0)
            for b in boxes[i].tolist()
        ]
        for i in range(len(boxes))
    ]


@pytest.mark.parametrize("boxes", [upright, oriented])
@pytest.mark.parametrize("at_once", [1, 70, 200, 2**21])
def test_highest_iou_agrees_with_the_loop_however_many_pairs_are_compared_at_once(boxes, at_once, monkeypatch):
    monkeypatch.setattr(overlap, "AT_ONCE_CPU", at_once)
    a, objects = boxes(3, 20), boxes(3, 7, seed=1)
    present = torch.rand(3, 7, generator=torch.Generator().manual_seed(2)) < 0.6
    present[1] = False
    objects[~present] = 0  # as padding comes
    highest = highest_iou(a, objects, present)
    assert (highest[1] == 0).all()
    expected = slow_highest(a, objects, present)
    for ours, theirs in zip(highest.tolist(), expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-3)


def test_padding_that_looks_like_an_object_does_not_count():
    a = upright(1, 5)
    assert (highest_iou(a, a, torch.zeros(1, 5, dtype=torch.bool)) == 0).all()
    torch.testing.assert_close(highest_iou(a, a, torch.ones(1, 5, dtype=torch.bool)), torch.ones(1, 5))


@pytest.mark.parametrize(("anchors", "objects"), [(5, 0), (0, 3), (0, 0)])
def test_no_objects_or_no_boxes(anchors, objects):
    highest = highest_iou(upright(2, anchors), upright(2, objects), torch.ones(2, objects, dtype=torch.bool))
    assert highest.shape == (2, anchors)
    assert (highest == 0).all()


def test_highest_iou_is_detached():
    a = upright(2, 5).requires_grad_()
    assert not highest_iou(a, upright(2, 3), torch.ones(2, 3, dtype=torch.bool)).requires_grad
