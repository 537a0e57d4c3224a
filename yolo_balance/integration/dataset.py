"""The host's dataset and loader, following a sampling plan and counting what they draw.

A loader is changed in place, so that it does not matter who built it: our trainer, the host's, a user's own, before
the first epoch or again after running out of memory.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch.distributed as dist
from torch.utils.data import BatchSampler, Dataset, Sampler, get_worker_info
from ultralytics.data.augment import BaseMixTransform, Compose, Mosaic

from yolo_balance.integration.host import mix_in
from yolo_balance.sampling import SamplingPlan
from yolo_balance.sampling.statistics import Ints

DRAWN = "drawn"
"""Key of a sample: (C,) boxes of the image and of every tile and partner picked for it, before any cropping."""


def ranks() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) unless training is distributed."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


# ---------------------------------------------------------------------------------------------------------------------
# Which images: the loader
# ---------------------------------------------------------------------------------------------------------------------


class EpochSampler(Sampler[int]):
    """Streams this rank's share of the plan of one epoch, `epoch`."""

    def __init__(self, plan: SamplingPlan):
        self.plan, self.epoch = plan, 0
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
    """Endless batches, epoch after epoch, starting with the sampler's.

    The host's loader prefetches beyond the end of an epoch. A sampler that is told the epoch from outside is then late
    by as much; an iterator that counts for itself is not. `sampler` is what the host measures an epoch's length by.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool):
        self.images, self.batch_size = sampler, batch_size
        self.drop_last = drop_last and len(sampler) > batch_size
        self.sampler = BatchSampler(sampler, self.batch_size, self.drop_last)
        self.serving = 0

    def __iter__(self) -> Iterator[list[int]]:
        for epoch in itertools.count(self.images.epoch):
            yield from BatchSampler(self.images.images(epoch), self.batch_size, self.drop_last)

    def start_epoch(self, epoch: int) -> bool:
        """Note that an epoch starts; whether the loader, as it stands, would go on with another one."""
        astray = self.serving != epoch
        self.images.set_epoch(epoch)
        self.serving = epoch + 1
        return astray


def balance_loader(loader: Any, num_classes: int, plan: SamplingPlan | None, *, partners: bool, epoch: int) -> None:
    """Make a train loader count what it draws and, with a plan, follow it.

    Args:
        loader: The host's train loader.
        num_classes: C, for the counts.
        plan: What epochs are drawn from; None leaves order and partners to the host, bit for bit.
        partners: Whether mix transforms draw their other images from the plan too.
        epoch: Epoch the run is at.
    """
    dataset = loader.dataset
    mix_in(dataset, CountingMixin)
    dataset.num_classes = num_classes
    if plan is not None:
        if partners:
            # A deck is dealt while a third as many images are shown, three partners each for a Mosaic: dealt from three
            # quarters of what the host keeps, its last card is still held.
            lately = None if dataset.cache == "ram" else max(1, dataset.max_buffer_length * 3 // 4)
            dataset.partners = PartnerStream(plan, epoch, lately)
            follow(dataset.transforms, dataset.partners)
        sampler = EpochSampler(plan)
        sampler.set_epoch(epoch)
        # A DataLoader refuses a new sampler once it is built; the host's loader gets around that in the same way.
        object.__setattr__(loader, "sampler", sampler)
        object.__setattr__(loader, "batch_sampler", EpochBatches(sampler, loader.batch_size, loader.drop_last))
        loader.batch_sampler.serving = epoch
    if loader.iterator is not None:  # its workers hold the dataset as it was
        loader.generator.manual_seed(loader.generator.initial_seed())  # started anew, it shuffles as it would have
        loader.reset()


def start_epoch(loader: Any, epoch: int) -> None:
    """Tell a balanced loader that an epoch starts; one that is repeated or resumed restarts the loader."""
    batches, dataset = loader.batch_sampler, loader.dataset
    if dataset.partners is not None:
        dataset.partners.opened = epoch
    if isinstance(batches, EpochBatches) and batches.start_epoch(epoch):
        loader.reset()


# ---------------------------------------------------------------------------------------------------------------------
# Which partners: the dataset
# ---------------------------------------------------------------------------------------------------------------------


class PartnerStream:
    """An endless stream of image indices on the plan, deck after shuffled deck.

    Images in memory are dealt from the plan's factors; every loader worker of every rank holds its own share of each
    deck, so that all of them together stay on the plan. Images on disk are dealt from those this worker was given to
    show lately, as stock Mosaic does, because the host still holds them decoded: the plan already governs which those
    are, and one shown twice is in the deck twice, which is what sets this apart from the host's list of distinct ones.

    Attributes:
        opened: Epoch in which the stream starts dealing.
        shown: Images shown lately; None to deal from the whole data set.
    """

    def __init__(self, plan: SamplingPlan, opened: int, lately: int | None):
        self.plan, self.opened = plan, opened
        self.shown: deque[int] | None = None if lately is None else deque(maxlen=lately)
        self.rank, self.world_size = ranks()
        self._owner: int | None = None
        self._cards: Iterator[int] | None = None

    def show(self, index: int) -> None:
        """Note an image that the sampler chose."""
        if self.shown is not None:
            self.shown.append(index)

    def draw(self) -> int:
        """The next image index."""
        worker = get_worker_info()
        owner, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if self._cards is None or owner != self._owner:  # a worker's copy deals its own share
            self._owner, self._cards = owner, self._deal(owner, workers)
        return next(self._cards)

    def _deal(self, owner: int, workers: int) -> Iterator[int]:
        plan, share, shares = self.plan.partners(self.opened), self.rank * workers + owner, self.world_size * workers
        rng = np.random.default_rng([plan.seed, share])
        for deck in itertools.count():
            if self.shown:
                yield from rng.permutation(self.shown).tolist()
            else:
                yield from plan.epoch(deck, rank=share, world_size=shares).tolist()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cards": None}


class PartnerIndexes:
    """Stands in for a mix transform's `get_indexes`: as many images as it needs, from the stream."""

    def __init__(self, stream: PartnerStream, count: int | None):
        self.stream, self.count = stream, count

    def __call__(self) -> int | list[int]:
        """One index, or a list where the transform mixes more than one image."""
        return self.stream.draw() if self.count is None else [self.stream.draw() for _ in range(self.count)]


