"""Clusters by matrix iteration against greedy suppression, one candidate after the other."""

from __future__ import annotations

import pytest
import torch
from helpers.assignments import slow_iou
from helpers.suppression import greedy

from yolo_balance.losses.nms_clusters import suppression_clusters
from yolo_balance.losses.overlap import aligned_iou


def restated(boxes, score, label, threshold=0.5, overlap=slow_iou):
    m = score.shape[1]
    return [
        [b * m + i for i in greedy(boxes[b].tolist(), score[b].tolist(), label[b].tolist(), threshold, overlap)]
        for b in range(len(boxes))
    ]


def candidates(images=3, m=40, *, spread=60.0, classes=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    centre = spread * torch.rand(images, m, 2, generator=g, dtype=torch.float64)
    size = 20 + 20 * torch.rand(images, m, 2, generator=g, dtype=torch.float64)
    boxes = torch.cat([centre - size / 2, centre + size / 2], -1)
    score = torch.rand(images, m, generator=g, dtype=torch.float64)
    return boxes, score, torch.randint(classes, (images, m), generator=g)


@pytest.mark.parametrize("spread", [0.0, 5.0, 20.0, 60.0, 200.0])
@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_clusters_agree_with_greedy_suppression(spread, threshold, seed):
    boxes, score, label = candidates(spread=spread, seed=seed)
    ours = suppression_clusters(boxes, score, label, iou=threshold)
    assert ours.dtype == torch.int64
    assert ours.tolist() == restated(boxes, score, label, threshold)


def test_ties_fall_to_the_first():
    boxes, score, label = candidates(spread=20.0)
    for tied in ((score * 4).round(), torch.zeros_like(score), torch.full_like(score, -torch.inf)):
        assert suppression_clusters(boxes, tied, label).tolist() == restated(boxes, tied, label)


def test_classes_do_not_suppress_each_other():
    boxes = torch.tensor([[[0, 0, 9, 9.0]] * 4])
    score, label = torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([[0, 1, 0, 1]])
    assert suppression_clusters(boxes, score, label).tolist() == [[2, 3, 2, 3]]


def test_overlap_at_the_threshold_is_kept():
    boxes = torch.tensor([[[0, 0, 2, 1.0], [0, 0, 1, 1]]])
    score, label = torch.tensor([[0.9, 0.8]]), torch.zeros(1, 2, dtype=torch.int64)
    assert suppression_clusters(boxes, score, label, iou=0.5).tolist() == [[0, 1]]
    assert suppression_clusters(boxes, score, label, iou=0.49).tolist() == [[0, 0]]


def test_a_dropped_candidate_drops_no_other():
    """A chain in which each overlaps the next: the second is dropped by the first and spares the third."""
    boxes, score, label = chain(4)
    assert suppression_clusters(boxes, score, label).tolist() == [[0, 0, 2, 2]]


def chain(m):
    left = 3.0 * torch.arange(m)
    boxes = torch.stack([left, 0 * left, left + 10, 0 * left + 10], -1).unsqueeze(0)
    return boxes, torch.linspace(1, 0, m).unsqueeze(0), torch.zeros(1, m, dtype=torch.int64)


def test_the_iterations_settle_chains_of_that_length():
    boxes, score, label = chain(60)
    expected = restated(boxes, score, label)[0]
    for iterations in (0, 1, 5, 16, 60):
        ours = suppression_clusters(boxes, score, label, iterations=iterations)[0]
        assert ours[: iterations + 1].tolist() == expected[: iterations + 1]
        assert (ours <= torch.arange(60)).all()  # beyond them still a better candidate, or itself


def test_hundreds_of_dense_boxes_need_fewer_iterations_than_there_are():
    for spread in (5.0, 20.0, 60.0):
        batch = candidates(4, 300, spread=spread, classes=1)
        assert torch.equal(suppression_clusters(*batch), suppression_clusters(*batch, iterations=300))
        assert torch.equal(suppression_clusters(*batch), suppression_clusters(*batch, iterations=10))


def test_oriented_boxes():
    boxes, score, label = candidates(spread=40.0)
    angle = torch.rand(3, 40, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    oriented = torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2], 3 * angle], -1)

    def overlap(a, b):
        return aligned_iou(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)).item()

    ours = suppression_clusters(oriented, score, label)
    assert ours.tolist() == restated(oriented, score, label, overlap=overlap)
    assert ours.unique().numel() < ours.numel()


def test_the_order_of_candidates_does_not_matter():
    boxes, score, label = candidates()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    ours, theirs = (
        suppression_clusters(boxes, score, label),
        suppression_clusters(boxes[:, order], score[:, order], label[:, order]),
    )
    assert torch.equal(ours[:, order] % 40, order[theirs % 40])
    assert torch.equal(ours // 40, theirs // 40)


@pytest.mark.parametrize("shape", [(3, 1), (3, 0), (0, 4), (1, 1)])
def test_one_candidate_is_its_own_cluster_and_none_form_none(shape):
    ours = suppression_clusters(torch.rand(*shape, 4), torch.rand(shape), torch.zeros(shape, dtype=torch.int64))
    assert ours.shape == shape
    if shape[1] == 1:
        assert ours.flatten().tolist() == list(range(shape[0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    boxes, score, label = candidates(spread=20.0)
    boxes, score = boxes.to(dtype), score.to(dtype)
    assert suppression_clusters(boxes, score, label).tolist() == restated(boxes, score, label)
