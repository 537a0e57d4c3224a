"""The host's train loader, following a sampling plan.

It is changed in place, so that it does not matter who built it: our trainer, the host's, a user's own, before the first
epoch or again after running out of memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler, Sampler
from ultralytics.data import BaseDataset

from yolo_balance.arrays import Bools
from yolo_balance.integration.compat import mix_in, ranks
from yolo_balance.integration.hooks.dataset import CountingMixin, PartnerStream, follow
from yolo_balance.sampling import SamplingPlan


class EpochSampler(Sampler[int]):
    """Streams this rank's share of the plan of one epoch, `epoch`."""

    def __init__(self, plan: SamplingPlan, epoch: int):
        self.plan, self.epoch = plan, epoch
        self.rank, self.world_size = ranks()

    def images(self, epoch: int) -> list[int]:
        """This rank's images of an epoch."""
        images: list[int] = self.plan.epoch(epoch, rank=self.rank, world_size=self.world_size).tolist()
        return images

    def __iter__(self) -> Iterator[int]:
        return iter(self.images(self.epoch))

    def __len__(self) -> int:
        return -(-self.plan.size // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch a new iterator starts with; the host calls this under distributed training."""
        self.epoch = epoch


class EpochBatches:
    """Batches epoch after epoch, starting with the sampler's.

    The host's loader prefetches beyond the end of an epoch. A sampler that is told the epoch from outside is then late
    by as much; an iterator that counts for itself is not. Where the next epoch's plan is not known before this one has
    been validated, an iterator ends with its epoch and the next epoch begins with another, so that nothing is read for
    a plan that no longer holds. `sampler` is what the host measures an epoch's length by.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool, single: bool):
        self.images, self.batch_size, self.single = sampler, batch_size, single
        self.drop_last = drop_last and len(sampler) > batch_size
        self.sampler = BatchSampler(sampler, self.batch_size, self.drop_last)
        self.serving = sampler.epoch

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in itertools.count(self.images.epoch):
            yield from BatchSampler(self.images.images(epoch), self.batch_size, self.drop_last)
            if self.single:
                return

    def start_epoch(self, epoch: int, plan: SamplingPlan) -> bool:
        """Note that an epoch starts; whether the loader, as it stands, would go on with another one or another plan."""
        astray = self.serving != epoch or self.images.plan is not plan
        self.images.plan = plan
        self.images.set_epoch(epoch)
        self.serving = -1 if self.single else epoch + 1
        return astray


def balance_loader(
    loader: Any,
    plan: SamplingPlan | None,
    *,
    epoch: int,
    partners: bool = True,
    foreground: Bools | None = None,
    changing: bool = False,
) -> None:
    """Make a train loader say what it draws and, with a plan, follow it.

    Args:
        loader: The host's train loader.
        plan: What the epoch is drawn from; None leaves order and partners to the host, bit for bit.
        epoch: Epoch the run is at.
        partners: Whether mix transforms draw their other images from the plan too.
        foreground: (num_images,) which images hold an object, where every Mosaic is to hold one of them.
        changing: Whether any epoch may bring another plan.
    """
    dataset = loader.dataset
    mixes = isinstance(dataset, BaseDataset)  # an image folder does not
    if mixes:
        mix_in(dataset, CountingMixin)
    if plan is not None:
        if partners and mixes:
            # A deck is dealt while a third as many images are shown, three partners each for a Mosaic: dealt from three
            # quarters of what the host keeps, its last card is still held.
            lately = None if dataset.cache == "ram" else max(1, dataset.max_buffer_length * 3 // 4)
            dataset.partners = PartnerStream(plan, epoch, lately, foreground)
            follow(dataset.transforms, dataset.partners)
        sampler = EpochSampler(plan, epoch)
        # A DataLoader refuses a new sampler once it is built; the host's loader gets around that in the same way.
        object.__setattr__(loader, "sampler", sampler)
        object.__setattr__(
            loader, "batch_sampler", EpochBatches(sampler, loader.batch_size, loader.drop_last, single=changing)
        )
    if loader.iterator is not None:  # its workers hold the dataset as it was
        loader.generator.manual_seed(loader.generator.initial_seed())  # started anew, it shuffles as it would have
        loader.reset()


def start_epoch(loader: Any, epoch: int, plan: SamplingPlan | None) -> None:
    """Tell a balanced loader which epoch starts and its plan; another plan or epoch than it expects restarts it."""
    batches, stream = loader.batch_sampler, getattr(loader.dataset, "partners", None)
    if plan is None or not isinstance(batches, EpochBatches):
        return
    if stream is not None:
        stream.open(epoch, plan)
    if batches.start_epoch(epoch, plan):
        loader.reset()
