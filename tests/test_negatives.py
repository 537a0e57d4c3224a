"""How many negatives an image reads, and how their loss keeps its size."""

from __future__ import annotations

import pytest
import torch

from yolo_balance.losses.negatives import anchor_loss, negative_weights, negatives_per_image


def foreground(*positives, anchors=20):
    """Images with so many positives each, the first anchors of each."""
    return torch.arange(anchors) < torch.tensor(positives).unsqueeze(1)


@pytest.mark.parametrize(
    ("positives", "ratio", "expected"),
    [
        ((2, 1, 5), 3.0, [6, 3, 15]),
        ((4, 0, 2), 3.0, [12, 6, 6]),  # the clean image takes the mean of all three, 2
        ((1, 0, 0), 3.0, [3, 1, 1]),
        ((1, 0, 0, 0, 0, 0, 0), 1.0, [1] * 7),  # at least one
        ((0, 0), 3.0, [1, 1]),
        ((4, 3), 0.5, [2, 2]),
        ((1, 2), 0.1, [1, 1]),
        ((9, 1), 3.0, [20, 3]),  # no more than there are anchors
        ((1, 1), 1e30, [20, 20]),
    ],
)
def test_negatives_per_image_by_hand(positives, ratio, expected):
    num = negatives_per_image(foreground(*positives), ratio)
    assert num.dtype == torch.int64
    assert num.tolist() == [[n] for n in expected]


def test_negatives_lose_as_much_as_before_and_positives_weigh_one():
    g = torch.Generator().manual_seed(0)
    loss, weights, mask = torch.rand(3, 20, generator=g), torch.rand(3, 20, generator=g), foreground(2, 0, 5)
    ours = negative_weights(weights, loss, mask).squeeze(-1)
    assert (ours[mask] == 1).all()
    torch.testing.assert_close((ours * loss)[~mask].sum(), loss[~mask].sum())
    torch.testing.assert_close(ours[~mask] / ours[0, 5], weights[~mask] / weights[0, 5])


def test_weights_all_alike_are_exactly_ones():
    loss = torch.rand(3, 20, generator=torch.Generator().manual_seed(0))
    assert (negative_weights(torch.ones(3, 20), loss, foreground(2, 0, 5)) == 1).all()


@pytest.mark.parametrize("loss", [torch.zeros(2, 20), torch.full((2, 20), 1e-30)])
def test_a_loss_of_nothing_gives_finite_weights(loss):
    assert negative_weights(torch.ones(2, 20), loss, foreground(1, 1)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_an_anchor_loses_the_sum_over_its_classes_in_full_precision(dtype):
    loss = torch.full((1, 2, 3000), 1.0, dtype=dtype, requires_grad=True)
    assert anchor_loss(loss).dtype == torch.float32
    assert anchor_loss(loss).tolist() == [[3000, 3000]]
    assert not anchor_loss(loss).requires_grad
