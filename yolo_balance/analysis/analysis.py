"""The analysis of a data set: a frozen result that prints as tables and converts to JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yolo_balance.analysis.blind import Blind
from yolo_balance.analysis.duplicates import Copy, Duplicates, find_duplicates
from yolo_balance.analysis.findings import Finding, find
from yolo_balance.analysis.split import Labels, SplitFigures
from yolo_balance.analysis.val_needs import Need
from yolo_balance.files import write_whole
from yolo_balance.recall.evidence.needs import boxes_for_half_width, boxes_for_verdict, boxes_to_show
from yolo_balance.results import Result, file_in
from yolo_balance.sampling import ClassPlan, SamplingSchedule, class_plans
from yolo_balance.text import counted, listed, plain

SCHEMA = 1


@dataclass(frozen=True)
class DataAnalysis(Result):
    """Cost of imbalance before any training.

    Attributes:
        data: Name of the data set, as the user gave it.
        task: Task that the labels were read for.
        imgsz: Image size of the run, at which box sizes are judged.
        splits: Figures by split: train, then val and test where the data has them.
        needs: Recall that the objects in val can show, by class.
        blind: Scores of a model that never reports a class, by class present in train or val.
        duplicates: Identical image files.
        findings: Findings, most important first.
        plan: Plan of the run's `balance.sampling`, by class; None without sampling.
        explained: With the run's `balance: auto`, a line per key of `balance.sampling` with its rule.
    """

    data: str
    task: str
    imgsz: int
    splits: Mapping[str, SplitFigures]
    needs: Mapping[str, Need]
    blind: Mapping[str, Blind]
    duplicates: Duplicates
    findings: tuple[Finding, ...]
    plan: Mapping[str, ClassPlan] | None = None
    explained: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        labels: Sequence[Labels],
        names: Sequence[str],
        *,
        data: str,
        task: str = "detect",
        imgsz: int = 640,
        schedule: SamplingSchedule | None = None,
        explained: tuple[str, ...] = (),
    ) -> DataAnalysis:
        """Analyse labels.

        Args:
            labels: The splits, train first.
            names: C distinct class names by class id.
            data: Name of the data set, as the user gave it.
            task: The task; `classify` has one class per image and no boxes.
            imgsz: Image size of the run.
            schedule: The run's sampling, None without.
            explained: With the run's `balance: auto`, a line per key of `balance.sampling` with its rule.
        """
        splits = {part.split: SplitFigures.of(part, names, imgsz) for part in labels}
        val = splits.get("val")
        needs = {name: Need.of(val.classes[name].boxes if val else 0) for name in names}
        duplicates = duplicates_of(labels, names)
        blind = {}
        for name in names:
            for split in ("val", "train"):
                if split in splits and splits[split].classes[name].boxes:
                    blind[name] = Blind.to(name, split, splits[split])
                    break
        findings = find(splits, needs, duplicates, task=task, imgsz=imgsz)
        plan = None if schedule is None else class_plans(labels[0].statistics, names, schedule)
        return cls(data, task, imgsz, splits, needs, blind, duplicates, findings, plan, explained)

    @property
    def rare(self) -> list[str]:
        """Classes in fewer train images than the median class, rarest first; repeat factors repeat these."""
        images = {name: c.images for name, c in self.splits["train"].classes.items() if c.images}
        if not images:
            return []
        middle = float(np.median(list(images.values())))
        return sorted((name for name, count in images.items() if count < middle), key=lambda name: images[name])

    def to_dict(self) -> dict[str, object]:
        """Build the content of `analysis.json`."""
        content = dataclasses.asdict(self)
        for split, figures in content["splits"].items():
            figures["background_share"] = round(self.splits[split].background_share, 6)
        content["for_recall_0.9"] = {
            "boxes_to_show_it": boxes_to_show(),
            "boxes_for_a_half_width_of_0.1": boxes_for_half_width(),
            "boxes_for_the_verdict_met": boxes_for_verdict(),
        }
        return {"schema": SCHEMA, **content}

    def to_json(self) -> str:
        """Build the text of `analysis.json`."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def save(self, path: str | Path) -> None:
        """Write `analysis.json`, a path that ends so or in a folder, whole or not at all."""
        write_whole(file_in(path, "analysis.json"), self.to_json())

    def columns(self) -> dict[str, list[object]]:
        """Return the table of splits and classes."""
        rows = [(split, *item) for split, figures in self.splits.items() for item in figures.classes.items()]
        return {
            "split": [split for split, _, _ in rows],
            "class": [name for _, name, _ in rows],
            "boxes": [counts.boxes for _, _, counts in rows],
            "images": [counts.images for _, _, counts in rows],
        }

    def __repr__(self) -> str:
        """Return one line: the data, the images of each split, and the number of findings."""
        splits = listed([f"{split} {counted(figures.images, 'image')}" for split, figures in self.splits.items()])
        of = f"{counted(len(self.needs), 'class', 'classes')}, {counted(len(self.findings), 'finding')}"
        return f"DataAnalysis({plain(self.data)}: {splits}; {of})"


def duplicates_of(labels: Sequence[Labels], names: Sequence[str]) -> Duplicates:
    """Find identical image files over all splits together."""
    files = [(part, i) for part in labels for i in range(len(part.files))]
    groups = find_duplicates([part.files[i] for part, i in files])
    classes = {part.split: _classes_by_image(part) for part in labels} if groups else {}

    def copy(part: Labels, image: int) -> Copy:
        return Copy(part.split, str(part.files[image]), tuple(names[c] for c in classes[part.split][image]))

    return Duplicates.of([part.split for part in labels], [[copy(*files[i]) for i in group] for group in groups])


def _classes_by_image(part: Labels) -> list[list[int]]:
    """List per image its classes in order, each once."""
    statistics = part.statistics
    images, classes, _ = statistics.pairs
    starts = np.searchsorted(images, np.arange(1, statistics.num_images))
    return [row.tolist() for row in np.split(classes, starts)]
