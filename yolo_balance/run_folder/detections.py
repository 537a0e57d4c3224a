"""`detections.npz`: objects and false boxes by image, from which `compare` resamples recall at a budget."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.bounded_arrays import Form, read_arrays
from yolo_balance.errors import DataError
from yolo_balance.files import write_bytes_whole
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.run_folder.names import DETECTIONS
from yolo_balance.text import plain

NOT_FOUND = np.float32(-1)
FORMS = {
    "names": Form("U", "C"),
    "budgets": Form("float64", "K", low=0),
    "split": Form("U"),
    "counted": Form("bool", "I"),
    "object_image": Form("int64", "T", low=0, high="I"),
    "object_class": Form("int64", "T", low=0, high="C"),
    "object_confidence": Form("float32", "T", low=-1, high=1),
    "false_image": Form("int64", "F", low=0, high="I"),
    "false_confidence": Form("float32", "F", low=0, high=1),
}
"""Arrays of the file. I images, T objects, C classes, K budgets, F false boxes."""


@dataclass(frozen=True)
class Detections:
    """One validation pass: I images, T objects, C classes, F false boxes that count against a budget.

    Images are in the order of their file names, whatever order they were read in.

    Attributes:
        names: (C,) class names.
        budgets: (K,) false boxes per clean image.
        split: SHA-256 of the image files' names: runs may be paired by image where it is the same.
        counted: (I,) whether false boxes are counted on the image: the clean ones; without any, all.
        object_image: (T,) image of every object.
        object_class: (T,) class of every object.
        object_confidence: (T,) confidence of the box that finds the object, -1 where none does.
        false_image: (F,) image of every such false box.
        false_confidence: (F,) its confidence, falling. Only the highest are kept, ten times those that the largest
            budget allows and 1,000 more. In a resample that needs still more the threshold is the lowest one kept.
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
        """Build from the outcomes of a validation pass.

        Args:
            outcomes: Boxes and objects of the pass.
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

    def save(self, folder: Path) -> None:
        """Write `detections.npz`, whole or not at all."""
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **asdict(self))
        write_bytes_whole(folder / DETECTIONS, content.getvalue())

    @classmethod
    def load(cls, folder: Path) -> Detections:
        """Read `detections.npz`. Raises DataError in one line that names the file, and the array if it is one."""
        path = folder / DETECTIONS
        arrays = read_arrays(path, FORMS, f"the {DETECTIONS} of a run")
        text: dict[str, Any] = {"split": str(arrays["split"])}
        found = cls(**arrays | text)
        if fault := found._contradiction():
            raise DataError(f"{plain(str(path))}: {fault}")
        return found

    def _contradiction(self) -> str:
        """Describe what no validation pass leaves; empty where nothing contradicts."""
        clean = np.ones(len(self.counted), bool)
        clean[self.object_image] = False
        holds = {
            "names: expected different names": 0 < len(set(self.names.tolist())) == len(self.names),
            "budgets: expected at least one": len(self.budgets) > 0,
            "counted: expected the images without objects": (self.counted == (clean if clean.any() else True)).all(),
            "object_confidence: expected -1 or a confidence": (
                (self.object_confidence >= 0) | (self.object_confidence == NOT_FOUND)
            ).all(),
            "false_image: expected images that are counted": self.counted[self.false_image].all(),
            "false_confidence: expected falling numbers": (np.diff(self.false_confidence) <= 0).all(),
        }
        return next((fault for fault, true in holds.items() if not true), "")
