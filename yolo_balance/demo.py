"""Procedural surface defects: the data set behind `data: demo`.

Grey, brushed, metal-like surfaces with defects of six kinds, drawn from a seed. The set exists so that every part of
the package can be tried and tested at once, offline and on a CPU: the majority of the images is defect-free, and in
train the classes fall in a tail of 100:1. The demo set is not a benchmark and no stand-in for a factory: a method that
wins here has shown that it runs and acts in the right direction, no more.

Every defect is a filled polygon, shaded, so the outline in the label file is the outline that was drawn. The labels
are polygons; Ultralytics takes the boxes from them, and one folder serves detection and segmentation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from yolo_balance.bounded_files import read_text

Array: TypeAlias = NDArray[Any]
Defect: TypeAlias = tuple[Array, Array]  # grey levels to add (SIZE, SIZE), outline (n, 2) as x, y in pixels

VERSION = 1  # raised whenever a drawing or a count changes, so that folders written earlier are drawn again
SIZE = 128  # pixels, both sides; the image size at which training is meant to run
MARGIN = 3  # pixels between an outline and the border: a box cut by the border would be a different task

CLASSES: tuple[str, ...] = ("scratch", "pit", "stain", "dent", "inclusion", "crack")
TRAIN_BOXES: tuple[int, ...] = (400, 200, 60, 24, 10, 4)
VAL_BOXES: tuple[int, ...] = (20,) * len(CLASSES)
# per split: boxes per class, images with defects, images without
SPLITS: dict[str, tuple[tuple[int, ...], int, int]] = {"train": (TRAIN_BOXES, 260, 300), "val": (VAL_BOXES, 80, 120)}


def generate(folder: str | Path, *, seed: int = 0) -> Path:
    """Write the data set to `folder` unless it is there already; return the path of its `data.yaml`.

    Layout: `images/{train,val}/*.png`, `labels/{train,val}/*.txt`, `data.yaml` without a `path` key, so the folder may
    be moved. A defect-free image has an empty label file. Counts are exact, whatever the seed:

    train  560 images, 300 defect-free; 400, 200, 60, 24, 10 and 4 boxes in the order of `CLASSES`
    val    200 images, 120 defect-free; 20 boxes of every class, since recall of a class with four boxes says nothing:
           it is not the distribution of train, and mean precision on it is no forecast

    The same version and seed give the same bytes under the same NumPy and OpenCV. The set is written beside `folder`
    and renamed into place when it is complete, so an interrupted call leaves nothing that looks like a data set. A set
    of another version or seed, or one with files lost, is replaced; any other content raises `FileExistsError`.
    """
    folder = Path(folder)
    if _is_complete(folder, seed):
        return folder / "data.yaml"
    if folder.exists() and not _is_ours(folder):
        raise FileExistsError(f"{folder} exists and holds no demo data set; expected a new or an empty folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratchpad:
        fresh = Path(scratchpad, "fresh")
        for index, split in enumerate(SPLITS):
            _write_split(fresh, split, (seed, index))
        names = yaml.safe_dump({"names": dict(enumerate(CLASSES))}, sort_keys=False)
        text = f"{_header(seed)}\ntrain: images/train\nval: images/val\n{names}"
        (fresh / "data.yaml").write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratchpad, "stale"))
        try:
            fresh.rename(folder)
        except OSError:  # another process finished first: its bytes are ours
            if not _is_complete(folder, seed):
                raise
    return folder / "data.yaml"


def _header(seed: int) -> str:
    """Return the first line of `data.yaml`, by which a folder is recognised."""
    return f"# yolo_balance demo, version {VERSION}, seed {seed}"


def _first_line(folder: Path) -> str:
    try:
        return read_text(folder / "data.yaml").partition("\n")[0]
    except (OSError, ValueError):
        return ""


def _is_ours(folder: Path) -> bool:
    """Return whether the folder may be replaced: it is empty or a demo set of any version."""
    return folder.is_dir() and (not any(folder.iterdir()) or _first_line(folder).startswith("# yolo_balance demo,"))


def _is_complete(folder: Path, seed: int) -> bool:
    """Return whether this version and seed is there with all its files, by name and count."""
    total = sum(dirty + clean for _, dirty, clean in SPLITS.values())
    return _first_line(folder) == _header(seed) and all(
        sum(1 for _ in folder.glob(pattern)) == total for pattern in ("images/*/*.png", "labels/*/*.txt")
    )


def _write_split(root: Path, split: str, seed: tuple[int, int]) -> None:
    """Draw and write one split. Each image has its own generator, so no image depends on how another was drawn."""
    boxes, dirty, clean = SPLITS[split]
    images, labels = root / "images" / split, root / "labels" / split
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    plan = _deal(np.random.default_rng(seed), boxes, dirty, clean)
    for number, classes in enumerate(plan):
        image, outlines = draw(np.random.default_rng((*seed, number)), classes)
        _, png = cv2.imencode(".png", image)
        (images / f"{number:04d}.png").write_bytes(png.tobytes())  # OpenCV itself is silent on a full disk
        lines = [f"{c} {' '.join(f'{v:.5f}' for v in (outline / SIZE).ravel())}\n" for c, outline in outlines]
        (labels / f"{number:04d}.txt").write_text("".join(lines), encoding="utf-8")


def _deal(rng: np.random.Generator, boxes: tuple[int, ...], dirty: int, clean: int) -> list[list[int]]:
    """Deal the shuffled boxes in turn to the dirty images, at least one each; return the classes of each image."""
    deck = rng.permutation(np.repeat(np.arange(len(boxes)), boxes))
    hands = [deck[i::dirty].tolist() if i < dirty else [] for i in range(dirty + clean)]
    return [hands[i] for i in rng.permutation(len(hands))]


def draw(rng: np.random.Generator, classes: list[int]) -> tuple[Array, list[tuple[int, Array]]]:
    """Draw an image (SIZE, SIZE) uint8 with a defect per entry of `classes`; return their classes and outlines too."""
    image = surface(rng)
    taken: Array = np.zeros((SIZE, SIZE), bool)
    outlines = []
    for c in classes:
        while True:  # a place where it covers no other defect: an outline that is half hidden is not exact
            change, outline = DRAWERS[CLASSES[c]](rng)
            inside = cv2.dilate(_fill(outline), np.ones((5, 5))) > 0
            if not (inside & taken).any():
                break
        image += change
        taken |= inside
        outlines.append((c, outline))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), outlines


def surface(rng: np.random.Generator) -> Array:
    """Draw a clean surface, float32: brushed grain along one direction, uneven light, sensor noise, and harmless marks.

    The marks (machining lines, dust, smudges) are what a detector takes for scratches, pits and stains. Without them
    nothing on a clean image would raise a false alarm, and recall at a false-alarm budget would have no meaning.
    """
    grain = cv2.blur(rng.normal(0, 1, (SIZE, SIZE)).astype(np.float32), (31, 1))
    y, x = np.mgrid[-0.5 : 0.5 : SIZE * 1j, -0.5 : 0.5 : SIZE * 1j].astype(np.float32)
    slope = rng.uniform(-25, 25, 2)
    image = rng.uniform(95, 165) + slope[0] * x + slope[1] * y + rng.uniform(-40, 20) * (x * x + y * y)
    image += rng.uniform(15, 35) * grain
    for at in rng.integers(0, SIZE, rng.integers(0, 4)):
        image[at : at + 2] += rng.uniform(-25, 25)
    for _ in range(rng.integers(0, 4)):
        dust = _settle(rng, _blob(rng, radius=rng.uniform(1.5, 4), stretch=0.8, rough=0.2))
        image += rng.uniform(-60, 60) * _soft(dust)
    if rng.random() < 0.5:
        smudge = _settle(rng, _blob(rng, radius=rng.uniform(12, 24), stretch=0.6, rough=0.2))
        image += rng.uniform(-35, 25) * cv2.GaussianBlur(_fill(smudge), (0, 0), 5)
    image += rng.normal(0, rng.uniform(1, 3), (SIZE, SIZE))
    return np.asarray(image if rng.random() < 0.5 else image.T, np.float32)


def _scratch(rng: np.random.Generator) -> Defect:
    """Draw a thin bright groove, gently bent and slanted; one in four is dark, as a crack is."""
    outline = _settle(rng, _band(rng, length=rng.uniform(40, 85), width=rng.uniform(2.5, 4.5), jitter=0.0))
    level = rng.uniform(30, 75) * (-0.9 if rng.random() < 0.25 else 1.0)
    return level * _soft(outline), outline


def _crack(rng: np.random.Generator) -> Defect:
    """Draw a dark, jagged line, thick in the middle."""
    outline = _settle(rng, _band(rng, length=rng.uniform(40, 85), width=rng.uniform(4, 6.5), jitter=3.0))
    return rng.uniform(-75, -40) * _soft(outline), outline


def _pit(rng: np.random.Generator) -> Defect:
    """Draw a small round dark hole, darkest in the middle."""
    outline = _settle(rng, _blob(rng, radius=rng.uniform(6, 11), stretch=rng.uniform(0.8, 1.0), rough=0.06))
    return rng.uniform(-75, -35) * _soft(outline) * (1.3 - 0.6 * _rim(outline)), outline


def _inclusion(rng: np.random.Generator) -> Defect:
    """Draw a dark grainy shard with corners, longer than a pit and otherwise much like one."""
    corners = _blob(rng, radius=rng.uniform(8, 14), stretch=rng.uniform(0.4, 0.65), rough=0.15, points=6)
    outline = _settle(rng, corners)
    grain = rng.normal(1.0, 0.5, (SIZE, SIZE)).astype(np.float32)
    return rng.uniform(-70, -38) * _soft(outline) * cv2.GaussianBlur(grain, (3, 3), 0), outline


def _stain(rng: np.random.Generator) -> Defect:
    """Draw a large irregular film, even in tone and of low contrast, with a darker edge where the liquid dried."""
    outline = _settle(rng, _blob(rng, radius=rng.uniform(14, 26), stretch=rng.uniform(0.6, 1.0), rough=0.18))
    return rng.uniform(-40, -20) * _soft(outline) * (0.7 + 0.6 * _rim(outline)), outline


def _dent(rng: np.random.Generator) -> Defect:
    """Draw a smooth hollow: one flank in shadow, the other in the light, from any side."""
    outline = _settle(rng, _blob(rng, radius=rng.uniform(12, 22), stretch=rng.uniform(0.7, 1.0), rough=0.03))
    centre, angle = outline.mean(0), rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    flank = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
    return rng.uniform(35, 65) * _soft(outline) * flank / np.abs(outline - centre).max(), outline


DRAWERS: dict[str, Callable[[np.random.Generator], Defect]] = dict(
    zip(CLASSES, (_scratch, _pit, _stain, _dent, _inclusion, _crack), strict=True)
)


def _band(rng: np.random.Generator, *, length: float, width: float, jitter: float) -> Array:
    """Outline a line that bends by up to a tenth of its length, slanted by 20 to 70 degrees to either side.

    The slant keeps boxes away from three pixels of height, where an IoU of 0.5 would test the pixel grid. The width is
    laid off across the line's axis, not its local normal, so that the outline of a jagged line never crosses itself.
    """
    t = np.linspace(-1, 1, 13)
    middle = rng.uniform(-0.1, 0.1) * length * (1 - t * t) + rng.uniform(-jitter, jitter, t.size)
    half = width / 2 * np.maximum(0.35, np.sqrt(1 - t * t))
    x = np.concatenate([t, t[::-1]]) * length / 2
    y = np.concatenate([middle - half, (middle + half)[::-1]])
    return _turn(np.stack([x, y], 1), np.radians(rng.uniform(20, 70)) * rng.choice([-1, 1]))


def _blob(rng: np.random.Generator, *, radius: float, stretch: float, rough: float, points: int = 24) -> Array:
    """Outline an ellipse of semi-axes radius and radius * stretch, its border moved by three random waves."""
    phi = np.linspace(0, 2 * np.pi, points, endpoint=False)
    waves = sum(rng.uniform(-rough, rough) * np.cos(k * phi + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5))
    r = radius * (1 + np.asarray(waves))
    return _turn(np.stack([r * np.cos(phi), stretch * r * np.sin(phi)], 1), rng.uniform(0, np.pi))


def _turn(points: Array, angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]))


def _settle(rng: np.random.Generator, points: Array) -> Array:
    """Move an outline to a random place that is wholly inside the image."""
    low, high = points.min(0) - MARGIN, points.max(0) + MARGIN
    return np.asarray(points + rng.uniform(-low, SIZE - high))


def _fill(outline: Array) -> Array:
    """Return the part of each pixel that the polygon covers, float32 0..1, from a fill at four times the resolution.

    OpenCV's own smoothed fill is up to a pixel too wide on every side, and then the label would be too small. Outlines
    count from the image's corner as labels do, OpenCV from the middle of the first pixel: hence the half.
    """
    mask: Array = np.zeros((4 * SIZE, 4 * SIZE), np.uint8)
    cv2.fillPoly(mask, [np.rint((outline * 4 - 0.5) * 16).astype(np.int32)], 255, shift=4)
    return np.asarray(cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.float32) / 255


def _soft(outline: Array) -> Array:
    """Return coverage 0..1, blurred by less than a pixel, as a lens does."""
    return np.asarray(cv2.GaussianBlur(_fill(outline), (3, 3), 0.6))


def _rim(outline: Array) -> Array:
    """Return 1 at the outline, falling to 0 in the middle of the shape."""
    depth = cv2.distanceTransform((_fill(outline) > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    return 1 - depth / max(float(depth.max()), 1.0)
