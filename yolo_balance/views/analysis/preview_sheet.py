"""The picture of a preview: training samples with what was pasted outlined, and the objects that are pasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.errors import ConfigError
from yolo_balance.synthesis.cutting import CutObject

Canvas = npt.NDArray[np.uint8]
"""(h, w, 3) picture, blue first."""

TILE, COLUMNS = 288, 5
"""Side of a sample, px, and samples in a row."""
CELL, CELLS = 96, 15
"""Side of an object of the bank, px, and objects in a row."""
LINE = 22
"""Height of a line of text, px."""
WHITE, PAPER = (255, 255, 255), 24
LABELLED, PASTED, DISTRACTOR = (90, 200, 90), (60, 60, 255), (255, 160, 60)
LEGEND = (("labelled", LABELLED), ("pasted", PASTED), ("distractor, unlabelled", DISTRACTOR))


@dataclass(frozen=True)
class Sample:
    """A training sample as the network sees it.

    Attributes:
        image: (h, w, 3) pixels, blue first.
        boxes: (n, 4) corners in px.
        kinds: (n,) 0 labelled, 1 pasted, 2 distractor.
    """

    image: Canvas
    boxes: Floats
    kinds: Ints


def sheet(samples: Sequence[tuple[str, Sequence[Sample]]], bank: Sequence[tuple[str, Sequence[CutObject]]]) -> Canvas:
    """Draw samples under their headings, then the bank: a row for each class, objects above their soft masks."""
    width = TILE * COLUMNS
    parts = [_text("", width, LEGEND)]
    for heading, group in samples:
        parts.append(_text(heading, width))
        tiles = [_tile(sample) for sample in group]
        parts += [_row(tiles[i : i + COLUMNS], TILE, width) for i in range(0, len(tiles), COLUMNS)]
    for name, objects in bank:
        parts.append(_text(name, width))
        cells = [_fit(_colour(found.pixels), CELL) for found in objects[:CELLS]]
        masks = [_fit(_colour((soft(found) * 255).astype(np.uint8)[..., None]), CELL) for found in objects[:CELLS]]
        parts += [_row(cells, CELL, width), _row(masks, CELL, width)]
    return np.concatenate(parts)


def encoded(picture: Canvas, path: Path) -> bytes:
    """Return a picture as the bytes of a file. Raises ConfigError unless the name ends in .jpg, .jpeg or .png."""
    if path.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise ConfigError(f"--preview: expected a file .jpg or .png, got {path}")
    _, content = cv2.imencode(path.suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return bytes(content)


def soft(found: CutObject) -> Floats:
    """Return (h, w) the mask of an object with a soft edge, as a feathered paste has it."""
    side = float(np.sqrt(max(found.solid.sum(), 1)))
    return np.asarray(cv2.GaussianBlur(found.solid, (0, 0), max(0.06 * side, 0.4)), np.float64)


def _tile(sample: Sample) -> Canvas:
    height, width = sample.image.shape[:2]
    ratio = TILE / max(height, width)
    tile = _fit(sample.image, TILE)
    for box, kind in zip(sample.boxes, sample.kinds, strict=True):
        x1, y1, x2, y2 = np.rint(box * ratio).astype(int).tolist()
        cv2.rectangle(tile, (x1 - 2, y1 - 2), (x2 + 1, y2 + 1), (LABELLED, PASTED, DISTRACTOR)[kind], 1)
    return tile


def _fit(image: Canvas, side: int) -> Canvas:
    """Return an image in the upper left of a square."""
    ratio = side / max(image.shape[:2])
    size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC)
    square = np.full((side, side, 3), PAPER, np.uint8)
    square[: size[1], : size[0]] = resized
    return square


def _colour(pixels: npt.NDArray[np.uint8] | Bools) -> Canvas:
    return np.ascontiguousarray(np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[..., :3])


def _row(cells: Sequence[Canvas], side: int, width: int) -> Canvas:
    row = np.full((side, width, 3), PAPER, np.uint8)
    for i, cell in enumerate(cells):
        row[:, i * side : (i + 1) * side] = cell
    return row


def _text(text: str, width: int, legend: Sequence[tuple[str, tuple[int, int, int]]] = ()) -> Canvas:
    line, x = np.full((LINE, width, 3), PAPER, np.uint8), 6
    for words, colour in [(text, WHITE), *legend]:
        plain = words.encode("ascii", "replace").decode()
        cv2.putText(line, plain, (x, LINE - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
        x += 9 * len(plain) + 20 if plain else 0
    return line