def follow(transform: Any, stream: PartnerStream) -> None:
    """Make every Mosaic, MixUp, CutMix and CopyPaste inside a transform draw its other images from the stream."""
    if isinstance(transform, Compose):
        for inner in transform.transforms:
            follow(inner, stream)
    elif isinstance(transform, BaseMixTransform):
        transform.get_indexes = PartnerIndexes(stream, transform.n - 1 if isinstance(transform, Mosaic) else None)
        follow(transform.pre_transform, stream)


class CountingMixin(Dataset[Any]):
    """A dataset that says which images it picked for a sample, and whose transforms follow its partner stream.

    It derives from torch's Dataset because an instance can only be given a class of the same root.
    """

    labels: list[dict[str, Any]]
    num_classes: int
    partners: PartnerStream | None = None
    _picked: list[int]

    def __getitem__(self, index: int) -> dict[str, Any]:
        self._picked = []
        if self.partners is not None:
            self.partners.show(index)
        sample: dict[str, Any] = super().__getitem__(index)
        sample[DRAWN] = self._boxes(self._picked)
        return sample

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """The one door through which the image itself, every tile and every partner comes."""
        self._picked.append(index)
        picked: dict[str, Any] = super().get_image_and_label(index)  # type: ignore[misc]
        return picked

    def build_transforms(self, hyp: Any = None) -> Any:
        """The host's transforms; built anew when it closes mosaic."""
        transforms = super().build_transforms(hyp)  # type: ignore[misc]
        if self.partners is not None:
            follow(transforms, self.partners)
        return transforms

    def _boxes(self, images: list[int]) -> Ints:
        classes = np.concatenate([self.labels[i]["cls"].ravel() for i in images]).astype(np.int64)
        return np.bincount(classes, minlength=self.num_classes)

    def __reduce__(self) -> tuple[Any, ...]:
        base = type(self).__mro__[2]  # the class is made at run time: pickle what it is made of
        state = self.__getstate__() if hasattr(self, "__getstate__") else self.__dict__
        return _blank, (base,), state


def _blank(base: Any) -> Any:
    dataset = base.__new__(base)
    mix_in(dataset, CountingMixin)
    return dataset
