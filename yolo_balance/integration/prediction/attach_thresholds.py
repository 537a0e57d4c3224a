"""`attach_thresholds`: three callbacks that make an Ultralytics model predict at the thresholds of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch.nn.functional import pad
from ultralytics.engine.results import Results
from ultralytics.models.yolo.detect import DetectionPredictor
from ultralytics.utils import LOGGER

from yolo_balance.arrays import Floats
from yolo_balance.errors import ConfigError, HostError
from yolo_balance.integration.data import BOX_TASKS, class_names
from yolo_balance.integration.prediction import conditions, padding
from yolo_balance.integration.protocols import Handle, Images, Prediction, Predictor, YOLOModel
from yolo_balance.recall.decisions.thresholds import Thresholds, Zone
from yolo_balance.run_folder.names import THRESHOLDS
from yolo_balance.text import listed, plain

if TYPE_CHECKING:
    Stock = Prediction
else:
    Stock = Results

Model = TypeVar("Model", bound=YOLOModel)

DEFAULT_CONF = {"predict": 0.25, "track": 0.1}
"""Confidence that Ultralytics predicts at when none is given, by mode."""


class ZonedResults(Stock):
    """Ultralytics' `Results` with the zone of the image, `pass`, `review` or `reject`.

    Ultralytics makes copies and selections by `new()`, which drops attributes set on a plain `Results`.
    """

    zone: Zone

    def new(self) -> Prediction:
        """Return Ultralytics' empty copy, of the same zone."""
        return zoned(super().new(), self.zone)


def zoned(result: Prediction, zone: Zone) -> Prediction:
    """Give a result its zone."""
    if type(result) is Results:  # a predictor's own kind of results keeps its kind, and the zone as an attribute
        result.__class__ = ZonedResults
    vars(result)["zone"] = zone
    return result


def attach_thresholds(model: Model, thresholds: Thresholds | str | Path) -> Model:
    """Make every later `model.predict(...)`, `model(...)` and `model.track(...)` keep to thresholds.

    Each image keeps the boxes at or above the review threshold of their class. `result.zone` of each `Results` is
    `pass`, `review` or `reject`. The thresholds decide: `conf` becomes just below the smallest of them.

    Images are scaled and padded, and boxes listed, as in Ultralytics' validation, by which thresholds are measured: a
    place is listed once per class that passes its threshold. Tracking keeps to one class per place, the highest scoring
    of those that pass, and sees the boxes below the thresholds too, which it needs to follow an object.

    Thresholds belong to the weights that they were measured on, which their SHA-256 tells; where a model or a file
    cannot be compared, a warning says so. `iou`, `max_det`, `agnostic_nms`, `rect` and `augment` become those of the
    measurement unless others are given; a warning names each condition that differs, `imgsz` and the head among them.
    An image is padded as if it were alone, whatever images are given with it.

    A model exported with `nms=True` leaves out second classes and boxes below its own `conf`. Ultralytics' segmentation
    without `retina_masks=True` drops a box whose mask is empty, which that of a very small object may be.

    Args:
        model: An `ultralytics.YOLO` that reports boxes, made from weights or from an exported file.
        thresholds: The `thresholds.yaml` of its weights, or the Thresholds loaded from it.

    Returns:
        The same model.

    Raises:
        ConfigError: With every problem of the file; its classes are not the model's; or it was measured on other
            weights, which an export or a model that is trained later shows only when it predicts.
        HostError: The model's task is another one.

    Example:
        model = attach_thresholds(YOLO("run/weights/best.pt"), "run/thresholds.yaml")
        for result in model.predict("parts/", stream=True):
            print(result.path, result.zone)
    """
    name = THRESHOLDS if isinstance(thresholds, Thresholds) else str(thresholds)
    loaded = thresholds if isinstance(thresholds, Thresholds) else Thresholds.load(thresholds)
    if model.task not in BOX_TASKS:
        raise HostError(f"attach_thresholds: expected a model of task {', '.join(BOX_TASKS)}, got one of {model.task}")
    keeper = _Keeper(model, loaded, name)
    keeper.check_weights()
    keeper.check(model.names)
    hooks = {
        "on_predict_start": keeper.start,
        "on_predict_batch_start": keeper.listen,
        "on_predict_postprocess_end": keeper.keep,
    }
    for event, hook in hooks.items():
        registered = model.callbacks[event]
        others = [other for other in registered if not isinstance(getattr(other, "__self__", None), _Keeper)]
        registered[:] = others  # attached again: the last one counts
        model.add_callback(event, hook)
    return model


