"""Ultralytics' data set, whose mix transforms follow a sampling plan, and which notes the images that it picks."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch.utils.data
from torch.utils.data import get_worker_info
from ultralytics.data.augment import BaseMixTransform, Compose, Mosaic

from yolo_balance.arrays import Bools
from yolo_balance.integration import protocols
from yolo_balance.integration.compat import mix_in, ranks
from yolo_balance.integration.hooks.paste import EpochIndex, ImagePaster
from yolo_balance.sampling import SamplingPlan

if TYPE_CHECKING:
    Stock = protocols.Dataset
else:
    Stock = torch.utils.data.Dataset  # an instance can only be given a class of the same root

DRAWN: Final = "drawn"
"""Key of a sample: its `PickedImages`."""


class PickedImages(list[int]):
    """Index of the image itself, then of every tile and partner picked for it.

    Attributes:
        sampled: Index that the sampler gave.
        stock: Tiles and partners that Ultralytics chose and not the partner stream.
        pasted: Class of each object pasted into these images, and whether the image was a tile or partner.
    """

    sampled = -1
    stock = 0

    def __init__(self) -> None:
        super().__init__()
        self.pasted: list[tuple[bool, int]] = []


class PartnerStream:
    """An endless stream of image indices on the plan, deck after shuffled deck.

    Images in memory are dealt from the plan's factors; every loader worker of every rank holds its own share of each
    deck, so that all of them together stay on the plan. Images on disk are dealt from those this worker was given to
    show lately, as stock Mosaic does, because Ultralytics still holds them decoded. The plan already governs which
    those are. An image shown twice is in the deck twice, while the stock list holds distinct images.

    Attributes:
        opened: Epoch in which the stream starts dealing.
        shown: Images shown lately; None to deal from the whole data set.
        foreground: (num_images,) images that hold an object; None where no Mosaic has to hold one.
        last: The image picked last: the first tile, when a Mosaic asks for its others.
        dealt: Images dealt so far by this worker.
    """

    def __init__(self, plan: SamplingPlan, opened: int, lately: int | None, foreground: Bools | None = None):
        self.plan, self.opened, self.foreground, self.last, self.dealt = plan, opened, foreground, 0, 0
        self.shown: deque[int] | None = None if lately is None else deque(maxlen=lately)
        self.rank, self.world_size = ranks()
        self._owner: int | None = None
        self._cards: Iterator[int] | None = None
        self._objects: Iterator[int] | None = None

    def open(self, epoch: int, plan: SamplingPlan) -> None:
        """Deal from an epoch's plan; go on with the current deck if the plan is the same. Not called in a worker."""
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
        """Return the next image index."""
        self.dealt += 1
        return next(self._settled())

    def draw_tiles(self, count: int) -> list[int]:
        """Return the next indices for a Mosaic; one of them, or the first tile, holds an object if one has to."""
        self.dealt += count
        tiles = list(itertools.islice(self._settled(), count))
        if self.foreground is not None and not self.foreground[[self.last, *tiles]].any():
            assert self._objects is not None
            tiles[random.randrange(count)] = next(self._objects)
        return tiles

    def _settled(self) -> Iterator[int]:
        """Return the deck of the process that this copy of the stream lives in: each worker has its own share."""
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
            shown = [i for i in self.shown or () if plan.factors[i] > 0]
            if shown:
                yield from rng.permutation(shown).tolist()
            else:
                yield from plan.epoch(deck, rank=share, world_size=of).tolist()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_cards": None, "_objects": None}


class PartnerIndexes:
    """Replaces a mix transform's `get_indexes`: as many images as it needs, from the stream."""

    def __init__(self, stream: PartnerStream, mosaic: protocols.MosaicTransform | None):
        self.stream, self.mosaic = stream, mosaic

    def __call__(self) -> int | list[int]:
        """Return one index, or for a Mosaic the list of its other tiles, whose number may change during a run."""
        return self.stream.draw() if self.mosaic is None else self.stream.draw_tiles(self.mosaic.n - 1)


def mix_transforms(transform: object) -> Iterator[BaseMixTransform]:
    """Yield every Mosaic, MixUp, CutMix and CopyPaste inside a transform."""
    inner: Sequence[object] = ()
    if isinstance(transform, Compose):
        inner = transform.transforms
    elif isinstance(transform, BaseMixTransform):
        yield transform
        inner = (transform.pre_transform,)
    for part in inner:
        yield from mix_transforms(part)


def follow(transform: object, stream: PartnerStream) -> None:
    """Make the mix transforms inside a transform draw their other images from the stream."""
    for mix in mix_transforms(transform):
        mix.get_indexes = PartnerIndexes(stream, mix if isinstance(mix, Mosaic) else None)


class CountingMixin(Stock):
    """A data set that notes the images it picked for a sample, and whose transforms follow its partner stream.

    Attributes:
        partners: Deals tiles and partners; None leaves them to Ultralytics.
        pasting: Pastes objects into each image as it is loaded; None leaves the images as they are.
    """

    partners: PartnerStream | None = None
    pasting: ImagePaster | None = None
    _picked: PickedImages
    _epoch: int

    def __getitem__(self, index: int) -> dict[str, object]:
        self._picked, stream = PickedImages(), self.partners
        self._picked.sampled = int(index)
        self._epoch = index.epoch if isinstance(index, EpochIndex) else 0
        before = 0 if stream is None else stream.dealt
        if stream is not None:
            stream.show(int(index))
        sample = super().__getitem__(index)
        if stream is not None:
            self._picked.stock = max(len(self._picked) - 1 - (stream.dealt - before), 0)
        sample[DRAWN] = self._picked
        return sample

    def get_image_and_label(self, index: int) -> dict[str, object]:
        """Note the index, and paste; the image itself, every tile and every partner come through here."""
        partner = len(self._picked) > 0
        self._picked.append(int(index))
        if self.partners is not None:
            self.partners.last = int(index)
        sample = super().get_image_and_label(index)
        if self.pasting is not None:
            self._picked.pasted += [(partner, label) for label in self.pasting(sample, int(index), self._epoch)]
        return sample

    def build_transforms(self, hyp: object = None) -> object:
        """Build Ultralytics' transforms, which happens again when it closes mosaic, and make them follow the stream."""
        transforms = super().build_transforms(hyp)
        if self.partners is not None:
            follow(transforms, self.partners)
        return transforms

    def __reduce__(self) -> tuple[object, ...]:
        base = type(self).__mro__[2]  # the class is made at run time: pickle the class that it is made from
        state = self.__getstate__() if hasattr(self, "__getstate__") else self.__dict__
        return _blank, (base,), state


def _blank(base: type[object]) -> CountingMixin:
    return mix_in(base.__new__(base), CountingMixin)
