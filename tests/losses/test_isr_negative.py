"""Score-HLR and ISR-N, restated one sample at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from helpers.assignments import assignment, cross_entropy, tensors, weights_of, without_positives
from helpers.suppression import greedy

from yolo_balance.losses import isr_negative_weights, score_hlr
from yolo_balance.losses.isr_negative import ISRNegative
from yolo_balance.losses.nms_clusters import suppression_clusters


def negatives(n=60, *, seed=0, groups=9, values=0):
    """Negatives of a batch: score, cluster and loss; `values` scores are tied."""
    g = torch.Generator().manual_seed(seed)
    score = torch.rand(n, generator=g, dtype=torch.float64)
    score = (score * values).round() if values else score
    return score, torch.randint(groups, (n,), generator=g) * 7, torch.rand(n, generator=g, dtype=torch.float64)


# -- Score-HLR ---------------------------------------------------------------------------------------------------------


def restated_hlr(score, group):
    """Prime Sample Attention, section 3: each cluster's ranks, then all samples by them."""
    n = len(score)
    before = [[(-score[j], j) < (-score[i], i) for j in range(n)] for i in range(n)]
    local = [sum(group[j] == group[i] and before[i][j] for j in range(n)) for i in range(n)]
    return [sum((local[j], -score[j], j) < (local[i], -score[i], i) for j in range(n)) for i in range(n)]


@pytest.mark.parametrize("values", [0, 4, 1])
@pytest.mark.parametrize("groups", [1, 9, 500])
def test_score_hlr_agrees_with_the_paper_restated(values, groups):
    for seed in range(3):
        score, group, _ = negatives(seed=seed, groups=groups, values=values)
        rank = score_hlr(score, group)
        assert rank.dtype == torch.int64
        assert rank.tolist() == restated_hlr(score.tolist(), group.tolist())


def test_score_hlr_by_hand():
    score, group = torch.tensor([0.9, 0.8, 0.3, 0.5, 0.6]), torch.tensor([0, 0, 0, 1, 1])
    assert score_hlr(score, group).tolist() == [0, 2, 4, 3, 1]


def test_score_hlr_ranks_each_sample_once_and_a_mask_puts_the_others_last():
    score, group, _ = negatives()
    mask = torch.rand(60, generator=torch.Generator().manual_seed(5)) < 0.5
    rank = score_hlr(score, group, mask=mask)
    assert sorted(rank.tolist()) == list(range(60))
    assert torch.equal(rank[mask], score_hlr(score[mask], group[mask]))


def test_score_hlr_does_not_depend_on_the_order_of_samples():
    score, group, _ = negatives()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    assert torch.equal(score_hlr(score[order], group[order]), score_hlr(score, group)[order])


def test_score_hlr_of_nothing_and_of_one():
    empty = torch.zeros(0, dtype=torch.int64)
    assert score_hlr(torch.zeros(0), empty).shape == (0,)
    assert score_hlr(torch.zeros(0), empty, mask=empty.bool()).dtype == torch.int64
    assert score_hlr(torch.zeros(1), torch.tensor([3])).tolist() == [0]


# -- ISR-N -------------------------------------------------------------------------------------------------------------


def restated_isr(score, group, loss, k, bias):
    """ISR-N by the formula."""
    n = len(score)
    w = torch.tensor(
        [((1 - bias) * (n - r) / n + bias) ** k for r in restated_hlr(score.tolist(), group.tolist())],
        dtype=torch.float64,
    )
    return w * (loss.sum() / (w * loss).sum())


@pytest.mark.parametrize(("k", "bias"), [(0.5, 0.0), (2.0, 0.2), (1.0, 0.9), (0.0, 0.0)])
def test_isr_negative_agrees_with_the_paper_restated(k, bias):
    for seed in range(3):
        score, group, loss = negatives(seed=seed, values=seed * 5)
        ours = isr_negative_weights(score, group, loss, k=k, bias=bias)
        torch.testing.assert_close(ours, restated_isr(score, group, loss, k, bias))


