"""Lines of a user's files at which a label or a class name is not what the user meant."""

from __future__ import annotations

from pathlib import Path

import yaml

from yolo_balance.bounded_files import read_text
from yolo_balance.text import plain

NUMBERS_OF_A_BOX = 5
LARGEST = 1.01
"""Coordinate above which Ultralytics refuses a label."""


def row_at_fault(label: Path, classes: int, numbers: int, dimensions: int) -> int | None:
    """Return the first line of a label file that Ultralytics refuses, from 1; None where no row by itself is at fault.

    Args:
        label: The file.
        classes: Number of classes.
        numbers: Numbers of a row: 5, or with key points 5 and those of the points; polygons have any number above 6.
        dimensions: Numbers of a key point, 2 or 3.
    """
    try:
        rows = label.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return None
    polygons = numbers == NUMBERS_OF_A_BOX and any(len(row.split()) > NUMBERS_OF_A_BOX + 1 for row in rows)
    for line, row in enumerate(rows, 1):
        try:
            values = [float(word) for word in row.split()]
        except ValueError:
            return line
        if not values:
            continue
        fits = len(values) % 2 and len(values) > NUMBERS_OF_A_BOX + 1 if polygons else len(values) == numbers
        points = values[1:]
        if polygons:  # the centre and the size of their box
            sides = [values[1::2], values[2::2]]
            points = [n for side in sides if side for n in ((min(side) + max(side)) / 2, max(side) - min(side))]
        if numbers > NUMBERS_OF_A_BOX and dimensions > 2:  # the third number of a key point is no coordinate
            points = [value for i, value in enumerate(values[NUMBERS_OF_A_BOX:]) if i % dimensions < 2]
        if not fits or not 0 <= values[0] < classes or any(not 0 <= value <= LARGEST for value in points):
            return line
    return None


def misread_names(data: str | Path) -> list[str]:
    """Return a line for each class name of a data YAML that YAML reads as another value: NO is false, 010 is 8."""
    try:
        root = yaml.compose(read_text(Path(data)), yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):  # Ultralytics looks for it elsewhere, or says what is wrong
        return []
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    names = next((value for key, value in pairs if key.value == "names"), None)
    nodes: list[tuple[str, yaml.Node]] = []
    if isinstance(names, yaml.SequenceNode):
        nodes = [(str(i), node) for i, node in enumerate(names.value)]
    elif isinstance(names, yaml.MappingNode):
        nodes = [(str(key.value), node) for key, node in names.value]
    lines = []
    for number, node in nodes:
        if not isinstance(node, yaml.ScalarNode) or node.style is not None:  # in quotes
            continue
        try:
            value = str(yaml.safe_load(node.value))
        except (ValueError, yaml.YAMLError):
            continue
        if value != node.value:
            lines.append(
                f"{data}, line {node.start_mark.line + 1}: the name of class {plain(number)} is written "
                f"{plain(node.value)} and read as {plain(value)}; write it in quotes"
            )
    return lines
