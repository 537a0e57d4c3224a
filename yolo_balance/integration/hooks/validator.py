"""Ultralytics' validator, which also reads recall per class at each false-alarm budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from ultralytics.utils import LOGGER

from yolo_balance.config import RecallConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.compat import mix_in, ranks
from yolo_balance.integration.data import class_names, has_objects
from yolo_balance.integration.hooks.val_loader import pad_alone
from yolo_balance.integration.protocols import Labelled, Loader, Predicted, Validator
from yolo_balance.integration.split_images import SplitImages, train_images
from yolo_balance.recall import ImageOutcome, Outcomes, RecallReport
from yolo_balance.text import distinct
from yolo_balance.views.recall.report_console import render_report

if TYPE_CHECKING:
    Stock = Validator
else:
    Stock = object


class RecallValidatorMixin(Stock):
    """Adds a recall report to every validation; Ultralytics' own metrics stay as they are.

    With Ultralytics' `classes`, boxes of other classes are left out, and so are images whose objects are all of other
    classes: such an image is not clean. `single_cls` makes all boxes one class and leaves only the images out.

    Overlap is what the task itself matches by: IoU of boxes or of masks, similarity of key points (OKS), ProbIoU of
    oriented boxes. Ultralytics computes it once and we read it there.

    Attributes:
        recall: Options of the report.
        outcomes: The last validation's boxes and objects; None before the first, and on ranks that gather nothing.
        recall_report: The report of the outcomes; None where they are.
    """

    recall: RecallConfig
    outcomes: Outcomes | None = None
    recall_report: RecallReport | None = None
    _images: list[ImageOutcome]
    _overlap: torch.Tensor | None = None
    _split: SplitImages | None = None

    def __call__(self, trainer: object = None, model: object = None, **kwargs: object) -> object:
        """Validate as Ultralytics does. A finished model sees each image padded as its prediction pads it."""
        if trainer is None and self.dataloader is not None:
            pad_alone(self.dataloader)
        return super().__call__(trainer, model, **kwargs)

    def get_dataloader(self, dataset_path: str, batch_size: int) -> Loader:
        """Return Ultralytics' loader, each image padded as its prediction pads it."""
        loader = super().get_dataloader(dataset_path, batch_size)
        pad_alone(loader)
        return loader

    def init_metrics(self, model: torch.nn.Module) -> None:
        """Prepare a validation; ours starts empty."""
        super().init_metrics(model)
        self._images = []
        self.outcomes = self.recall_report = None

    def match_predictions(
        self, pred_classes: torch.Tensor, true_classes: torch.Tensor, iou: torch.Tensor, *args: bool, **kwargs: bool
    ) -> torch.Tensor:
        """Match as Ultralytics does and note the overlap; that of masks and key points comes after that of boxes."""
        self._overlap = iou
        return super().match_predictions(pred_classes, true_classes, iou, *args, **kwargs)

    def _process_batch(self, preds: Predicted, batch: Labelled) -> dict[str, object]:
        self._overlap = None
        answer = super()._process_batch(preds, batch)
        if self.args.classes is None or len(batch["cls"]) or not has_objects(str(batch["im_file"])):
            self._images.append(self._outcome(preds, batch))
        return answer

    def _outcome(self, preds: Predicted, batch: Labelled) -> ImageOutcome:
        predicted = preds["cls"].cpu().numpy()
        chosen = np.ones(len(predicted), bool)
        if self.args.classes is not None and not self.args.single_cls:
            chosen = np.isin(predicted, self.args.classes)
        objects, boxes = len(batch["cls"]), len(predicted)
        if self._overlap is None and objects and boxes:
            raise HostError(
                f"validator: expected {type(self).__name__} to match boxes by match_predictions, as Ultralytics' do"
            )
        ratio, pad = batch["ratio_pad"]
        if not isinstance(ratio, (tuple, list)):  # an image that was stretched, as for RT-DETR on early releases
            ratio, pad = (ratio, pad), (0, 0)
        height, width = batch["ori_shape"][:2]

        together = torch.cat((batch["bboxes"], preds["bboxes"])).float().cpu().numpy()
        scaled = (_corners(together) - np.array([*pad, *pad])) / np.array([ratio[1], ratio[0]] * 2)
        in_file = np.clip(scaled, 0, np.array([width, height] * 2), dtype=np.float32)
        return ImageOutcome.of(
            (np.zeros((objects, boxes)) if self._overlap is None else self._overlap.cpu().numpy())[:, chosen],
            batch["cls"].cpu().numpy(),
            predicted[chosen],
            preds["conf"].cpu().numpy()[chosen],
            threshold=self.recall.iou,
            object_box=in_file[:objects],
            box=in_file[objects:][chosen],
            file=str(batch["im_file"]),
        )

    def gather_stats(self) -> None:
        """Gather the images of all ranks, Ultralytics' figures of them and ours."""
        super().gather_stats()
        rank, world_size = ranks()
        parts = [self._images]
        if world_size > 1:
            parts = [[] for _ in range(world_size)]
            dist.gather_object(self._images, parts if rank == 0 else None, dst=0)
        if rank == 0:
            images = self.split_images().distinct(image for part in parts for image in part)
            self.outcomes = Outcomes.pool(images, len(self.names))
        self._images = []

    def split_images(self, train: Sequence[str] | None = None) -> SplitImages:
        """Return what the split holds, which is read once: the same in every epoch.

        Args:
            train: Images of train, used by the first call; those of the data YAML when left out.
        """
        if self._split is None:
            dataset = self.dataloader.dataset
            if train is None:
                train = train_images(dataset, self.data.get("train"))
            self._split = SplitImages.of(dataset, train, self.args.classes)
        return self._split

    def get_stats(self) -> dict[str, object]:
        """Return Ultralytics' metrics and one `recall/...` entry per class and budget, for results.csv and loggers."""
        assert self.outcomes is not None  # gathered just before, on the rank that reads
        report = RecallReport.of(
            self.outcomes,
            class_names(self.names),
            false_alarms=self.recall.false_alarms,
            split=self.args.split or "val",
            iou=self.recall.iou,
            confidence=self.recall.level,
            targets=self.recall.targets,
            floor=self.args.conf,
        )
        self.recall_report = replace(report, **asdict(self.split_images().counts))
        return {**super().get_stats(), **recall_columns(report)}

    def print_results(self) -> None:
        """Print Ultralytics' lines and our table."""
        super().print_results()
        assert self.recall_report is not None  # read just before, in get_stats
        LOGGER.info(f"\n{render_report(self.recall_report)}\n")


def _corners(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return (n, 4) corners x1, y1, x2, y2: as given, or enclosing (n, 5) oriented boxes x, y, w, h, angle."""
    if boxes.shape[-1] == 4:
        return boxes
    x, y, w, h, angle = boxes.T
    cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    half_w, half_h = (w * cos + h * sin) / 2, (w * sin + h * cos) / 2
    return np.stack([x - half_w, y - half_h, x + half_w, y + half_h], axis=1)


def balance_validator(validator: Validator, recall: RecallConfig) -> RecallValidatorMixin:
    """Make a validator report recall, in place."""
    balanced = mix_in(validator, RecallValidatorMixin)
    balanced.recall = recall
    return balanced


def recall_columns(report: RecallReport) -> dict[str, float]:
    """Return metrics by column name, `recall/crack_fa0.1`; a class without objects has none.

    A name keeps the characters that a CSV header and every logger accept; the class's id tells equal ones apart.
    """
    columns = distinct([re.sub(r"[^\w\-. ]", "_", name) for name in report.budgets[0].classes], "_{}")
    return {
        f"recall/{column}_fa{budget.false_alarms:g}": c.recall
        for budget in report.budgets
        for column, c in zip(columns, budget.classes.values(), strict=True)
        if c.recall is not None
    }
