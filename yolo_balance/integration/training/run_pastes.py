"""Pastes of a run: what can be cut out of the train split, where it may go, and the hook into its data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from ultralytics.utils import NUM_THREADS
from ultralytics.utils.patches import imread

from yolo_balance.arrays import Bools, Floats, Floats32, Ints
from yolo_balance.config import SECTION, BalanceConfig, PasteConfig
from yolo_balance.errors import DataError
from yolo_balance.integration.data import box_classes, read_units
from yolo_balance.integration.hooks.dataset import CountingMixin
from yolo_balance.integration.hooks.paste import ImagePaster, SceneReader
from yolo_balance.integration.protocols import Arguments, Dataset, ImageFolder
from yolo_balance.integration.training.made_images import made_images
from yolo_balance.recall.evidence.units import unit_ids
from yolo_balance.resolution import ResolvedBalance
from yolo_balance.sampling.pastes import MANY_OBJECTS
from yolo_balance.synthesis import Bank, PastePolicy, Paster, Sources
from yolo_balance.synthesis.policy import FEW, PasteLimits
from yolo_balance.synthesis.surroundings import (
    SIDE,
    groups,
    image_figures,
    images_of_group,
    ring_figures,
    similar_images,
    thumbnail,
)
from yolo_balance.text import listed, plain

MOST_SEEN = 2000
"""Images that are compared with the surroundings of objects; of a larger split a seeded choice."""
REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
"""Ratios at which a file is decoded smaller."""
MOST_FULL = 0.5
"""Share of an image that labelled boxes cover from which on nothing is pasted into it."""


def sources_of(dataset: Dataset, num_classes: int, new_id: Ints | None = None) -> Sources:
    """Return the objects of a train split that can be cut out.

    Args:
        dataset: Ultralytics' data set of the split.
        num_classes: Classes of the run.
        new_id: Class of the run by class id of the labels; None where these are the same.
    """
    labels = []
    for label in dataset.labels:
        classes = label["cls"].ravel().astype(np.int64)
        labels.append((classes if new_id is None else new_id[classes], label["bboxes"]))
    return Sources.of(labels, num_classes)


def pasteable(dataset: Dataset | ImageFolder, asked: BalanceConfig, num_classes: int) -> Ints | None:
    """Return (C,) objects of a train split that can be cut out; None where nothing is to be pasted, or in a folder."""
    if asked.paste is None or hasattr(dataset, "samples"):
        return None
    return sources_of(dataset, num_classes).counts


def run_pasting(dataset: Dataset, resolved: ResolvedBalance, arguments: Arguments) -> ImagePaster | None:
    """Return what pastes into a train split's images; None where nothing is to be pasted.

    Args:
        dataset: Ultralytics' data set of the train split.
        resolved: The configuration on it.
        arguments: Train arguments of the run, whose flips and seed count.

    Raises:
        DataError: A mask image has another size than its image.
    """
    schedule = resolved.schedule
    if schedule is None or schedule.shown.pasted is None:
        return None
    sources = sources_of(dataset, len(resolved.names))
    config, seed = resolved.config, arguments.seed
    options = config.paste or PasteConfig(context="any")
    made = made_images(config.made, arguments, dataset.data, dataset.im_files)
    masks = mask_files(dataset)
    base = type(dataset).__mro__[2] if isinstance(dataset, CountingMixin) else type(dataset)
    reader = SceneReader(dataset, base, masks)
    background = resolved.statistics.background
    receivers = _receivers(dataset, sources, options.context, seed, units=config.recall.units, data=arguments.data)
    clean = np.array([_first(images, background, own) for images, own in zip(receivers, sources.image, strict=True)])
    flip_index = dataset.data.get("flip_idx")
    mirrored = not dataset.use_keypoints or flip_index is not None
    limits = PasteLimits(
        options.p,
        options.max_objects,
        options.onto_background,
        options.blend,
        options.distractors,
        (arguments.fliplr, arguments.flipud) if mirrored else (0.0, 0.0),
    )
    holding = [np.flatnonzero([label in row["cls"] for row in dataset.labels]) for label in range(len(resolved.names))]
    policy = PastePolicy(
        sources,
        receivers,
        background,
        limits,
        seed=seed,
        plan=schedule.shown,
        holding=holding,
        made=[] if made is None else [classes.astype(np.int64) for classes in box_classes(made)],
        paste=config.paste is not None,
    )
    paster = Paster(
        Bank(sources, reader, clean, rotated=dataset.use_obb, seed=seed),
        keep_out=[resolved.names.index(name) for name in options.keep_out or ()],
        search=options.context != "any",
        flip_index=None if flip_index is None else np.array(flip_index),
    )
    return ImagePaster(policy, paster, reader.outlined, made)


def paste_remarks(resolved: ResolvedBalance, dataset: Dataset) -> list[str]:
    """Return lines for a user to read before training: what is not pasted and why, and classes of few objects."""
    options, schedule, names = resolved.config.paste, resolved.schedule, resolved.names
    key = f"{SECTION}.synthesis.paste"
    if options is None:
        return []
    if schedule is None or schedule.wish is None:
        return [
            f"{key}: no class is rare: each has {MANY_OBJECTS} objects or more, or the median count; nothing is pasted"
        ]
    lines, wished = [], schedule.wish.objects
    sources = sources_of(dataset, len(names))
    if texture := _by_class(sources.textures, names):
        lines.append(f"{key}: boxes over a quarter of the image or at two of its borders are never pasted: {texture}")
    few = np.where((wished > 0) & (sources.counts < FEW), sources.counts, 0)
    if few.any():
        lines.append(
            f"{key}: fewer than {FEW} distinct objects to paste, which the network may learn by heart: "
            f"{_by_class(few, names)}"
        )
    if isinstance(dataset, CountingMixin) and dataset.pasting is not None:
        policy = dataset.pasting.policy
        pairs = zip(policy.receivers, policy.sources.image, policy.sources.classes, strict=True)
        alone = [label for images, own, label in pairs if wished[label] > 0 and not (images != own).any()]
        if counts := _by_class(np.bincount(np.array(alone, np.int64), minlength=len(names)), names):
            lines.append(f"{key}: no other image fits the context {options.context} of these objects: {counts}")
    pasted = schedule.shown.pasted
    if pasted is None or not pasted.any():
        lines.append(f"{key}: nothing is pasted: the sampling plan wants no more objects than the images hold")
    return lines


def _by_class(counts: Ints, names: Sequence[str]) -> str:
    return listed([f"{names[c]} {counts[c]}" for c in np.flatnonzero(counts).tolist()])


def mask_files(dataset: Dataset) -> list[str]:
    """Return the mask image of each train image, empty for none; an empty list where no image has one.

    The mask of `images/train/1.jpg` is `masks/train/1.png`.

    Raises:
        DataError: A mask has another size than its image.
    """
    masks = [""] * len(dataset.im_files)
    for index, path in enumerate(dataset.im_files):
        folder, found, rest = path.rpartition(f"{os.sep}images{os.sep}")
        mask = f"{folder}{os.sep}masks{os.sep}{os.path.splitext(rest)[0]}.png"
        if found and len(dataset.labels[index]["cls"]) and os.path.isfile(mask):
            masks[index] = mask
            _check_size(mask, dataset.labels[index]["shape"])
    return masks if any(masks) else []


def _check_size(mask: str, shape: tuple[int, ...]) -> None:
    try:
        with Image.open(mask) as picture:
            width, height = picture.size
    except (OSError, UnidentifiedImageError) as e:
        raise DataError(f"{plain(mask)}: expected a mask image, got {' '.join(str(e).split())}") from e
    if (height, width) != tuple(shape):
        raise DataError(
            f"{plain(mask)}: expected a mask of {shape[1]} x {shape[0]} px, as its image, got {width} x {height}"
        )


def _receivers(
    dataset: Dataset, sources: Sources, context: str, seed: int, *, units: str | None, data: str
) -> list[Ints]:
    """Return for each source the images that it may be pasted into, likest first for the context `similar`.

    Args:
        dataset: Ultralytics' data set of the train split.
        sources: Objects of the split that can be cut out.
        context: Rule of the choice; groups are the units of `recall.units` where the section has them.
        seed: Seed of the choice among very many images.
        units: Rule of `recall.units`, None without.
        data: Path of the data YAML.
    """
    covered = np.array([label["bboxes"][:, 2:].prod(1).sum() for label in dataset.labels])
    roomy = covered <= MOST_FULL
    if not roomy.any():
        roomy[:] = True
    if context == "any":
        return [np.flatnonzero(roomy)] * len(sources.image)
    if context == "same_group":
        files = dataset.im_files
        group = groups(files) if units is None else unit_ids(read_units(units, data).of(files))
        return [images[roomy[images]] for images in images_of_group(sources.image, group)]
    rng = np.random.default_rng(seed)
    candidates = np.flatnonzero(roomy)
    if len(candidates) > MOST_SEEN:
        candidates = np.sort(rng.choice(candidates, MOST_SEEN, replace=False))
    needed = np.union1d(candidates, sources.image)
    with ThreadPool(NUM_THREADS) as pool:
        pictures = dict(zip(needed.tolist(), pool.map(lambda i: _picture(dataset, i), needed.tolist()), strict=True))
    images = np.full((len(dataset.im_files), 5), np.nan)
    for index in candidates.tolist():
        images[index] = image_figures(pictures[index])
    rings = [
        ring_figures(pictures[index], *_split(dataset.labels[index]["bboxes"], place))
        for index, place in zip(sources.image.tolist(), sources.place.tolist(), strict=True)
    ]
    return similar_images(np.array(rings).reshape(-1, 5), images)


def _split(boxes: Floats, place: int) -> tuple[Floats, Floats]:
    """Return the box at a place and the others, as corners."""
    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
    return corners[place], np.delete(corners, place, 0)


def _picture(dataset: Dataset, index: int) -> Floats32:
    """Return the small picture of a train image, decoded no larger than needed."""
    larger = max(dataset.labels[index]["shape"]) / SIDE
    flag = next((flag for ratio, flag in REDUCED if larger >= ratio), cv2.IMREAD_COLOR)
    image = imread(dataset.im_files[index], flags=flag)
    if image is None:  # more channels than a colour image has
        image = imread(dataset.im_files[index], flags=cv2.IMREAD_UNCHANGED)
    return thumbnail(image[..., None] if image.ndim == 2 else image)


def _first(images: Ints, background: Bools, own: int) -> int:
    """Return the first of the images that is clean, else the first, else the object's own."""
    clean = images[background[images]]
    return int(clean[0] if len(clean) else images[0] if len(images) else own)
