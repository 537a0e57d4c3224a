"""The package is typed: signatures name what they take, and the checker is silenced in few places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "yolo_balance").rglob("*.py"))
MOST_ANY, MOST_IGNORED = 29, 7


def annotations(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the annotations of all parameters and returned values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns


def with_any(source: str) -> list[str]:
    """Return `line: annotation` of each annotation that contains Any."""
    return [
        f"{annotation.lineno}: {ast.unparse(annotation)}"
        for annotation in annotations(ast.parse(source))
        if any("Any" in (getattr(n, "id", None), getattr(n, "attr", None)) for n in ast.walk(annotation))
    ]


def test_few_signatures_contain_any():
    places = [f"{file.relative_to(ROOT)}:{line}" for file in FILES for line in with_any(file.read_text("utf-8"))]
    assert len(places) <= MOST_ANY, "\n".join(places)


def test_the_checker_is_silenced_in_few_places():
    places = [
        f"{file.relative_to(ROOT)}:{number}"
        for file in FILES
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if "type: ignore" in line
    ]
    assert len(places) <= MOST_IGNORED, "\n".join(places)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(a: Any, b: int) -> dict[str, Any]: ...", 2),
        ("def f(*args: Any, **kwargs: typing.Any): ...", 2),
        ("def f(a, b: int) -> None:\n    c: Any = a", 0),
    ],
)
def test_parameters_and_returned_values_count(source, count):
    assert len(with_any(source)) == count
