"""The transform that pastes: the same image, objects and parameters give the same pixels and labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from yolo_balance.arrays import Floats, Floats32, Ints
from yolo_balance.synthesis.bank import Bank
from yolo_balance.synthesis.blending import BLENDS, FEATHER, blend
from yolo_balance.synthesis.cutting import CutObject
from yolo_balance.synthesis.jitter import JitteredObject, jittered, matched
from yolo_balance.synthesis.objects import ImageObjects, Pixels, bounds, grey_of
from yolo_balance.synthesis.paste_draw import PasteDraw
from yolo_balance.synthesis.placement import mirrored, place
from yolo_balance.synthesis.policy import SCALES


@dataclass(frozen=True)
class Pasted:
    """Outcome of a paste.

    Attributes:
        patches: Corner x, y and (h, w, channels) pixels of each part of the image that changed, in order.
        objects: The pasted objects.
        distractors: (n, 4) boxes of the unlabelled patches, px.
    """

    patches: Sequence[tuple[int, int, Pixels]]
    objects: ImageObjects
    distractors: Floats = field(default_factory=lambda: np.zeros((0, 4)))

    def onto(self, image: Pixels) -> Pixels:
        """Return a copy of the image with the patches; the image itself, which may lie in a cache, stays as it is."""
        if not self.patches:
            return image
        image = image.copy()
        for x, y, pixels in self.patches:
            image[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
        return image


class Paster:
    """Pastes objects of a bank, and patches of clean surface, into images.

    Attributes:
        bank: Objects cut out.
        keep_out: Classes whose boxes nothing may touch.
        search: Whether a place that looks like the object's own is looked for around the drawn centre.
        flip_index: (K,) key point that each key point becomes in a mirror; None without key points.
    """

    def __init__(
        self, bank: Bank, *, keep_out: Collection[int] = (), search: bool = True, flip_index: Ints | None = None
    ):
        self.bank, self.keep_out, self.search, self.flip_index = bank, list(keep_out), search, flip_index

    def __call__(self, image: Pixels, objects: ImageObjects, draws: Sequence[PasteDraw], zoom: float = 1.0) -> Pasted:
        """Paste into an image, which stays as it is.

        Args:
            image: (H, W, channels) image as loaded.
            objects: Objects of the image.
            draws: Parameters of each paste, from `PastePolicy`.
            zoom: Size in px of the image for one px of its file.

        Returns:
            The changes. A paste without a place leaves none.
        """
        work, grey = image.copy(), grey_of(image)
        labelled, pasted, patches = objects, none_like(objects), list[tuple[int, int, Pixels]]()
        distractors = list[Floats]()
        for draw in draws:
            entry = self.bank[draw.source]
            done = self._paste(work, grey, labelled, distractors, entry.object, draw, zoom)
            if done is None:
                continue
            patch, (x, y), change = done
            patches.append(change)
            added = moved(patch, int(self.bank.sources.classes[draw.source]), x, y)
            pasted, labelled = pasted.joined(added), labelled.joined(added)
            for extra in draw.distractors:
                if not entry.surfaces:
                    break
                surface = entry.surfaces[extra.surface % len(entry.surfaces)]
                done = self._paste(work, grey, labelled, distractors, surface, extra.draw, zoom, like=True)
                if done is not None:
                    patch, (x, y), change = done
                    patches.append(change)
                    distractors.append(patch.box + np.array([x, y, x, y]))
        return Pasted(patches, pasted, np.array(distractors).reshape(-1, 4))

    def _paste(
        self,
        work: Pixels,
        grey: Floats32,
        labelled: ImageObjects,
        distractors: Sequence[Floats],
        found: CutObject,
        draw: PasteDraw,
        zoom: float,
        like: bool = False,
    ) -> tuple[JitteredObject, tuple[int, int], tuple[int, int, Pixels]] | None:
        """Paste one patch into `work` and its `grey`; return it, its corner and the part of the image that changed."""
        closed = labelled.boxes if like else labelled.boxes[np.isin(labelled.classes, self.keep_out)]
        closed = np.concatenate([closed, np.array(distractors).reshape(-1, 4)])
        patch, corner = None, None
        for scale in (draw.scale,) if like else (draw.scale, SCALES[0]):  # the smallest, where that size has no place
            patch = self._jittered(found, draw, scale, zoom)
            if patch is None or patch.pixels.shape[2] != work.shape[2]:
                return None
            search = self.search
            corner = place(grey, patch, draw.centre, labelled.boxes, closed, search=search, like=like and search)
            if corner is not None:
                break
        if patch is None or corner is None:
            return None
        x, y = corner
        there = mirrored(work, x, y, *patch.solid.shape[::-1]).astype(np.float32).reshape(patch.pixels.shape)
        pixels = matched(patch, there, contrast=draw.contrast, seed=draw.noise)
        side = float(np.sqrt(max(patch.solid.sum(), 1)))
        feather = draw.feather * side
        way, pattern = draw.blend, patch.pattern
        if work.dtype != np.uint8 and way in BLENDS["poisson"]:  # OpenCV solves the equation for 8 bits only
            way = FEATHER
        blended = blend(there, pixels, patch.solid, patch.ring, way=way, feather=feather, pattern=pattern)
        most = np.iinfo(work.dtype).max if np.issubdtype(work.dtype, np.integer) else np.inf
        whole = np.rint(blended).clip(0, most).astype(work.dtype)
        height, width = work.shape[:2]
        left, top = max(-x, 0), max(-y, 0)
        change = whole[top : height - y, left : width - x]
        x, y = x + left, y + top
        rows, columns = slice(y, y + change.shape[0]), slice(x, x + change.shape[1])
        work[rows, columns], grey[rows, columns] = change, grey_of(change)
        return patch, corner, (x, y, change)

    def _jittered(self, found: CutObject, draw: PasteDraw, scale: float, zoom: float) -> JitteredObject | None:
        return jittered(
            found,
            scale=scale,
            angle=draw.angle,
            zoom=zoom,
            flip_x=draw.flip_x,
            flip_y=draw.flip_y,
            edges=draw.edges,
            flip_index=self.flip_index,
        )


def none_like(objects: ImageObjects) -> ImageObjects:
    """Return no objects, with outlines and key points where the given ones may have them."""
    return ImageObjects(
        np.zeros(0, np.int64),
        np.zeros((0, 4)),
        None if objects.outlines is None else [],
        None if objects.keypoints is None else objects.keypoints[:0],
    )


def moved(patch: JitteredObject, class_: int, x: int, y: int) -> ImageObjects:
    """Return a patch's object with its corner at x, y of an image."""
    shift = np.array([x, y], np.float64)
    outline, keypoints = patch.outline, patch.keypoints
    return ImageObjects(
        np.array([class_]),
        (bounds(outline + shift) if outline is not None else patch.box + np.tile(shift, 2))[None],
        None if outline is None else [outline + shift],
        None if keypoints is None else np.concatenate([keypoints[:, :2] + shift, keypoints[:, 2:]], 1)[None],
    )
