"""Labels beside the boxes of a small picture; no label covers another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from yolo_balance.text import plain

Box = tuple[float, float, float, float]
"""x, y, width, height in the picture's pixels."""

LETTER, WIDE, LINE = 7.2, 12.0, 13.0  # px of a letter, of one of a script that has no Latin widths, and of a line
LONGEST = 16
BASELINE = 10.5  # px below a line's top


class Label(NamedTuple):
    """Line of text: left end, baseline and words."""

    x: float
    y: float
    text: str


def text_of(name: str, confidence: float | None) -> str:
    """Write the label of a box: its confidence, if any, and its class."""
    name = plain(name)
    short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return short if confidence is None else f"{confidence:.2f} {short}"


def place(wanted: Iterable[tuple[str, Box]], width: float, height: float) -> list[Label | None]:
    """Place labels above or below their boxes and inside the picture.

    Args:
        wanted: Text and box of each, the most important first.
        width: Width of the picture.
        height: Height of the picture.

    Returns:
        One per text, None where it would lie on an earlier one; the first always has its place.
    """
    taken: list[Box] = []
    labels: list[Label | None] = []
    for text, (x, y, _, h) in wanted:
        long = sum(LETTER if ord(letter) < 0x250 else WIDE for letter in text)
        left = max(min(x, width - long - 2), 2)
        tops = [max(min(top, height - LINE), 0) for top in (y - LINE, y + h)]
        free = [top for top in tops if not any(_overlap((left, top, long, LINE), other) for other in taken)]
        if free:
            taken.append((left, free[0], long, LINE))
        labels.append(Label(left, free[0] + BASELINE, text) if free else None)
    return labels


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
