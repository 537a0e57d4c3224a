"""What recall at a budget is resampled from: by image the objects, and the false boxes that set the threshold."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.errors import DataError
from yolo_balance.files import write_bytes_whole
from yolo_balance.recall.outcomes import Outcomes

FILE = "detections.npz"
NOT_FOUND = np.float32(-1)
BLOCK = 1 << 22  # entries of the largest array at a time


@dataclass(frozen=True)
class Detections:
    """One validation pass: I images, T objects, C classes, F false boxes that count against a budget.

    Images are in the order of their file names, whatever order they were read in.

    Attributes:
        names: (C,) class names.
        budgets: (K,) false boxes per clean image.
        split: SHA-256 of the image files' names: runs may be paired by image where it is the same.
        counted: (I,) whether false boxes are counted on the image: the clean ones; without any, all.
        object_image: (T,) of every object.
        object_class: (T,).
        object_confidence: (T,) of the box that finds it, -1 where none does.
        false_image: (F,) of every such false box.
        false_confidence: (F,) falling. Only the highest are kept, ten times those that the largest budget allows and
            1,000 more; in a resample that wants still more the threshold is the lowest one kept.
    """

    names: npt.NDArray[np.str_]
    budgets: Floats
    split: str
    counted: Bools
    object_image: Ints
    object_class: Ints
    object_confidence: Floats32
    false_image: Ints
    false_confidence: Floats32

    @classmethod
    def of(cls, outcomes: Outcomes, names: Sequence[str], budgets: Sequence[float]) -> Detections:
        """Those of a validation pass.

        Args:
            outcomes: Its boxes and objects.
            names: C class names by class id.
            budgets: False boxes per clean image.
        """
        order = np.array(sorted(range(outcomes.images), key=outcomes.files.__getitem__), np.int64)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        files = "\n".join(Path(outcomes.files[i]).name for i in order)

        by_image = np.argsort(rank[outcomes.object_image], kind="stable")
        confidence = np.full(len(outcomes.object_class), NOT_FOUND)
        confidence[outcomes.found[outcomes.hit]] = outcomes.confidence[outcomes.hit]
        false = np.flatnonzero(outcomes.alarming)
        false = false[np.argsort(-outcomes.confidence[false], kind="stable")]
        false = false[: round(10 * max(budgets) * outcomes.alarm_images) + 1000]
        return cls(
            names=np.array(names, np.str_),
            budgets=np.array(budgets, np.float64),
            split=hashlib.sha256(files.encode("utf-8", "surrogateescape")).hexdigest(),
            counted=(outcomes.clean if outcomes.clean_images else np.ones(outcomes.images, bool))[order],
            object_image=rank[outcomes.object_image][by_image],
            object_class=outcomes.object_class[by_image],
            object_confidence=confidence[by_image],
            false_image=rank[outcomes.image[false]],
            false_confidence=outcomes.confidence[false].astype(np.float32),
        )

    def recall(self, weights: Ints) -> Floats:
        """(B, K, C) recall of each class at each budget, for images counted so many times.

        With r(I) the times an image is counted, a budget b allows floor(b sum of r over images counted) false boxes,
        each counted as its image is. The threshold lies above the first one, from the most confident on, that is too
        many; boxes of equal confidence stand or fall together (`threshold_at` with r = 1). Recall is the sum of r over
        the objects found at it, over that of all objects of the class; NaN where the resample holds none.

        Args:
            weights: (B, I) times each image is counted.
        """
        block = max(BLOCK // max(len(self.object_image), len(self.false_image), 1), 1)
        blocks = [self._recall(weights[start : start + block]) for start in range(0, len(weights), block)]
        return np.concatenate(blocks)

    def _recall(self, weights: Ints) -> Floats:
        of_class = (self.object_class[:, None] == np.arange(len(self.names))).astype(np.float64)
        held = weights[:, self.object_image].astype(np.float64)
        objects = held @ of_class
        hits = np.stack([(held * (self.object_confidence > t[:, None])) @ of_class for t in self._above(weights)], 1)
        with np.errstate(invalid="ignore"):
            recall: Floats = hits / objects[:, None]
        return recall

    def _above(self, weights: Ints) -> npt.NDArray[np.float32]:
        """(K, B) confidence that a box has to exceed: that of the first false box too many, -1/2 without one."""
        false = np.cumsum(weights[:, self.false_image], axis=1)
        images = weights[:, self.counted].sum(axis=1)
        above = np.full((len(self.budgets), len(weights)), NOT_FOUND / 2)
        for k, budget in enumerate(self.budgets):
            allowed = np.floor(budget * images + 1e-9)
            first = (false <= allowed[:, None]).sum(axis=1)  # false boxes before the first too many, as cumsum rises
            more = first < false.shape[1]
            above[k, more] = self.false_confidence[first[more]]
        return above

    def save(self, path: Path) -> None:
        """Write `detections.npz`, whole or not at all."""
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **asdict(self))
        write_bytes_whole(path, content.getvalue())

    @classmethod
    def load(cls, path: Path) -> Detections:
        """Read `detections.npz`; raises DataError in one line that names the file."""
        try:
            with np.load(path, allow_pickle=False) as content:
                found = {field.name: content[field.name] for field in fields(cls)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
            raise DataError(f"{path}: expected the {FILE} of a run, but it cannot be read ({e})") from e
        return cls(**{**found, "split": str(found["split"])})
