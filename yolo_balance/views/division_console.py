"""The division of a data set as a console table, and lines for what a reader has to know of it."""

from __future__ import annotations

from yolo_balance.sampling.division import Division
from yolo_balance.text import counted, listed, plain
from yolo_balance.views.tables import table


def render_division(division: Division) -> str:
    """Return the boxes of each class in each part, and a line for each class that a part lacks."""
    d = division
    rows = [
        (name, str(sum(counts)), *map(str, counts))
        for name, counts in (("images", d.images), ("units", d.units), ("images without a box", d.clean))
    ]
    rows += [(name, str(of.sum()), *map(str, of)) for name, of in zip(d.names, d.boxes.T, strict=True)]
    lines = []
    for name, parts in d.missing.items():
        units = int(d.class_units[d.names.index(name)])
        few = units < len(d.parts)
        why = (
            f"{counted(units, 'unit')} for {len(d.parts)} parts"
            if few
            else "its units hold other classes that are rare"
        )
        lines.append(f"{plain(name)} is missing in {listed(parts, 12)}: {why}")
    if absent := [plain(name) for name, units in zip(d.names, d.class_units, strict=True) if not units]:
        lines.append(f"Without a box: {listed(absent)}")
    if d.copies:
        lines.append(f"{counted(d.copies, 'copy', 'copies')} of other images: identical files lie in one part")
    if d.in_test:
        verb = "is identical to an image" if d.in_test == 1 else "are identical to images"
        lines.append(f"{counted(d.in_test, 'image')} of these parts {verb} of the test split")
    if d.left_out:
        whose = "its label" if len(d.left_out) == 1 else "their labels"
        lines.append(f"{counted(len(d.left_out), 'image')} left out, {whose} cannot be used ({d.left_out[0]})")
    return "\n".join([table(("boxes", "all", *d.parts), rows), *lines])