class _Keeper:
    """Keeps a model's predictions to thresholds."""

    def __init__(self, model: YOLOModel, thresholds: Thresholds, name: str):
        self.model, self.thresholds, self.name = model, thresholds, name
        self.file: str | None = None
        self._checked: tuple[str | None, object] | None = None
        self._loaded = False
        self.classes: list[str] = []
        self.review: Floats = np.zeros(0)
        self._handles: list[Handle] = []
        self._warned: set[str] = set()

    def check_weights(self) -> None:
        """Compare the model's file with that of the thresholds, once for each model; raises ConfigError."""
        self.file = conditions.weights_file(self.model)
        current = self.file, self.model.model  # a file that is written anew does not change the model at hand
        if current == self._checked:
            return
        if line := conditions.check_weights(self.thresholds, self.name, self.file):
            self._warn(line)
        self._checked, self._loaded = current, False

    def check(self, names: Mapping[int, str]) -> list[str]:
        """Return class names by id; raise ConfigError where those of the file are others."""
        classes, known = class_names(names), self.thresholds.review
        differences = {
            "expected a threshold for each class of the model, got none for": [c for c in classes if c not in known],
            "expected classes of the model, it has no class": [c for c in known if c not in classes],
        }
        problems = [
            f"{plain(self.name)}: classes: {text} {listed([plain(name) for name in them])}"
            for text, them in differences.items()
            if them
        ]
        if problems:
            raise ConfigError(problems)
        return classes

    def start(self, predictor: Predictor) -> None:
        """Leave to the thresholds every box that Ultralytics would cut first; called before the first image."""
        self.check_weights()  # trained since, maybe
        if not self._loaded and (
            line := conditions.check_export(self.thresholds, self.name, self.file, predictor.model)
        ):
            self._warn(line)
        self._loaded = True
        self.classes = self.check(predictor.model.names)
        self.review = np.array([self.thresholds.review[name] for name in self.classes])
        smallest, asked, mode = float(self.review.min()), predictor.args.conf, predictor.args.mode
        default = DEFAULT_CONF.get(mode, 0.0)
        if asked is not None and asked != default and asked > smallest:
            self._warn(
                f"conf: {asked:g} is above the smallest threshold of {self.name}, {smallest:g}; thresholds decide"
            )
        for line in conditions.differences(self.thresholds, self.name, predictor):
            self._warn(line)
        if predictor.args.rect and conditions.free_shape(predictor.model):
            padding.one_shape(predictor.dataset)
        exported = (getattr(predictor.model, "metadata", None) or {}).get("args") or {}
        if exported.get("nms"):
            self._warn(
                f"{predictor.args.model}: expected an export without nms=True, which drops boxes below its own conf "
                f"(0.25 if none was given) before thresholds can; the smallest is {smallest:g}"
            )
        # Ultralytics keeps boxes above conf, in the model's precision: a hundredth lower loses none at a threshold
        predictor.args.conf = 0.99 * smallest
        if mode == "track":  # Ultralytics registered its tracker after us; it has to run first and see more boxes
            predictor.args.conf = min(predictor.args.conf, default)
            hooks = predictor.callbacks["on_predict_postprocess_end"]
            hooks.remove(self.keep)
            hooks.append(self.keep)

    def listen(self, predictor: Predictor) -> None:
        """Scale and pad the images of a batch as in validation, and adapt the output; called before the batch."""
        self._stop(predictor)
        if not isinstance(predictor, DetectionPredictor) or predictor.args.embed:
            return
        model, task, end2end = predictor.model, predictor.args.task, predictor.model.end2end
        several, classes = predictor.args.mode != "track", len(self.classes)
        shapes = {image.shape[:2] for image in predictor.batch[1]} if _padded_least(predictor) else set()
        if len(shapes) > 1:
            self._warn(
                f"source: streams of several shapes are padded to squares, as {self.name} was not measured; predict on "
                "each by itself"
            )
        shape = shapes.pop() if len(shapes) == 1 else None
        margins = (0, 0)

        def loaded(images: Images) -> Images:
            images = [padding.as_loaded(image, predictor.imgsz[0]) for image in images]
            padded: Images = type(predictor).pre_transform(predictor, images)
            return padded

        def widened(module: object, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            nonlocal margins
            if shape is not None:
                height, width = inputs[0].shape[2:]
                margins = padding.margin(shape, (height, width), predictor.imgsz[0], int(model.stride))
            return (padding.widen(inputs[0], margins), *inputs[1:])

        def adapted(module: object, inputs: tuple[torch.Tensor, ...], output: object) -> object:
            if any(margins):
                keypoints = getattr(model, "kpt_shape", None)
                moved = partial(padding.moved, margins=margins, task=task, classes=classes, keypoints=keypoints)
                output = _first(output, partial(moved, end2end=end2end))
                if task == "segment":
                    output = padding.cropped(output, margins, inputs[0].shape[2])
            if end2end:
                return output
            return _first(output, lambda prediction: passing(prediction, self.review, several=several))

        if len(set(predictor.imgsz)) == 1:
            vars(predictor)["pre_transform"] = loaded
        self._handles = [model.register_forward_pre_hook(widened), model.register_forward_hook(adapted)]

    def keep(self, predictor: Predictor) -> None:
        """Drop the boxes below their thresholds and give each image its zone; called after a batch."""
        self._stop(predictor)
        for i, result in enumerate(predictor.results):
            boxes = result.obb if result.obb is not None else result.boxes
            confidence = boxes.conf.cpu().numpy().astype(np.float64)
            predicted = boxes.cls.cpu().numpy().astype(np.int64)
            zone = self.thresholds.zone([self.classes[c] for c in predicted], confidence)
            kept = torch.from_numpy(confidence >= self.review[predicted])
            predictor.results[i] = zoned(result if kept.all() else result[kept], zone)

    def _stop(self, predictor: Predictor) -> None:
        vars(predictor).pop("pre_transform", None)
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _warn(self, text: str) -> None:
        """Warn once of each thing, as a camera's frames are a call each."""
        if text not in self._warned:
            self._warned.add(text)
            LOGGER.warning(plain(text))


def _padded_least(predictor: Predictor) -> bool:
    """Whether Ultralytics pads a batch of one shape to the next stride only; its validation pads up to one more."""
    square = len(set(predictor.imgsz)) == 1
    return bool(square and conditions.free_shape(predictor.model) and predictor.args.rect)


def passing(prediction: torch.Tensor, thresholds: Floats, *, several: bool) -> torch.Tensor:
    """Return a model's output with only those class scores that pass their thresholds.

    Ultralytics names a place by its highest score. Where that score is of a class with a high threshold, one of a class
    with a low threshold would be lost behind it.

    Args:
        prediction: (B, 4 + C + E, N) box, C class scores and E further numbers of the task, of N places.
        thresholds: (C,) lowest score that passes, float64.
        several: List a place once per class that passes, each with that one score. If false, the N places stay, and a
            place where no class passes stays as it is.

    Returns:
        (B, 4 + C + E, M); images with fewer places than others are filled up with zeros.
    """
    count = len(thresholds)
    scores = prediction[:, 4 : 4 + count]
    # the smallest float32 at or above each threshold: float32 scores compare with it as they would in float64
    near = thresholds.astype(np.float32)
    near = np.where(near < thresholds, np.nextafter(near, np.float32(np.inf)), near)
    least = torch.from_numpy(near).to(prediction.device)
    passes = scores.float() >= least[:, None]
    if not several:
        scores = torch.where(passes | ~passes.any(1, keepdim=True), scores, 0)
        return torch.cat((prediction[:, :4], scores, prediction[:, 4 + count :]), 1)
    images = []
    for image, ok in zip(prediction, passes, strict=True):
        place, label = ok.T.nonzero(as_tuple=True)
        candidates = image[:, place]
        own = torch.zeros_like(candidates[4 : 4 + count])
        column = torch.arange(len(place), device=place.device)
        own[label, column] = candidates[4 + label, column]
        images.append(torch.cat((candidates[:4], own, candidates[4 + count :])))
    width = max(7, *(image.shape[1] for image in images))  # Ultralytics takes six columns for end-to-end boxes
    return torch.stack([pad(image, (0, width - image.shape[1])) for image in images])


def _first(output: object, change: Callable[[torch.Tensor], torch.Tensor]) -> object:
    """Change the first tensor of a model's output, which is tuples and lists of any depth."""
    if isinstance(output, torch.Tensor):
        return change(output)
    if not isinstance(output, (tuple, list)):
        raise HostError(f"attach_thresholds: expected a model's output to begin with a tensor, got {type(output)}")
    return type(output)((_first(output[0], change), *output[1:]))
