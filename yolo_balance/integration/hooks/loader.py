"""Ultralytics' train loader, following a sampling plan.

The loader is changed in place, so that it does not matter who built it: our trainer, a stock one or a user's own,
before the first epoch or again after running out of memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch.utils.data import BatchSampler
from ultralytics.data import BaseDataset

from yolo_balance.arrays import Bools
from yolo_balance.integration.compat import mix_in, ranks
from yolo_balance.integration.hooks.dataset import CountingMixin, PartnerStream, follow
from yolo_balance.integration.hooks.paste import EpochIndex, ImagePaster
from yolo_balance.integration.protocols import Loader
from yolo_balance.sampling import SamplingPlan
from yolo_balance.sampling.plan_sampler import PlanSampler


class EpochSampler(PlanSampler):
    """Plan sampler of this process; under distributed training Ultralytics calls its `set_epoch`."""

    def __init__(self, plan: SamplingPlan, epoch: int):
        rank, world_size = ranks()
        super().__init__(plan, epoch=epoch, rank=rank, world_size=world_size)


class EpochBatches:
    """Batches epoch after epoch, starting with the sampler's.

    Ultralytics' loader prefetches beyond the end of an epoch. A sampler whose epoch is set from outside is then late by
    as much; an iterator that counts for itself is not. Where the next epoch's plan is not known before this one has
    been validated, an iterator ends with its epoch and the next epoch begins with another, so that nothing is read for
    a plan that no longer holds. Ultralytics measures an epoch's length by `sampler`.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool, single: bool):
        self.images, self.batch_size, self.single = sampler, batch_size, single
        self.drop_last = drop_last and len(sampler) > batch_size
        self.sampler = BatchSampler(sampler, self.batch_size, self.drop_last)
        self.serving = sampler.epoch

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in itertools.count(self.images.epoch):
            images = self.images.images(epoch)
            if self.images.plan.pasted is not None:  # a paste depends on its epoch
                images = [EpochIndex(image, epoch) for image in images]
            yield from BatchSampler(images, self.batch_size, self.drop_last)
            if self.single:
                return

    def start_epoch(self, epoch: int, plan: SamplingPlan) -> bool:
        """Note that an epoch starts; return whether the loader would go on with another epoch or another plan."""
        astray = self.serving != epoch or self.images.plan is not plan
        self.images.plan = plan
        self.images.set_epoch(epoch)
        self.serving = -1 if self.single else epoch + 1
        return astray


def balance_loader(
    loader: Loader,
    plan: SamplingPlan | None,
    *,
    epoch: int,
    partners: bool = True,
    foreground: Bools | None = None,
    changing: bool = False,
    pasting: ImagePaster | None = None,
) -> None:
    """Make a train loader note the images it draws and, with a plan, follow it.

    Args:
        loader: The train loader.
        plan: Plan of the epoch; None leaves order and partners to Ultralytics, bit for bit.
        epoch: Epoch the run is at.
        partners: Whether mix transforms draw their other images from the plan too.
        foreground: (num_images,) images that hold an object, where every Mosaic is to hold one of them.
        changing: Whether any epoch may bring another plan.
        pasting: Pastes objects into each image as it is loaded; None leaves the images as they are.
    """
    # an image folder mixes no images
    dataset = mix_in(loader.dataset, CountingMixin) if isinstance(loader.dataset, BaseDataset) else None
    if dataset is not None:
        dataset.pasting = pasting
    if plan is not None:
        if pasting is not None:
            pasting.follow(plan)
        if partners and dataset is not None:
            # A deck is dealt while a third as many images are shown, three partners each for a Mosaic. Dealt from three
            # quarters of the images that Ultralytics keeps decoded, the deck's last image is still among them.
            lately = None if dataset.cache == "ram" else max(1, dataset.max_buffer_length * 3 // 4)
            dataset.partners = PartnerStream(plan, epoch, lately, foreground)
            follow(dataset.transforms, dataset.partners)
        sampler = EpochSampler(plan, epoch)
        # A DataLoader refuses a new sampler once it is built; Ultralytics' loader gets around that in the same way.
        object.__setattr__(loader, "sampler", sampler)
        object.__setattr__(
            loader, "batch_sampler", EpochBatches(sampler, loader.batch_size, loader.drop_last, single=changing)
        )
    if loader.iterator is not None:  # its workers have the data set as it was
        loader.generator.manual_seed(loader.generator.initial_seed())  # started anew, it shuffles as it would have
        loader.reset()


def start_epoch(loader: Loader, epoch: int, plan: SamplingPlan | None) -> None:
    """Give a balanced loader the epoch that starts and its plan; restart it if it expected another epoch or plan."""
    batches, stream = loader.batch_sampler, getattr(loader.dataset, "partners", None)
    if plan is None or not isinstance(batches, EpochBatches):
        return
    pasting = getattr(loader.dataset, "pasting", None)
    if stream is not None:
        stream.open(epoch, plan)
    if pasting is not None:
        pasting.follow(plan)
    if batches.start_epoch(epoch, plan):
        loader.reset()
