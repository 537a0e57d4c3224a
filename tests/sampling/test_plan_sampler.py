"""Laws of the sampler of a plain PyTorch loader."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from yolo_balance import PlanSampler
from yolo_balance.sampling import SamplingPlan, plan_epoch, repeat_factors

CLASSES = np.array([0] * 50 + [1] * 9 + [2] * 3)
FACTORS = repeat_factors([[c] for c in CLASSES], num_classes=3, threshold=0.5, power=1.0)


@pytest.mark.parametrize("size", [1, 62, 101])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_every_rank_has_its_share_of_the_epochs_plan_and_the_same_length(size, world_size):
    plan = SamplingPlan(FACTORS, size, seed=4)
    ranks = [PlanSampler(plan, rank=rank, world_size=world_size) for rank in range(world_size)]
    for epoch in (0, 1, 7):
        for rank, sampler in enumerate(ranks):
            sampler.set_epoch(epoch)
            expected = plan_epoch(FACTORS, size, seed=4, epoch=epoch, rank=rank, world_size=world_size)
            assert list(sampler) == expected.tolist()
            assert len(list(sampler)) == len(sampler) == len(ranks[0])


def test_an_epoch_is_the_same_again_and_another_is_not():
    sampler = PlanSampler(SamplingPlan(FACTORS, 62, seed=0), epoch=3)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(4)
    assert list(sampler) != first


def test_a_rank_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"rank: expected one in \[0, 2\), got 2"):
        PlanSampler(SamplingPlan(FACTORS, 62, seed=0), rank=2, world_size=2)


def test_a_plain_loader_learns_the_rare_class_that_it_is_shown():
    inputs = torch.nn.functional.one_hot(torch.from_numpy(CLASSES), 3).float()
    data = TensorDataset(inputs, torch.from_numpy(CLASSES))
    plan = SamplingPlan(FACTORS, size=90, seed=0)
    sampler = PlanSampler(plan)
    loader = DataLoader(data, batch_size=16, sampler=sampler)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 3)
    steps, shown = torch.optim.SGD(model.parameters(), 0.5), np.zeros(3)
    for epoch in range(10):
        sampler.set_epoch(epoch)
        for x, y in loader:
            steps.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            steps.step()
            shown += np.bincount(y, minlength=3)
    expected = 10 * np.bincount(CLASSES, plan.expectation)
    assert np.abs(shown - expected).max() <= 10
    assert (model(inputs).argmax(1)[CLASSES == 2] == 2).all()  # recall of the rare class
