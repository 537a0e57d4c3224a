"""The host's dataset, its mix transforms following a sampling plan, counting what it picks."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from torch.utils.data import Dataset, get_worker_info
from ultralytics.data.augment import BaseMixTransform, Compose, Mosaic

from yolo_balance.arrays import Bools
from yolo_balance.integration.compat import mix_in, ranks
from yolo_balance.sampling import SamplingPlan

DRAWN = "drawn"
"""Key of a sample: index of the image itself, then of every tile and partner picked for it."""


class PartnerStream:
    """An endless stream of image indices on the plan, deck after shuffled deck.

    Images in memory are dealt from the plan's factors; every loader worker of every rank holds its own share of each
    deck, so that all of them together stay on the plan. Images on disk are dealt from those this worker was given to
    show lately, as stock Mosaic does, because the host still holds them decoded: the plan already governs which those
    are, and one shown twice is in the deck twice, which is what sets this apart from the host's list of distinct ones.

    Attributes:
        opened: Epoch in which the stream starts dealing.
        shown: Images shown lately; None to deal from the whole data set.
        foreground: (num_images,) which images hold an object; None where no Mosaic has to hold one.
        last: The image picked last: the first tile, when a Mosaic asks for its others.
    """

    def __init__(self, plan: SamplingPlan, opened: int, lately: int | None, foreground: Bools | None = None):
        self.plan, self.opened, self.foreground, self.last = plan, opened, foreground, 0
        self.shown: deque[int] | None = None if lately is None else deque(maxlen=lately)
        self.rank, self.world_size = ranks()
        self._owner: int | None = None
        self._cards: Iterator[int] | None = None
        self._objects: Iterator[int] | None = None

    def open(self, epoch: int, plan: SamplingPlan) -> None:
        """Deal from an epoch's plan; goes on where it is unless that is another one. Called where no worker is."""
        if plan is not self.plan:
            self.plan, self._cards, self._objects = plan, None, None
            if self.shown is not None:
                self.shown.clear()  # chosen by the plan before
        self.opened = epoch

    def show(self, index: int) -> None:
        """Note an image that the sampler chose."""
        if self.shown is not None:
            self.shown.append(index)

    def draw(self) -> int:
        """The next image index."""
        return next(self._settled())

    def draw_tiles(self, count: int) -> list[int]:
        """The next indices for a Mosaic; one with an object among them or first, if there has to be one."""
        tiles = list(itertools.islice(self._settled(), count))
        if self.foreground is not None and not self.foreground[[self.last, *tiles]].any():
            assert self._objects is not None
            tiles[random.randrange(count)] = next(self._objects)
        return tiles

    def _settled(self) -> Iterator[int]:
        """The cards, dealt from where this copy of the stream lives: each worker has its own share."""
        worker = get_worker_info()
        owner, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        if self._cards is not None and owner == self._owner:
            return self._cards
        plan, share, of = self.plan.partners(self.opened), self.rank * workers + owner, self.world_size * workers
        self._owner, self._cards = owner, self._deal(plan, share, of)
        if self.foreground is not None:  # factors of objects alone keep the shares of their classes
            objects = replace(plan, factors=plan.factors * self.foreground, seed=plan.seed + 1)
            self._objects = self._deal(objects, share, of)
        return self._cards

    def _deal(self, plan: SamplingPlan, share: int, of: int) -> Iterator[int]:
        rng = np.random.default_rng([plan.seed, share])
        for deck in itertools.count():
            held = [i for i in self.shown or () if plan.factors[i] > 0]
            if held:
                yield from rng.permutation(held).tolist()
            else:
                yield from plan.epoch(deck, rank=share, world_size=of).tolist()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cards": None, "_objects": None}


class PartnerIndexes:
    """Stands in for a mix transform's `get_indexes`: as many images as it needs, from the stream."""

    def __init__(self, stream: PartnerStream, mosaic: Any | None):
        self.stream, self.mosaic = stream, mosaic

    def __call__(self) -> int | list[int]:
        """One index, or for a Mosaic a list, as long as its number of tiles is by now."""
        return self.stream.draw() if self.mosaic is None else self.stream.draw_tiles(self.mosaic.n - 1)


def follow(transform: Any, stream: PartnerStream) -> None:
    """Make every Mosaic, MixUp, CutMix and CopyPaste inside a transform draw its other images from the stream."""
    if isinstance(transform, Compose):
        for inner in transform.transforms:
            follow(inner, stream)
    elif isinstance(transform, BaseMixTransform):
        transform.get_indexes = PartnerIndexes(stream, transform if isinstance(transform, Mosaic) else None)
        follow(transform.pre_transform, stream)


class CountingMixin(Dataset[Any]):
    """A dataset that says which images it picked for a sample, and whose transforms follow its partner stream.

    It derives from torch's Dataset because an instance can only be given a class of the same root.
    """

    partners: PartnerStream | None = None
    _picked: list[int]

    def __getitem__(self, index: int) -> dict[str, Any]:
        self._picked = []
        if self.partners is not None:
            self.partners.show(index)
        sample: dict[str, Any] = super().__getitem__(index)
        sample[DRAWN] = self._picked
        return sample

    def get_image_and_label(self, index: int) -> dict[str, Any]:
        """The one door through which the image itself, every tile and every partner comes."""
        self._picked.append(index)
        if self.partners is not None:
            self.partners.last = index
        picked: dict[str, Any] = super().get_image_and_label(index)  # type: ignore[misc]
        return picked

    def build_transforms(self, hyp: Any = None) -> Any:
        """The host's transforms; built anew when it closes mosaic."""
        transforms = super().build_transforms(hyp)  # type: ignore[misc]
        if self.partners is not None:
            follow(transforms, self.partners)
        return transforms

    def __reduce__(self) -> tuple[Any, ...]:
        base = type(self).__mro__[2]  # the class is made at run time: pickle what it is made of
        state = self.__getstate__() if hasattr(self, "__getstate__") else self.__dict__
        return _blank, (base,), state


def _blank(base: Any) -> Any:
    dataset = base.__new__(base)
    mix_in(dataset, CountingMixin)
    return dataset
