"""Ultralytics' validation loader for a measurement: each image padded as if it were alone.

With `rect`, Ultralytics sorts images by aspect ratio, cuts them into batches and pads a batch to one shape, so that an
image's scores depend on its neighbours. A prediction has other neighbours. Thresholds would then be measured on other
pixels than those that they decide on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from multiprocessing.pool import ThreadPool

import numpy as np
from PIL import Image
from ultralytics.data import BaseDataset
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.data.utils import exif_size
from ultralytics.utils import NUM_THREADS

from yolo_balance.integration.protocols import Loader


class ShapeBatches:
    """Batches of images of one shape, pass after pass. Ultralytics measures a pass's length by `sampler`."""

    def __init__(self, batches: list[list[int]]):
        self.sampler = batches

    def __iter__(self) -> Iterator[list[int]]:
        while True:
            yield from self.sampler


def pad_alone(loader: Loader) -> None:
    """Make a validation loader pad each image to its own shape.

    Order and batch size stay, but a batch ends where the shape changes. A loader without `rect`, one that is not
    Ultralytics', and one whose images are padded so already stay as they are.
    """
    dataset = loader.dataset
    if not isinstance(loader, InfiniteDataLoader) or not isinstance(dataset, BaseDataset) or not dataset.rect:
        return
    with ThreadPool(NUM_THREADS) as pool:  # Ultralytics reads them in its scan and keeps none
        ratio = np.array(pool.map(_ratio, dataset.im_files))
    sides = np.stack([np.minimum(ratio, 1), np.minimum(1 / ratio, 1)], axis=1)
    shapes = np.ceil(sides * dataset.imgsz / dataset.stride + dataset.pad).astype(int) * dataset.stride
    if np.array_equal(shapes, dataset.batch_shapes[dataset.batch]):
        return
    dataset.batch_shapes, index = np.unique(shapes, axis=0, return_inverse=True)
    dataset.batch = index.ravel()
    batches = []
    for _, group in groupby(loader.sampler, key=dataset.batch.__getitem__):
        images = list(group)
        batches += [images[i : i + loader.batch_size] for i in range(0, len(images), loader.batch_size)]
    object.__setattr__(loader, "batch_sampler", ShapeBatches(batches))  # which a DataLoader refuses otherwise
    if loader.iterator is not None:  # its workers have the data set as it was
        loader.reset()


def _ratio(file: str) -> float:
    """Return an image's height over its width, of which Ultralytics makes the shape."""
    with Image.open(file) as image:
        width, height = exif_size(image)
    return float(height / width)
