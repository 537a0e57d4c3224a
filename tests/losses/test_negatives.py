"""How many negatives an image reads, and how a loss keeps its size."""

from __future__ import annotations

import pytest
import torch

from yolo_balance.losses import negatives
from yolo_balance.losses.magnitude import preserving
from yolo_balance.losses.negatives import negatives_per_image


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
def test_negatives_per_image_by_hand(positives, ratio, expected, monkeypatch):
    monkeypatch.setattr(negatives, "FEWEST", 1)
    num = negatives_per_image(foreground(*positives), ratio)
    assert num.dtype == torch.int64
    assert num.tolist() == [[n] for n in expected]


def test_no_image_reads_fewer_than_32_while_it_has_them():
    assert negatives_per_image(foreground(1, 0, 20, anchors=100), 3.0).tolist() == [[32], [32], [60]]
    assert negatives_per_image(foreground(1, 0, anchors=20), 3.0).tolist() == [[20], [20]]


def test_weights_preserve_the_loss_of_what_they_are_for_and_leave_the_rest():
    g = torch.Generator().manual_seed(0)
    loss, weights, mask = torch.rand(3, 20, generator=g), torch.rand(3, 20, generator=g), foreground(2, 0, 5)
    ours = preserving(weights, loss, ~mask)
    assert (ours[mask] == 1).all()
    torch.testing.assert_close((ours * loss)[~mask].sum(), loss[~mask].sum())
    torch.testing.assert_close(ours[~mask] / ours[0, 5], weights[~mask] / weights[0, 5])
    assert (preserving(torch.ones(3, 20), loss, ~mask) == 1).all()


def test_each_row_keeps_its_own_loss():
    g = torch.Generator().manual_seed(0)
    loss, weights, mask = torch.rand(3, 20, generator=g), torch.rand(3, 20, generator=g), foreground(2, 0, 20)
    ours = preserving(weights, loss, ~mask, by_row=True)
    assert (ours[mask] == 1).all()
    torch.testing.assert_close((ours * loss).sum(-1), loss.sum(-1))


@pytest.mark.parametrize("size", [1e-14, 1e-30])
def test_the_smallest_loss_is_kept_too(size):
    loss, weights = torch.full((2, 20), size), torch.rand(2, 20, generator=torch.Generator().manual_seed(0)) * 1e-3
    torch.testing.assert_close((preserving(weights, loss) * loss).sum() / size, torch.tensor(40.0))


@pytest.mark.parametrize("loss", [torch.zeros(2, 20), torch.full((2, 20), 1e-30)])
def test_a_loss_of_nothing_gives_finite_weights(loss):
    assert preserving(torch.ones(2, 20), loss, ~foreground(1, 1)).isfinite().all()
