"""Laws of the gradients by class."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers.assignments import assignment, cross_entropy, tensors, weights_of
from helpers.loading import leave

from yolo_balance.losses.efl import EqualizedFocal
from yolo_balance.losses.eqlv2 import EQLv2
from yolo_balance.losses.gradient_ratio import DECAY, GradientRatio


def updated(*batches, weights=(1.0, 1.0)):
    ratio = GradientRatio(3)
    for a in batches:
        ratio.update(a, *weights)
    return ratio


def test_sums_restated_entry_by_entry():
    batches = [assignment(images=3, seed=s) for s in range(2)]
    weights = torch.rand(2, 3, generator=torch.Generator().manual_seed(9))
    positive, negative = np.zeros(3), np.zeros(3)
    for a in batches:
        positive, negative = DECAY * positive, DECAY * negative
        sigma = 1 / (1 + np.exp(-a.logits.detach().double().numpy()))
        gradient = np.abs(sigma - a.target_scores.numpy())
        for i in range(3):
            for j in range(50):
                for c in range(3):
                    own = bool(a.foreground[i, j]) and int(a.target_labels[i, j]) == c
                    (positive if own else negative)[c] += gradient[i, j, c] * weights[0 if own else 1, c].item()
    ratio = updated(*batches, weights=weights)
    np.testing.assert_allclose(ratio.sums[0], positive, rtol=1e-5)
    np.testing.assert_allclose(ratio.sums[1], negative, rtol=1e-5)
    relative = positive / negative
    np.testing.assert_allclose(ratio.ratio(), relative / relative.max(), rtol=1e-5)


def test_the_gradient_is_that_of_the_cross_entropy():
    a = assignment()
    gradient = torch.autograd.grad(cross_entropy(a).sum(), a.logits)[0].abs()
    ratio = updated(a)
    torch.testing.assert_close(ratio.sums[0], (gradient * a.positive).sum((0, 1)))
    torch.testing.assert_close(ratio.sums[1], (gradient * ~a.positive).sum((0, 1)))


def test_gradients_worked_out_elsewhere_add_up_alike():
    a = assignment()
    gradient = (a.logits.detach().sigmoid() - a.target_scores).abs()
    ratio = GradientRatio(3)
    ratio.add(gradient, a.positive)
    torch.testing.assert_close(ratio.sums, updated(a).sums)


def test_the_ratio_is_one_where_nothing_was_seen_and_relative_to_the_best_elsewhere():
    ratio = GradientRatio(5)
    assert ratio.ratio().tolist() == [1] * 5
    ratio.restore({"positive": [0.0, 0.0, 2.0, 3.0, 2.0], "negative": [0.0, 5.0, 0.0, 2.0, 4.0]})
    assert ratio.ratio().tolist() == [1, 0, 1, 1, pytest.approx(1 / 3)]
    ratio.restore({"positive": [0.0] * 5, "negative": [1.0] * 5})  # as before the first object
    assert ratio.ratio().tolist() == [1] * 5


def test_a_rare_class_is_seen_where_every_ratio_is_above_one():
    """Sums as a head of six classes has them once it fits; the papers' own ratio calls all of them balanced."""
    ratio = GradientRatio(6)
    ratio.restore({"positive": [1.99, 1.97, 1.12, 1.14, 1.15, 0.96], "negative": [1.0] * 6})
    assert ratio.ratio()[:2].min() > 0.95
    assert ratio.ratio()[2:].max() < 0.6


def test_what_was_long_ago_is_forgotten():
    ratio = GradientRatio(3)
    ratio.restore({"positive": [1e6, 1.0, 1.0], "negative": [1.0, 1.0, 1.0]})
    a = assignment(images=3)
    for _ in range(3000):
        ratio.add(torch.ones_like(a.target_scores), a.positive)
    fresh = GradientRatio(3)
    fresh.add(torch.ones_like(a.target_scores), a.positive)
    torch.testing.assert_close(ratio.ratio(), fresh.ratio(), rtol=1e-3, atol=1e-3)


def test_nothing_flows_back_and_the_graph_is_not_kept():
    a = assignment()
    ratio = updated(a, weights=(a.logits.mean(), a.logits.mean((0, 1)).square()))
    assert not ratio.sums.requires_grad
    assert not ratio.ratio().requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_sums_are_float32_whatever_the_logits(dtype):
    a = assignment(dtype=dtype)
    ratio = updated(a)
    assert ratio.sums.dtype == torch.float32
    a.logits = a.logits.float()
    torch.testing.assert_close(ratio.sums, updated(a).sums)


