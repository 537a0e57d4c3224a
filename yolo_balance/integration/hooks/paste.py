"""Pastes on Ultralytics' samples: its labels as objects in px, pasted on as the image is loaded, and back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from ultralytics.utils.instance import Instances
from ultralytics.utils.ops import resample_segments

from yolo_balance.arrays import Bools, Floats, Floats32
from yolo_balance.integration.protocols import Dataset, ImageSample
from yolo_balance.sampling import SamplingPlan
from yolo_balance.synthesis import ImageObjects, PastePolicy, Paster
from yolo_balance.synthesis.bank import Scene
from yolo_balance.synthesis.pasting import Pasted

KEPT = 512
"""Pasted images whose changes stay in memory: a Mosaic asks for the same image again soon."""


class EpochIndex(int):
    """An image index that knows its epoch, since a worker is asked for the next epoch's images before it starts."""

    epoch: int

    def __new__(cls, index: int, epoch: int) -> EpochIndex:
        """Return an index of an epoch."""
        made = super().__new__(cls, index)
        made.epoch = epoch
        return made

    def __reduce__(self) -> tuple[type[EpochIndex], tuple[int, int]]:
        return EpochIndex, (int(self), self.epoch)


def objects_of(sample: ImageSample, outlined: bool) -> ImageObjects:
    """Return a sample's labels in px of its image.

    Args:
        sample: The sample before any transform.
        outlined: Whether the data's labels are polygons.
    """
    instances = sample["instances"]
    height, width = sample["img"].shape[:2]
    instances.convert_bbox("xyxy")
    size = np.array([width, height], np.float64)
    scale = np.tile(size, 2) if instances.normalized else np.ones(4)
    keypoints = None
    if instances.keypoints is not None:
        keypoints = instances.keypoints.astype(np.float64)
        keypoints[..., :2] *= scale[:2]
    return ImageObjects(
        sample["cls"].ravel().astype(np.int64),
        instances.bboxes.astype(np.float64).reshape(-1, 4) * scale,
        [segment * scale[:2] for segment in instances.segments] if outlined else None,
        keypoints,
    )


def add_objects(sample: ImageSample, added: ImageObjects) -> None:
    """Add objects, in px of a sample's image, to its labels."""
    instances = sample["instances"]
    height, width = sample["img"].shape[:2]
    segments = np.zeros((0, *instances.segments.shape[1:]), np.float32)
    if added.outlines is not None and len(added):
        points = instances.segments.shape[1]
        segments = np.stack(resample_segments([o.astype(np.float32) for o in added.outlines], n=points))
    keypoints = None if added.keypoints is None else added.keypoints.astype(np.float32)
    extra = Instances(added.boxes.astype(np.float32), segments, keypoints, bbox_format="xyxy", normalized=False)
    if instances.normalized:
        extra.normalize(width, height)
    instances.convert_bbox("xyxy")
    sample["instances"] = Instances.concatenate([instances, extra])
    sample["cls"] = np.concatenate([sample["cls"], added.classes[:, None].astype(sample["cls"].dtype)])


class SceneReader:
    """Reads train images as Ultralytics loads them, past its buffer of recent images, and past pastes.

    Attributes:
        dataset: A twin of the train data set, which shares its labels and cached images.
        outlined: Whether the data's labels are polygons.
        masks: Mask image of each train image, empty where it has none.
    """

    def __init__(self, dataset: Dataset, base: type, masks: Sequence[str] = ()):
        twin: Dataset = object.__new__(base)
        twin.__dict__.update(dataset.__dict__, augment=False)
        self.dataset, self.masks = twin, masks
        self.outlined = any(len(label["segments"]) for label in dataset.labels)

    def __call__(self, index: int) -> Scene:
        """Return a train image with its objects."""
        sample = cast("ImageSample", self.dataset.get_image_and_label(index))
        return Scene(sample["img"], objects_of(sample, self.outlined), self._mask(index, sample), zoom_of(sample))

    def _mask(self, index: int, sample: ImageSample) -> Bools | None:
        if not self.masks or not self.masks[index]:
            return None
        height, width = sample["img"].shape[:2]
        mask = cv2.imread(self.masks[index], cv2.IMREAD_GRAYSCALE)
        return None if mask is None else cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def zoom_of(sample: ImageSample) -> float:
    """Return the size in px of a loaded image for one px of its file."""
    return float(sample["resized_shape"][0] / sample["ori_shape"][0])


class ImagePaster:
    """Pastes into the images that a data set loads, before any transform.

    Attributes:
        policy: Draws what is pasted into which image.
        paster: Pastes.
        outlined: Whether the data's labels are polygons.
        made: Images made elsewhere; None without.
        marks: Class ids of pasted objects and of distractors, for a picture of them; None to train.
    """

    marks: tuple[int, int] | None = None

    def __init__(self, policy: PastePolicy, paster: Paster, outlined: bool, made: Dataset | None = None):
        self.policy, self.paster, self.outlined, self.made = policy, paster, outlined, made
        self._done: OrderedDict[tuple[int, int], Pasted] = OrderedDict()

    def follow(self, plan: SamplingPlan) -> None:
        """Paste by another plan from now on."""
        if plan is not self.policy.plan:
            self.policy.follow(plan)
            self._done.clear()

    def __call__(self, loaded: dict[str, object], index: int, epoch: int) -> list[int]:
        """Paste into a sample, or put an image made elsewhere in its place; return the classes of the objects.

        The sample's image is replaced by a copy.
        """
        sample = cast("ImageSample", loaded)
        if self.made is not None and (other := self.policy.replacement(index, epoch)) is not None:
            loaded.clear()
            loaded.update(self.made.get_image_and_label(other))
            classes = [int(label) for label in sample["cls"].ravel()]
            if self.marks is not None:
                sample["cls"] = sample["cls"] + self.marks[0]
            return classes
        pasted = self._done.pop((epoch, index), None)
        if pasted is None:
            draws = self.policy.draws(index, epoch)
            if not draws:
                return []
            pasted = self.paster(sample["img"], objects_of(sample, self.outlined), draws, zoom_of(sample))
        self._done[epoch, index] = pasted
        if len(self._done) > KEPT:
            self._done.popitem(last=False)
        sample["img"] = pasted.onto(sample["img"])
        add_objects(sample, pasted.objects if self.marks is None else marked(pasted, *self.marks))
        return [int(label) for label in pasted.objects.classes]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_done": OrderedDict()}


def marked(pasted: Pasted, first: int, distractor: int) -> ImageObjects:
    """Return pasted objects with `first` added to their classes, then the distractors as a class of their own."""
    objects = pasted.objects
    boxes = pasted.distractors
    others = ImageObjects(
        np.full(len(boxes), distractor),
        boxes,
        None if objects.outlines is None else [corners(box) for box in boxes],
        None if objects.keypoints is None else np.zeros((len(boxes), *objects.keypoints.shape[1:])),
    )
    return ImageObjects(objects.classes + first, objects.boxes, objects.outlines, objects.keypoints).joined(others)


def corners(box: Floats | Floats32) -> Floats:
    """Return the corners (4, 2) of a box as a polygon."""
    x1, y1, x2, y2 = box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