def test_isr_negative_preserves_the_loss_and_carries_no_gradient():
    score, group, loss = negatives()
    weights = isr_negative_weights(score.requires_grad_(), group, loss.requires_grad_())
    assert not weights.requires_grad
    torch.testing.assert_close((weights * loss).sum(), loss.sum())


@pytest.mark.parametrize(("k", "bias"), [(0.0, 0.0), (0.5, 1.0)])
def test_isr_negative_without_importance_is_exactly_ones(k, bias):
    assert (isr_negative_weights(*negatives(), k=k, bias=bias) == 1).all()


def test_the_best_of_a_cluster_weighs_more_than_a_better_scored_follower():
    score, group = torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0, 0, 1])
    first, follower, lone = isr_negative_weights(score, group, torch.ones(3)).tolist()
    assert first > lone > follower


def test_a_mask_selects_what_indexing_would():
    score, group, loss = negatives()
    mask = torch.rand(60, generator=torch.Generator().manual_seed(3)) < 0.4
    dense = isr_negative_weights(score, group, loss, mask=mask)
    torch.testing.assert_close(dense[mask], isr_negative_weights(score[mask], group[mask], loss[mask]))
    assert (dense[~mask] == 1).all()


@pytest.mark.parametrize("mask", [None, torch.zeros(60, dtype=torch.bool)])
def test_isr_negative_of_no_negatives(mask):
    score, group, loss = negatives() if mask is not None else (x[:0] for x in negatives())
    assert (isr_negative_weights(score, group, loss, mask=mask) == 1).all()


def test_isr_negative_of_one_and_of_losses_that_are_all_zero():
    assert isr_negative_weights(*negatives(1)).tolist() == [1]
    score, group, loss = negatives()
    assert isr_negative_weights(score, group, loss * 0).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_isr_negative_of_half_precision(dtype):
    score, group, loss = negatives()
    weights = isr_negative_weights(score.to(dtype), group, loss.to(dtype))
    assert weights.dtype == torch.float32
    torch.testing.assert_close((weights * loss.to(dtype).float()).sum(), loss.to(dtype).float().sum())


# -- the term ----------------------------------------------------------------------------------------------------------


def restated_term(a, loss, k, bias, candidates, min_score=0.05, by_class=False):
    """Image by image the best-scored negatives, their clusters and ranks, the rest at their end, one factor."""
    own, best = loss.detach().double().sum(-1), a.logits.detach().double().max(-1)
    answer = torch.ones_like(own)
    for i in range(len(own)):
        negative = [j for j in range(own.shape[1]) if not a.foreground[i, j]]
        order = sorted(negative, key=lambda j: -best.values[i, j])[:candidates]
        order = [j for j in order if best.values[i, j].sigmoid() > min_score]
        score = best.values[i, order].tolist()
        label = best.indices[i, order].tolist() if by_class else [0] * len(order)
        leaders = greedy(a.boxes[i, order].tolist(), score, label)
        n = max(len(order), 1)
        weights = torch.full_like(own[i], ((1 - bias) / n + bias) ** k)
        for j, r in zip(order, restated_hlr(score, leaders), strict=True):
            weights[j] = ((1 - bias) * (n - r) / n + bias) ** k
        factor = own[i, negative].sum() / (weights * own[i])[negative].sum()
        answer[i, negative] = (weights * factor)[negative]
    return answer.float()


@pytest.mark.parametrize("candidates", [1, 8, 40, 50, 256])
@pytest.mark.parametrize(("k", "bias", "form"), [(0.5, 0.0, {}), (2.0, 0.3, {"min_score": 0.6, "by_class": True})])
def test_the_term_agrees_with_its_restatement(candidates, k, bias, form):
    a = without_positives(assignment(images=4), 1)
    a.foreground[2, 3:] = True  # three negatives: fewer than candidates
    loss = cross_entropy(a)
    weights = weights_of(ISRNegative(k=k, bias=bias, candidates=candidates, **form), a, loss)
    assert weights.shape == (4, 50, 1)
    assert not weights.requires_grad
    torch.testing.assert_close(weights.squeeze(-1), restated_term(a, loss, k, bias, candidates, **form))


