"""Error types as console tables, and which keys of a run's YAML act on each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES, ErrorTypes
from yolo_balance.text import plain
from yolo_balance.views.tables import table

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


def render_errors(errors: ErrorTypes) -> str:
    """Return two tables with a line per class, and a line for each type that occurs: the keys that act on it."""
    missed, false = [], []
    for name, of_class in errors.classes.items():
        o, b, threshold = of_class.objects, of_class.boxes, f"{of_class.threshold:.3f}"
        counts = [str(getattr(o, cause)) for cause in CAUSES]
        if o.below_confidence is not None:
            counts[CAUSES.index("below_threshold")] += f" (median {o.below_confidence:.3f})"
        row = [str(o.not_found), *counts] if o.n else ["no data", *[""] * len(CAUSES)]
        missed.append([name, threshold, str(o.n), *row, _counts(o.confused_with)])
        row = ["-" if b.on_clean is None else str(b.on_clean), *(str(getattr(b, kind)) for kind in TYPES)]
        false.append([name, threshold, str(b.n), *row, _counts(b.confused_with)])
    return "\n".join(
        [
            f"Objects not found, by cause (IoU {errors.iou:g}, background below {errors.background_iou:g})",
            _table(("class", "conf", "n", "not found", *CAUSES, "confused with"), missed),
            "\nFalse boxes, by type",
            _table(("class", "conf", "false boxes", "on clean images", *TYPES, "confused lie on"), false),
            *(f"{words(kind)}: {KNOBS[kind]}" for kind in occurring(errors)),
        ]
    )


def occurring(errors: ErrorTypes) -> list[str]:
    """Return the causes and types that occur, in the order of KNOBS."""
    rows = errors.classes.values()
    present = {cause for row in rows for cause in CAUSES if getattr(row.objects, cause)}
    present |= {kind for row in rows for kind in TYPES if getattr(row.boxes, kind)}
    return [kind for kind in KNOBS if kind in present]


def words(kind: str) -> str:
    """Return the name of a cause or type as people read it."""
    return kind.replace("_", " ")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table([words(column) for column in columns], rows, f"l{'r' * (len(columns) - 2)}l")


def _counts(classes: Mapping[str, int]) -> str:
    return ", ".join(f"{plain(name)} {count}" for name, count in classes.items())
