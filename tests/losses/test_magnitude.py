"""Laws of a loss's magnitude: the layer it is measured at, and what is kept there."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers.assignments import assignment, cross_entropy

from yolo_balance.losses import magnitude
from yolo_balance.losses.assignment import Term
from yolo_balance.losses.class_weights import ClassWeights
from yolo_balance.losses.focal import QualityFocal
from yolo_balance.losses.magnitude import RunningScale, entropy, gradient_preserving, nearest_parameters
from yolo_balance.losses.weighting import weighted


def norm(loss, *parameters):
    """The L2 norm of a loss's gradient over all parameters."""
    gradients = torch.autograd.grad(loss.sum(), parameters, retain_graph=True)
    return torch.cat([g.flatten() for g in gradients]).norm()


@pytest.fixture
def network():
    """Two layers, whose output is cut, turned and joined as a detection head's is."""
    torch.manual_seed(0)
    first, last = torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 5, 1)

    def forward(x):
        y = last(first(x).relu())
        return torch.cat([y.flatten(2), y.flatten(2)[..., :2]], 2).split((2, 3), 1)[1].permute(0, 2, 1).contiguous()

    return forward, first, last


def test_the_entropy_is_what_no_score_can_take_from_the_loss():
    target = torch.tensor([0.0, 0.3, 0.5, 1.0])
    best = torch.nn.functional.binary_cross_entropy(target, target, reduction="none")
    torch.testing.assert_close(entropy(target), best)


def test_the_last_layer_is_found_behind_whatever_reshapes_its_output(network):
    forward, _, last = network
    found = nearest_parameters(forward(torch.rand(2, 3, 4, 4)))
    assert {id(x) for x in found} == {id(last.weight), id(last.bias)}


def test_a_linear_layer_and_half_precision_are_looked_through():
    layer = torch.nn.Linear(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(torch.rand(2, 3)).float()
    assert {id(x) for x in nearest_parameters(logits)} == {id(layer.weight), id(layer.bias)}


def test_a_frozen_last_layer_leaves_the_one_before(network):
    forward, first, last = network
    last.requires_grad_(False)
    assert {id(x) for x in nearest_parameters(forward(torch.rand(2, 3, 4, 4)))} == {id(first.weight), id(first.bias)}


def test_nothing_is_found_where_nothing_is_trained(network):
    with torch.no_grad():
        assert nearest_parameters(network[0](torch.rand(1, 3, 2, 2))) == []
    assert nearest_parameters(torch.rand(3)) == []
    leaf = torch.rand(3, requires_grad=True)
    assert nearest_parameters(leaf) == [leaf]


def test_the_gradient_keeps_its_norm_and_takes_the_direction_of_the_loss(network):
    forward, _, last = network
    logits = forward(torch.rand(2, 3, 4, 4))
    stock, loss = logits.square(), 7 * (logits - 1).abs() ** 3
    ours = gradient_preserving(loss, stock, logits)
    parameters = (last.weight, last.bias)
    torch.testing.assert_close(norm(ours, *parameters), norm(stock, *parameters))
    ratio = ours / loss
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))


@pytest.mark.parametrize("loss", [lambda x: 0 * x, lambda x: x * torch.inf, lambda x: x.detach() + 0 * x])
def test_a_loss_without_a_gradient_is_left_as_it_is(network, loss):
    logits = network[0](torch.rand(2, 3, 4, 4)).square()
    torch.testing.assert_close(gradient_preserving(loss(logits), logits, logits), loss(logits), equal_nan=True)


def test_a_running_scale_averages_squares_over_batches():
    scale, seen = RunningScale(), []
    g = torch.Generator().manual_seed(0)
    for step in range(5):
        seen.append(torch.rand(2, generator=g))
        average = scale.add(seen[-1])
        weights = torch.tensor([magnitude.DECAY ** (step - i) for i in range(step + 1)])
        expected = (weights[:, None] * torch.stack(seen)).sum(0)
        torch.testing.assert_close(average[0] / average[1], expected[0] / expected[1])
    resumed = RunningScale()
    resumed.restore(scale.state())
    for again in (resumed, copy.deepcopy(scale), pickle.loads(pickle.dumps(scale))):
        assert torch.equal(again.averages, scale.averages)


def test_a_batch_that_overflowed_does_not_stay_for_good():
    scale = RunningScale()
    scale.add(torch.tensor([1.0, 4.0]))
    scale.add(torch.tensor([torch.nan, torch.inf]))
    assert (scale.averages[0] / scale.averages[1]).item() == pytest.approx(0.25)


def test_class_weights_keep_the_gradient_over_batches_and_not_in_each():
    """A batch of the rare class alone counts more than one of the common class alone."""
    term, sizes = ClassWeights([0.5, 1.0, 3.0], on="positives"), {0: [], 2: []}
    for step in range(120):
        a = assignment(images=1, seed=step, foreground=0.5)
        rare = 2 * (step % 2)
        a.target_labels[:] = rare
        a.target_scores = a.positive.float() * 0.8
        stock = cross_entropy(a)
        ours = weighted(stock, [term], a)
        sizes[rare].append(norm(ours, a.logits) / norm(stock, a.logits))
    rare, common = (torch.stack(sizes[c][20:]).mean() for c in (2, 0))
    assert rare > 1.25 * common
    assert common < 1 < rare


def test_no_term_and_a_term_without_a_part_leave_the_loss_alone():
    a = assignment()
    loss = cross_entropy(a)
    assert weighted(loss, [], a) is loss
    assert weighted(loss, [Term()], a) is loss


def test_a_validation_has_no_gradient_to_keep():
    a = assignment()
    with torch.no_grad():
        assert weighted(cross_entropy(a), [QualityFocal(beta=2.0)], a).isfinite().all()
