"""The draw of pastes: which objects go into which image of an epoch, and how, before any pixel is read.

An epoch's table of images and objects follows from seed, epoch and plan, an image's parameters from seed, epoch and
index. Every worker of every rank draws the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.sampling.epoch import SamplingPlan
from yolo_balance.sampling.pastes import MOST_USES
from yolo_balance.synthesis.blending import BLENDS
from yolo_balance.synthesis.paste_draw import DistractorDraw, PasteDraw
from yolo_balance.synthesis.pasteable import Sources, touching

SCALES = (0.8, 1.25)
"""Bounds of the size; a defect's size is physical."""
MOST_TURN = 15.0
"""Largest rotation, degrees."""
CONTRASTS = (0.9, 1.1)
"""Bounds of the contrast beyond what is matched to the place."""
FEATHERS = (0.03, 0.1)
"""Bounds of the soft edge, as a share of the object's side."""
ANYWHERE = 0.2
"""Share of the centres that are drawn from the whole image."""
SPREAD = 0.06
"""Standard deviation about a centre of the class, as a share of the image; twice that below five centres."""
FEW = 5
"""Distinct objects below which a class is warned of."""
PAIR = 2
"""Distinct objects up to which an image never has the class twice."""
OFTEN = 2.0
"""Appearances in an epoch up to which an image is pasted on, where there are such images."""
TRIES = 12


@dataclass(frozen=True)
class PasteLimits:
    """Limits of the draw, from `balance.synthesis.paste` and the run.

    Attributes:
        p: Largest share of the images that are pasted on.
        max_objects: Most objects pasted into one image.
        onto_background: Largest share of the clean images that are pasted on.
        blend: Key of `BLENDS`.
        distractors: Patches of clean surface for each paste.
        flips: Probability of exchanging left and right, and top and bottom: those of the run.
    """

    p: float = 0.5
    max_objects: int = 2
    onto_background: float = 0.25
    blend: str = "mixed"
    distractors: int = 1
    flips: tuple[float, float] = (0.5, 0.0)


