"""A small run of the installed Ultralytics, whose objects the contract is compared with: six images, one epoch, no GPU.

Attributes that a constructor sets cannot be read off a class. So a detector is trained, validated and asked for a
prediction, and RT-DETR's parts are built. Nothing is downloaded and nothing stays on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from ultralytics import YOLO
from ultralytics.cfg import get_cfg
from ultralytics.data import ClassificationDataset
from ultralytics.data.augment import Mosaic
from ultralytics.models.utils.loss import RTDETRDetectionLoss
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.nn.modules.head import RTDETRDecoder
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.integration import protocols
from yolo_balance.integration.compat import one_line, quiet
from yolo_balance.integration.contract import problems_of_object
from yolo_balance.integration.hook_watch import HookWatch
from yolo_balance.integration.hooks.criterion import balance_criterion, heads
from yolo_balance.integration.hooks.dataset import mix_transforms
from yolo_balance.losses.assignment import Term

SIZE, IMAGES = 32, 6
Examples = Iterator[tuple[type, object]]


def problems() -> list[str]:
    """Return one line for each attribute that the objects of the small run lack, and for each part that fails."""
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, quiet():
        for build in (trained, predicted, image_folder, detr):
            try:
                for protocol, example in build(Path(folder)):
                    lines += problems_of_object(protocol, example)
            except Exception as e:  # whatever another release raises
                lines.append(f"{build.__name__}: {build.__doc__} failed with {type(e).__name__}: {one_line(e)}")
    return list(dict.fromkeys(lines))


def trained(folder: Path) -> Examples:
    """Train and validate a detector for one epoch."""
    trainer = SmallTrainer(folder)
    trainer.train()
    dataset, validator = trainer.train_loader.dataset, trainer.validator
    yield protocols.Trainer, trainer
    yield protocols.Arguments, trainer.args
    yield protocols.Average, trainer.ema
    yield protocols.Network, trainer.model
    yield protocols.DenseHead, trainer.model.model[-1]
    yield protocols.Loader, trainer.train_loader
    yield protocols.Dataset, dataset
    yield protocols.Batch, trainer.batch
    yield protocols.Transforms, dataset.transforms
    yield protocols.ImageLabels, dataset.labels[0]
    yield protocols.ImageSample, dataset.get_image_and_label(0)
    for mix in mix_transforms(dataset.build_transforms(hyp=get_cfg())):
        yield protocols.MosaicTransform if isinstance(mix, Mosaic) else protocols.MixTransform, mix
    yield protocols.Validator, validator
    yield protocols.Metrics, validator.metrics
    yield protocols.Precision, validator.metrics.box
    yield protocols.Predicted, trainer.compared[0]
    yield protocols.Labelled, trainer.compared[1]
    criterion = unwrap_model(trainer.model).init_criterion()
    yield protocols.EndToEndCriterion, criterion
    for head in heads(criterion).values():
        yield protocols.Criterion, head
        yield protocols.Gains, head.hyp
    balance_criterion(criterion, lambda head: [Term()])
    watch = HookWatch(criterion)
    watch.batch(trainer.batch, trainer.train_loader)
    criterion(trainer.model.train()(trainer.batch["img"]), trainer.batch)
    watch.step()


def predicted(folder: Path) -> Examples:
    """Predict on an image."""
    model = YOLO("yolov10n.yaml")
    arguments = {"imgsz": SIZE, "device": "cpu", "verbose": False, "project": str(folder), "conf": 0.0, "save": False}
    (result,) = model.predict(_image(), **arguments)
    yield protocols.Predictor, model.predictor
    yield protocols.Source, model.predictor.dataset
    yield protocols.Backend, model.predictor.model
    yield protocols.Prediction, result
    yield protocols.PredictedBoxes, result.boxes
    yield protocols.YOLOModel, model


def image_folder(folder: Path) -> Examples:
    """Read a folder of class folders."""
    for name in ("good", "bad"):
        (folder / "classes" / name).mkdir(parents=True)
        cv2.imwrite(str(folder / "classes" / name / "0.png"), _image())
    dataset = ClassificationDataset(str(folder / "classes"), get_cfg(overrides={"imgsz": SIZE}))
    yield protocols.ImageFolder, dataset
    yield protocols.FolderTree, dataset.base


def detr(folder: Path) -> Examples:
    """Compute RT-DETR's loss."""
    classes, queries = 3, 5
    yield protocols.DecoderHead, RTDETRDecoder(classes, (8, 8, 8), hd=8, nq=queries, ndl=1, d_ffn=8, nd=1)
    criterion = RTDETRDetectionLoss(nc=classes, use_vfl=True)
    yield protocols.DETRCriterion, criterion
    yield protocols.Varifocal, criterion.vfl
    balance_criterion(criterion, lambda head: [Term()])
    watch = HookWatch(criterion)
    batch = {"cls": torch.zeros(1, dtype=torch.long), "bboxes": torch.full((1, 4), 0.5), "gt_groups": [1, 0]}
    criterion((torch.rand(1, 2, queries, 4), torch.rand(1, 2, queries, classes)), batch)
    watch.step()


class SmallTrainer(DetectionTrainer):
    """Ultralytics' trainer on generated images; keeps a batch, and the first image that validation compares.

    Attributes:
        batch: The last batch, as the loader gave it.
        compared: The arguments of `_process_batch`.
    """

    batch: protocols.Batch
    compared: tuple[protocols.Predicted, protocols.Labelled]

    def __init__(self, folder: Path):
        for i in range(IMAGES):
            for kind in ("images", "labels"):
                (folder / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / "images" / f"{i}.png"), _image())
            (folder / "labels" / f"{i}.txt").write_text(f"{i % 2} 0.5 0.5 0.6 0.6\n")
        images = str(folder / "images")
        self.found = {"train": images, "val": images, "names": {0: "good", 1: "bad"}, "nc": 2, "channels": 3}
        arguments = {"model": "yolov10n.yaml", "data": images, "epochs": 1, "imgsz": SIZE, "batch": 2, "workers": 0}
        fast = {"plots": False, "amp": False, "device": "cpu", "verbose": False, "close_mosaic": 0}
        super().__init__(overrides={**arguments, **fast, "project": str(folder), "name": "run"})

    def get_dataset(self) -> dict[str, object]:
        """Return the generated images; reading a file would look for a font too."""
        return self.found

    def final_eval(self) -> None:
        """Skip the validation of best.pt, which would read a file."""

    def run_callbacks(self, event: str) -> None:
        """Call nothing: a user's loggers have no part here."""

    def preprocess_batch(self, batch: protocols.Batch) -> protocols.Batch:
        """Keep the batch."""
        self.batch = super().preprocess_batch({**batch})
        return self.batch

    def get_validator(self) -> protocols.Validator:
        """Return Ultralytics' validator; it keeps what it compares."""
        validator: protocols.Validator = super().get_validator()
        stock = validator._process_batch

        def keep(preds: protocols.Predicted, batch: protocols.Labelled) -> dict[str, object]:
            self.compared = preds, batch
            return stock(preds, batch)

        vars(validator)["_process_batch"] = keep
        return validator


def _image() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8)
