"""Why objects are missed and what false boxes are, as rows; and what acts on the types that occur."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES, ErrorTypes
from yolo_balance.views.recall.errors_console import KNOBS, occurring, words

OF_OBJECTS: Mapping[str, str] = {
    "confused": "a box of another class lies on the object",
    "badly_located": "a box of its class touches it, but too loosely",
    "below_threshold": "a box finds it, with a confidence below the threshold",
    "missed": "nothing of the above",
}
OF_BOXES: Mapping[str, str] = {
    "duplicate": "one box too many on an object that was found",
    "confused": "lies on an object of another class",
    "badly_located": "touches an object of its class",
    "both": "touches an object of another class",
    "background": "lies on nothing",
}


@dataclass(frozen=True)
class Counts:
    """Errors of one class.

    Attributes:
        name: The class.
        n: Its objects, or its false boxes.
        errors: Objects not found, or false boxes on clean images; None where there can be none.
        kinds: How many of each cause, or type, in the order of CAUSES, or TYPES.
        median: Median confidence of the boxes that find the objects below the threshold; None without.
        confused_with: Other classes and how many, most first.
    """

    name: str
    n: int
    errors: int | None
    kinds: tuple[int, ...]
    median: float | None
    confused_with: tuple[tuple[str, int], ...]


def of_objects(errors: ErrorTypes, order: Sequence[str]) -> list[Counts]:
    """Objects not found, by cause; classes without objects have no counts."""
    found = [(name, errors.classes[name].objects) for name in order]
    return [
        Counts(
            name,
            row.n,
            row.not_found if row.n else None,
            tuple(getattr(row, cause) for cause in CAUSES) if row.n else (),
            row.below_confidence,
            tuple(row.confused_with.items()),
        )
        for name, row in found
    ]


def of_boxes(errors: ErrorTypes, order: Sequence[str]) -> list[Counts]:
    """False boxes by type."""
    found = [(name, errors.classes[name].boxes) for name in order]
    return [
        Counts(
            name,
            row.n,
            row.on_clean,
            tuple(getattr(row, kind) for kind in TYPES),
            None,
            tuple(row.confused_with.items()),
        )
        for name, row in found
    ]


def knobs(errors: ErrorTypes) -> list[tuple[str, Markup]]:
    """The types that occur, in words, and what acts on each."""
    return [(words(kind), code(KNOBS[kind])) for kind in occurring(errors)]


def meanings(of: Mapping[str, str]) -> str:
    """Types and what they mean, in one line."""
    text = "; ".join(f"{words(kind)}: {meaning}" for kind, meaning in of.items())
    return text[0].upper() + text[1:]


def code(text: str) -> Markup:
    """Escaped, and what stands between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))
