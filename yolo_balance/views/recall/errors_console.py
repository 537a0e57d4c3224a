"""Error types as console tables, and which keys of a run's YAML act on each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES
from yolo_balance.text import plain
from yolo_balance.views.tables import plain_text

if TYPE_CHECKING:
    from yolo_balance.recall.diagnosis.error_types import ErrorTypes

KNOBS: Mapping[str, str] = MappingProxyType(
    {
        "confused": "Review the labels of the two classes; `balance.losses.class_weights` moves scores between them.",
        "badly_located": "`imgsz` and `balance.losses.carl` sharpen boxes; `balance.recall.iou` says how tight they "
        "have to be.",
        "below_threshold": "`balance.losses.class_weights`, `balance.losses.focal` and `balance.sampling.power` move "
        "scores; a larger budget in `balance.recall.false_alarms` lowers the threshold.",
        "missed": "`balance.sampling.power`, `balance.sampling.max_repeat` and `balance.sampling.classes` show the "
        "class more often.",
        "duplicate": "A lower `iou` of non-maximum suppression, or a model with an end-to-end head, reports one box.",
        "both": "As for confused and badly located boxes: label review, `balance.losses.class_weights`, `imgsz`.",
        "background": "`balance.sampling.background.share` and `balance.sampling.background.hard` show more images "
        "without objects; `balance.losses.negatives` and `balance.losses.isr.negatives` weigh likely false alarms.",
    }
)
"""Per cause and type the keys of a run's YAML that act on it, in backticks: ours start with `balance`, the others are
Ultralytics' own."""


def render(errors: ErrorTypes) -> str:
    """Plain text: one line per class in each of the two tables, then the knobs of the types that occur."""
    missed = _table("class", "conf", "n", "not found", *CAUSES, "confused with")
    false = _table("class", "conf", "false boxes", "on clean images", *TYPES, "confused lie on")
    for name, of_class in errors.classes.items():
        o, b, least = of_class.objects, of_class.boxes, f"{of_class.threshold:.3f}"
        counts = [str(getattr(o, cause)) for cause in CAUSES]
        if o.below_confidence is not None:
            counts[CAUSES.index("below_threshold")] += f" (median {o.below_confidence:.3f})"
        row = [str(o.not_found), *counts] if o.n else ["no data", *[""] * len(CAUSES)]
        missed.add_row(Text(plain(name)), least, str(o.n), *row, _counts(o.confused_with))
        row = ["-" if b.on_clean is None else str(b.on_clean), *(str(getattr(b, kind)) for kind in TYPES)]
        false.add_row(Text(plain(name)), least, str(b.n), *row, _counts(b.confused_with))
    return "\n".join(
        [
            f"Objects not found, by cause (IoU {errors.iou:g}, background below {errors.background_iou:g})",
            plain_text(missed),
            "\nFalse boxes, by type",
            plain_text(false),
            *(f"{_words(kind)}: {KNOBS[kind]}" for kind in occurring(errors)),
        ]
    )


def occurring(errors: ErrorTypes) -> list[str]:
    """The causes and types of which there is at least one, in the order of KNOBS."""
    rows = errors.classes.values()
    present = {cause for row in rows for cause in CAUSES if getattr(row.objects, cause)}
    present |= {kind for row in rows for kind in TYPES if getattr(row.boxes, kind)}
    return [kind for kind in KNOBS if kind in present]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(_words(column), justify="left" if column in (columns[0], columns[-1]) else "right")
    return table


def _words(name: str) -> str:
    return name.replace("_", " ")


def _counts(classes: Mapping[str, int]) -> Text:
    return Text(", ".join(f"{plain(name)} {count}" for name, count in classes.items()))