def test_extreme_logits_count_at_most_one_each():
    a = assignment()
    a.logits = torch.where(a.positive, -1e4, 1e4)
    ratio = updated(a)
    assert ratio.sums.isfinite().all()
    torch.testing.assert_close(ratio.sums[1], (~a.positive).sum((0, 1)).float())


def test_a_batch_without_anchors_or_positives_adds_no_positive():
    assert updated(assignment(foreground=0.0)).sums[0].tolist() == [0, 0, 0]
    assert updated(assignment(anchors=0)).sums.tolist() == [[0] * 3] * 2


def test_a_batch_that_overflowed_does_not_stay_for_good():
    a, broken = assignment(), assignment(seed=1)
    broken.logits = torch.full_like(broken.logits, torch.nan)
    assert torch.equal(updated(a, broken).sums, DECAY * updated(a).sums)
    assert torch.equal(updated(a, weights=(torch.inf, torch.inf)).sums, torch.zeros(2, 3))


def test_the_state_survives_json_and_goes_on_as_if_never_interrupted():
    first, second = assignment(), assignment(seed=1)
    resumed = GradientRatio(3)
    resumed.restore(json.loads(json.dumps(updated(first).state())))
    resumed.update(second)
    assert torch.equal(resumed.sums, updated(first, second).sums)


def test_the_state_of_other_classes_is_refused():
    with pytest.raises(ValueError, match="of 4 classes, got 3"):
        GradientRatio(4).restore(GradientRatio(3).state())


def test_copies_have_sums_of_their_own():
    ratio = updated(assignment())
    before = ratio.state()
    for again in (copy.deepcopy(ratio), pickle.loads(pickle.dumps(ratio))):
        assert again.state() == before
        again.update(assignment())
        assert again.state() != before
        assert ratio.state() == before


def test_sums_moved_by_a_validation_take_trainings_gradients():
    ratio, a = GradientRatio(3), assignment()
    with torch.inference_mode():
        ratio.ratio(torch.device("meta"))
    assert ratio.sums.device.type == "meta"
    ratio.update(replace(a, **{name: x.detach().to("meta") for name, x in tensors(a).items()}))
    assert not ratio.sums.is_inference()


def followers():
    """The two terms that follow gradient ratios, each with sums of its own."""
    return (
        EQLv2(GradientRatio(3), alpha=4.0, gamma=12.0, mu=0.8, room=None),
        EqualizedFocal(GradientRatio(3), gamma=2.0, scale=8.0),
    )


def one_rank(rank, world_size, folder):
    """Each rank trains on batches of its own; between them the first one alone validates."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world_size)
    calls, together = [], dist.all_reduce
    dist.all_reduce = lambda sums: (calls.append(tuple(sums.shape)), together(sums))
    states = {}
    for term in followers():
        for step in range(2):
            a = assignment(seed=world_size * step + rank)
            weights_of(term, a, cross_entropy(a))
            if rank == 0:
                with torch.no_grad():
                    weights_of(term, a, cross_entropy(a))
        states[type(term).__name__] = term.gradients.state()
    (folder / f"{rank}.json").write_text(json.dumps({"calls": calls, "states": states}))
    leave(folder, rank, world_size)


def test_ranks_share_their_gradients_and_a_validation_of_one_neither_counts_nor_waits(tmp_path):
    mp.spawn(one_rank, args=(2, tmp_path), nprocs=2)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0] == ranks[1]
    assert ranks[0]["calls"] == [[2, 3]] * 4
    for alone in followers():
        for step in range(2):  # both ranks' batches as one
            halves = [assignment(seed=2 * step + rank) for rank in range(2)]
            a = copy.copy(halves[0])
            for name in ("target_labels", "target_scores", "foreground", "logits"):
                setattr(a, name, torch.cat([getattr(half, name) for half in halves]))
            weights_of(alone, a, cross_entropy(a))
        for name, sums in alone.gradients.state().items():
            np.testing.assert_allclose(ranks[0]["states"][type(alone).__name__][name], sums, rtol=1e-5)
