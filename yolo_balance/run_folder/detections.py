"""`detections.npz`: objects and false boxes by image, from which `compare` resamples recall at a budget."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.errors import DataError
from yolo_balance.files import write_bytes_whole
from yolo_balance.recall.evidence.units import unit_ids
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.run_folder.names import DETECTIONS

NOT_FOUND = np.float32(-1)


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
        unit: (I,) unit of every image, as `unit_ids` counts; a file without units takes each image as one.
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
    unit: Ints

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
            unit=unit_ids(outcomes.unit[order].tolist()),
        )

    def save(self, folder: Path) -> None:
        """Write `detections.npz`, whole or not at all."""
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **asdict(self))
        write_bytes_whole(folder / DETECTIONS, content.getvalue())

    @classmethod
    def load(cls, folder: Path) -> Detections:
        """Read `detections.npz`. Raises DataError in one line that names the file."""
        path = folder / DETECTIONS
        try:
            with path.open("rb") as f, np.load(f, allow_pickle=False) as content:  # else a damaged file stays open
                arrays = [field.name for field in fields(cls) if field.name != "unit"]
                found: dict[str, Any] = {name: content[name] for name in arrays}
                found["unit"] = content["unit"] if "unit" in content else np.arange(len(found["counted"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
            raise DataError(f"{path}: expected the {DETECTIONS} of a run, but it cannot be read ({e})") from e
        return cls(**{**found, "split": str(found["split"])})