def test_an_image_is_ranked_for_itself():
    """The weights of an image are those that it has in a batch of its own."""
    a = assignment(images=4)
    loss, term = cross_entropy(a), ISRNegative(k=0.5, bias=0.0)
    together = weights_of(term, a, loss)
    for i in range(4):
        fixed = {name: x[i : i + 1] for name, x in tensors(a).items()}
        torch.testing.assert_close(weights_of(term, replace(a, **fixed), loss[i : i + 1]), together[i : i + 1])


def test_negatives_that_no_detector_would_report_are_not_ranked():
    a = assignment(images=2)
    a.logits = (a.logits.detach() - 8).requires_grad_()
    assert (weights_of(ISRNegative(k=0.5, bias=0.0), a, cross_entropy(a)) == 1).all()


@pytest.mark.parametrize(("k", "bias"), [(0.5, 0.0), (2.0, 0.3)])
def test_with_all_negatives_as_candidates_the_term_is_the_reference_form(k, bias):
    a = assignment(images=1)
    loss, negative = cross_entropy(a), ~a.foreground
    score, order = a.logits.detach().amax(-1).masked_fill(a.foreground, -torch.inf).sort(dim=1, descending=True)
    row = torch.zeros(1, 1, dtype=torch.int64)
    group = torch.empty_like(order)
    group[row, order] = suppression_clusters(a.boxes[row, order], score, a.logits[row, order].argmax(-1))
    best, own = a.logits.detach().sigmoid().amax(-1)[negative], loss.detach().sum(-1)[negative]
    term = ISRNegative(k=k, bias=bias, min_score=0.0, by_class=True, candidates=50)
    weights = weights_of(term, a, loss).squeeze(-1)
    torch.testing.assert_close(weights[negative], isr_negative_weights(best, group[negative], own, k=k, bias=bias))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_and_boxes(dtype):
    a = assignment(images=3)
    best = torch.randperm(150, generator=torch.Generator().manual_seed(0)).view(3, 50, 1) / 16  # exact, and no ties
    a.logits = torch.cat([a.logits.detach().clamp(max=0), best], -1)[..., 1:].to(dtype).requires_grad_()
    a.boxes = a.boxes.to(dtype)
    loss = cross_entropy(a)
    weights = weights_of(ISRNegative(k=0.5, bias=0.0), a, loss)
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.squeeze(-1), restated_term(a, loss, 0.5, 0.0, 256))


@pytest.mark.parametrize(("k", "bias"), [(0.0, 0.0), (0.5, 1.0)])
def test_the_term_without_importance_is_exactly_ones(k, bias):
    a = assignment(images=3)
    assert (weights_of(ISRNegative(k=k, bias=bias), a, cross_entropy(a)) == 1).all()


def test_positives_weigh_one_and_negatives_keep_their_loss():
    a = without_positives(assignment(images=3), 0)
    loss = cross_entropy(a)
    weights = weights_of(ISRNegative(k=0.5, bias=0.0, candidates=8), a, loss)
    assert (weights[a.foreground] == 1).all()
    torch.testing.assert_close((weights * loss)[~a.foreground].sum(), loss[~a.foreground].sum())


def test_a_batch_of_positives_alone_is_left_as_it_is():
    a = assignment(images=3)
    a.foreground[:] = True
    assert (weights_of(ISRNegative(k=0.5, bias=0.0), a, cross_entropy(a)) == 1).all()


def test_oriented_boxes_are_taken_as_they_come():
    a = assignment(images=3)
    a.boxes = torch.cat([a.boxes, torch.rand(3, 50, 1)], -1).abs()
    loss = cross_entropy(a)
    weights = weights_of(ISRNegative(k=0.5, bias=0.0, candidates=16), a, loss)
    torch.testing.assert_close((weights * loss).sum(), loss.sum())
