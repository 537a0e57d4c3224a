"""Laws of the validator's outcomes when several processes validate."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from helpers.loading import leave
from helpers.matrices import sampled
from helpers.outcomes import random_outcomes, same

from yolo_balance.integration.hooks.validator import RecallValidatorMixin
from yolo_balance.recall import Outcomes, RecallReport


class StockValidator:
    """Part of an Ultralytics validator that gathering needs."""

    def __init__(self):
        self.names = dict(enumerate("abc"))
        self.data, self.args = {}, SimpleNamespace(classes=None)
        self.dataloader = SimpleNamespace(dataset=range(60))  # a data set of a user's own, without files

    def init_metrics(self, model):
        pass

    def gather_stats(self):
        pass


class GatheringValidator(RecallValidatorMixin, StockValidator):
    pass


def shares(world_size):
    """Return the images of each rank: unequally many, out of order."""
    mixed = np.random.default_rng(world_size).permutation(60)
    return [[random_outcomes(5, 60)[i] for i in part] for part in np.split(mixed, [9, 29][: world_size - 1])]


def report(pooled):
    return RecallReport.of(pooled, list("abc"), false_alarms=[0.1, 1.0], targets={"a": 0.2})


def seen_by_one_rank(rank, world_size, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world_size)
    validator = GatheringValidator()
    validator.init_metrics(None)
    validator._images = shares(world_size)[rank]
    validator.gather_stats()
    if rank == 0:
        assert same(validator.outcomes, Outcomes.pool((image for share in shares(world_size) for image in share), 3))
        assert report(validator.outcomes) == report(Outcomes.pool(random_outcomes(5, 60), 3))
    else:
        assert validator.outcomes is None
    leave(folder, rank, world_size)


@pytest.mark.parametrize("world_size", sampled([2, 3], [3]))
def test_the_first_of_several_processes_has_what_all_saw_and_the_report_of_one(world_size, tmp_path):
    mp.spawn(seen_by_one_rank, args=(world_size, tmp_path), nprocs=world_size)