class PastePolicy:
    """Draws the pastes of each image of each epoch.

    Attributes:
        sources: Objects that can be cut out.
        receivers: For each source the images it may be pasted into, by its context.
        background: (N,) images without an object.
        pairs: Images that hold each class, for the classes of so few objects that no image may have two.
        limits: Limits of the draw.
        plan: Plan of the epoch: how often each image appears, and how many boxes of each class are to be pasted.
        made: Classes of the boxes of each image made elsewhere.
    """

    def __init__(
        self,
        sources: Sources,
        receivers: Sequence[Ints],
        background: Bools,
        limits: PasteLimits,
        *,
        seed: int,
        plan: SamplingPlan,
        holding: Sequence[Ints] | None = None,
        made: Sequence[Ints] = (),
        paste: bool = True,
    ):
        """Bind the draw to a run.

        Args:
            sources: Objects that can be cut out.
            receivers: (S) image indices that each source may be pasted into.
            background: (N,) images without an object.
            limits: Limits of the draw.
            seed: Seed of the run.
            plan: Plan of the epochs to come.
            holding: (C) images that hold each class; None where nothing is known.
            made: Classes of the boxes of each image made elsewhere.
            paste: Whether objects are pasted, and not only images made elsewhere shown.
        """
        self.sources, self.receivers, self.background, self.limits = sources, receivers, background, limits
        self.seed, self.plan, self.made = seed, plan, made
        self._counts = np.stack([np.bincount(m, minlength=len(sources.counts)) for m in made]) if len(made) else None
        own = sources.counts if paste else np.zeros_like(sources.counts)
        other = np.zeros_like(own) if self._counts is None else self._counts.sum(0)
        self._made_part = np.divide(other, own + other, out=np.zeros(len(own)), where=own + other > 0)
        self._replaced: dict[int, dict[int, int]] = {}
        self._centres = [sources.centres[sources.classes == c] for c in range(len(sources.counts))]
        few = sources.counts <= PAIR
        self.pairs = {
            c: frozenset(() if holding is None else holding[c].tolist()) for c in np.flatnonzero(few).tolist()
        }
        self._tables: dict[int, dict[int, list[int]]] = {}
        self._edges = touching(sources.boxes)

    def follow(self, plan: SamplingPlan) -> None:
        """Draw by another plan from now on."""
        if plan is not self.plan:
            self.plan, self._tables, self._replaced = plan, {}, {}

    def draws(self, index: int, epoch: int) -> list[PasteDraw]:
        """Return the pastes of an image in an epoch."""
        if self.plan.pasted is None:
            return []
        chosen = self.table(epoch).get(index)
        if not chosen:
            return []
        rng = np.random.default_rng([self.seed, epoch, index])
        return [self._drawn(source, rng) for source in chosen]

    def replacement(self, index: int, epoch: int) -> int | None:
        """Return the image made elsewhere that takes the place of a clean image in an epoch; None for most images."""
        if self._counts is None or self.plan.pasted is None:
            return None
        self.table(epoch)
        return self._replaced[epoch].get(index)

    def table(self, epoch: int) -> dict[int, list[int]]:
        """Return the sources pasted into each image in an epoch, by image index."""
        if epoch not in self._tables:
            for old in sorted(self._tables)[:-2]:  # a loader prefetches the next epoch while this one is served
                del self._tables[old]
                self._replaced.pop(old, None)
            self._tables[epoch] = self._table(epoch)
        return self._tables[epoch]

    def _table(self, epoch: int) -> dict[int, list[int]]:
        """Deal out an epoch's pastes: each class in turn takes its next source, and the source an image that has room.

        A paste counts as often as its image is expected to appear. What is left of a class's wish below one such paste
        is decided by chance, so that the expectation is exact.
        """
        pasted, expectation, limits = self.plan.pasted, self.plan.expectation, self.limits
        assert pasted is not None
        rng = np.random.default_rng([self.seed, epoch])
        open_ = (expectation > 0) & (~self.background | (rng.random(len(expectation)) < limits.onto_background))
        seldom = open_ & (expectation <= OFTEN)
        open_ = seldom if seldom.any() else open_
        room = limits.p * self.plan.size
        wish, decks = pasted.astype(np.float64).copy(), {}
        replaced = self._replaced[epoch] = self._replacements(wish * self._made_part, open_, room, rng)
        wish *= 1 - self._made_part
        if replaced:
            open_ = open_.copy()
            open_[list(replaced)] = False
            room -= float(expectation[list(replaced)].sum())
        for c in np.flatnonzero(wish > 0):
            if (own := np.flatnonzero(self.sources.classes == c)).size:
                decks[c] = rng.permutation(own).tolist()
        uses: dict[int, float] = defaultdict(float)
        table: dict[int, list[int]] = {}
        while decks:
            for c in list(decks):
                source = decks[c].pop(0)
                image = self._receiver(source, table, open_, room, rng)
                appears = 0.0 if image is None else float(expectation[image])
                if image is None or uses[source] + appears > MOST_USES:
                    if not decks[c]:  # no source of the class has an image left
                        del decks[c]
                    continue
                decks[c].append(source)
                if wish[c] < appears:
                    if rng.random() < wish[c] / appears:
                        table.setdefault(image, []).append(source)
                    del decks[c]
                    continue
                if image not in table:
                    room -= appears
                table.setdefault(image, []).append(source)
                uses[source] += appears
                wish[c] -= appears
        return table

    def _replacements(self, wish: Floats, open_: Bools, room: float, rng: np.random.Generator) -> dict[int, int]:
        """Deal images made elsewhere out to clean images, as long as no class gets more boxes than it wishes for."""
        replaced: dict[int, int] = {}
        if self._counts is None:
            return replaced
        deck = rng.permutation(len(self._counts)).tolist()
        uses: dict[int, float] = defaultdict(float)
        for image in rng.permutation(np.flatnonzero(open_ & self.background)).tolist():
            appears = float(self.plan.expectation[image])
            for place, made in enumerate(deck):
                boxes = self._counts[made] * appears
                if (boxes <= wish + 1e-9).all() and uses[made] + appears <= MOST_USES and appears <= room:
                    replaced[image] = made
                    wish, room = wish - boxes, room - appears
                    uses[made] += appears
                    deck.append(deck.pop(place))
                    break
            else:
                break
        return replaced

    def _receiver(
        self, source: int, table: dict[int, list[int]], open_: Bools, room: float, rng: np.random.Generator
    ) -> int | None:
        """Return an image for a source, or None where none has room."""
        receivers, own, label = (
            self.receivers[source],
            int(self.sources.image[source]),
            int(self.sources.classes[source]),
        )
        pair = self.pairs.get(label)

        def fits(image: int) -> bool:
            inside = table.get(image, ())
            if not open_[image] or image == own or len(inside) >= self.limits.max_objects or source in inside:
                return False
            if not inside and self.plan.expectation[image] > room:
                return False
            return pair is None or (image not in pair and all(self.sources.classes[s] != label for s in inside))

        if not len(receivers):
            return None
        for i in rng.integers(0, len(receivers), TRIES):
            if fits(image := int(receivers[i])):
                return image
        start = int(rng.integers(0, len(receivers)))
        return next((int(i) for i in np.roll(receivers, -start) if fits(int(i))), None)

    def _drawn(self, source: int, rng: np.random.Generator) -> PasteDraw:
        """Draw how a source is pasted, and its distractors: alike, but for centre, blend and edge of their own."""
        edges = tuple(bool(edge) for edge in self._edges[source])
        flips = self.limits.flips
        draw = PasteDraw(
            source,
            self._centre(source, rng),
            float(np.exp(rng.uniform(*np.log(SCALES)))),
            0.0 if any(edges) else float(rng.uniform(-MOST_TURN, MOST_TURN)),
            bool(rng.random() < flips[0]),
            bool(rng.random() < flips[1]),
            (edges[0], edges[1], edges[2], edges[3]),
            str(rng.choice(BLENDS[self.limits.blend])),
            float(rng.uniform(*FEATHERS)),
            float(rng.uniform(*CONTRASTS)),
            int(rng.integers(0, 2**31)),
        )
        distractors = []
        for _ in range(self.limits.distractors):
            twin = replace(
                draw,
                centre=self._centre(source, rng),
                blend=str(rng.choice(BLENDS[self.limits.blend])),
                feather=float(rng.uniform(*FEATHERS)),
                noise=int(rng.integers(0, 2**31)),
                edges=(False, False, False, False),
            )
            distractors.append(DistractorDraw(int(rng.integers(0, 2**16)), twin))
        return replace(draw, distractors=tuple(distractors))

    def _centre(self, source: int, rng: np.random.Generator) -> tuple[float, float]:
        """Draw a centre: about one of the class's own centres, or now and then anywhere."""
        if rng.random() < ANYWHERE:
            x, y = rng.random(2)
            return float(x), float(y)
        own = self._centres[self.sources.classes[source]]
        spread = SPREAD * (2 if len(own) < FEW else 1)
        x, y = np.clip(own[rng.integers(0, len(own))] + rng.normal(0, spread, 2), 0, 1)
        return float(x), float(y)
