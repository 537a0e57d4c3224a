"""Images for prediction as validation has them: thresholds hold for the pixels they were measured on.

With `rect`, Ultralytics' validation pads an image by up to a stride more than its prediction does, which moves the grid
of places under the image, and so every score. Validation also rounds the shorter side up where prediction rounds it to
the nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import pad
from ultralytics.data.loaders import LoadImagesAndVideos, LoadPilAndNumpy

from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.protocols import Images, Source

if TYPE_CHECKING:
    Stock = Source
else:
    Stock = object

GREY = 114 / 255
"""Value that Ultralytics pads with."""

EXTRA = 0.5
"""Strides that Ultralytics' validation data set adds to the longer and the shorter side before it rounds up."""


class OneShapeMixin(Stock):
    """Source whose batches hold images of one shape.

    Ultralytics pads a batch of several shapes to squares, so that an image's scores would depend on its neighbours.
    """

    _waiting: Sequence[tuple[list[str], Images, list[str]]] = ()

    def __next__(self) -> tuple[list[str], Images, list[str]]:
        """Return the next images of one shape of Ultralytics' batch, or of its next batch."""
        if not self._waiting:
            paths, images, lines = super().__next__()
            groups = [list(group) for _, group in groupby(range(len(images)), lambda i: images[i].shape[:2])]
            self._waiting = [([paths[i] for i in g], [images[i] for i in g], [lines[i] for i in g]) for g in groups]
        first, *self._waiting = self._waiting
        return first


def one_shape(source: Source) -> None:
    """Make a source serve images of one shape at a time; tensors and streams stay as they are."""
    if isinstance(source, (LoadImagesAndVideos, LoadPilAndNumpy)):
        mix_in(source, OneShapeMixin)


def as_loaded(image: npt.NDArray[np.uint8], imgsz: int) -> npt.NDArray[np.uint8]:
    """Scale an image (H, W, channels) as Ultralytics' data sets do: longer side `imgsz`, the other rounded up."""
    height, width = image.shape[:2]
    ratio = imgsz / max(height, width)
    if ratio == 1:
        return image
    size = [min(int(np.ceil(side * ratio)), imgsz) for side in (width, height)]
    scaled: npt.NDArray[np.uint8] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
    return scaled[..., None] if scaled.ndim == 2 else scaled


def margin(image: tuple[int, int], given: tuple[int, int], imgsz: int, stride: int) -> tuple[int, int]:
    """Return the pixels that validation pads more than prediction at the top and the left, and again opposite.

    Args:
        image: Height and width in the file.
        given: Height and width that prediction gives to the model.
        imgsz: Longer side of the scaled image.
        stride: Largest stride of the model.
    """
    ratio = image[0] / image[1]
    shape = np.array([min(ratio, 1.0), min(1 / ratio, 1.0)])
    height, width = (np.ceil(shape * imgsz / stride + EXTRA).astype(int) * stride).tolist()
    return max(height - given[0], 0) // 2, max(width - given[1], 0) // 2


def widen(images: torch.Tensor, margins: tuple[int, int]) -> torch.Tensor:
    """Pad (B, C, H, W) by margins (top, left) on either side."""
    top, left = margins
    return pad(images, (left, left, top, top), value=GREY)


def moved(
    prediction: torch.Tensor,
    margins: tuple[int, int],
    task: str,
    *,
    classes: int,
    keypoints: Sequence[int] | None,
    end2end: bool,
) -> torch.Tensor:
    """Return a model's boxes and key points in pixels of the image without its margins.

    Args:
        prediction: (B, 4 + C + E, N) of N places; of an end-to-end head (B, N, 6 + E).
        margins: Top and left, as for `widen`.
        task: Task of the model.
        classes: C.
        keypoints: Points and numbers per point, for pose; None for other tasks.
        end2end: Whether the head is end-to-end.
    """
    top, left = margins
    rows = (prediction.transpose(1, 2) if end2end else prediction).clone()
    offset = rows.new_tensor([left, top])[:, None]
    rows[:, :2] -= offset
    if end2end and task != "obb":  # corners; else centre and size
        rows[:, 2:4] -= offset
    if task == "pose" and keypoints is not None:
        points = rows[:, 6 if end2end else 4 + classes :]
        points.view(len(rows), *keypoints, -1)[:, :, :2] -= offset
    return rows.transpose(1, 2) if end2end else rows


def cropped(output: object, margins: tuple[int, int], height: int) -> object:
    """Cut the mask prototypes (B, M, h, w) in a segmentation model's output to the image without its margins.

    Args:
        output: Tensors in tuples and lists of any depth.
        margins: Top and left, as for `widen`.
        height: Height of the widened images.
    """
    if isinstance(output, torch.Tensor):
        if output.ndim != 4:
            return output
        scale = height // output.shape[2]
        top, left = (side // scale for side in margins)
        return output[:, :, top : output.shape[2] - top, left : output.shape[3] - left].contiguous()
    if isinstance(output, (tuple, list)):
        return type(output)(cropped(part, margins, height) for part in output)
    return output
