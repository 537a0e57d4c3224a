"""Laws of the architecture page: it names every room, its paths exist, and its table of imports is kept."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "yolo_balance"
PAGE = ROOT / "docs" / "architecture.md"
GUIDE = ROOT / "CONTRIBUTING.md"
ABOVE = "all rooms above"


def rooms() -> list[str]:
    folders = {file.parent.relative_to(PACKAGE) for file in PACKAGE.rglob("*") if file.suffix in {".py", ".html"}}
    named = sorted(str(folder) for folder in folders if folder.parts and not (PACKAGE / folder).name.startswith("__"))
    return [room for room in named if not room.startswith("views/templates/")]


def table() -> dict[str, set[str]]:
    """Return the rooms that each room may import, as the page states them."""
    allowed: dict[str, set[str]] = {}
    for room, imports in re.findall(r"^\| `([\w/]+)/` \|.*\| ?(.*?) ?\|$", PAGE.read_text(), re.MULTILINE):
        above = {other.partition("/")[0] for other in allowed}
        allowed[room] = above if imports == ABOVE else set(re.findall(r"`(\w+)/`", imports))
    return allowed


def imported(file: Path) -> Iterator[str]:
    """Yield the rooms that a file imports at its top."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module] if node.module != "yolo_balance" else [f"yolo_balance.{n.name}" for n in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "yolo_balance" and (PACKAGE / rest.partition(".")[0]).is_dir() and rest:
                yield rest.partition(".")[0]


def test_the_page_names_every_room_and_no_other():
    assert set(table()) == set(rooms())


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_what_the_page_allows(room):
    found = {other for file in (PACKAGE / room).glob("*.py") for other in imported(file)}
    assert found <= table()[room] | {room.partition("/")[0]}


def test_no_two_rooms_may_import_each_other():
    allowed = table()
    assert not [(a, b) for a, others in allowed.items() for b in others if a in allowed[b]]


@pytest.mark.parametrize("page", [PAGE, GUIDE], ids=lambda page: page.name)
def test_paths_that_a_page_names_exist(page):
    paths = set(re.findall(r"(?:yolo_balance|tests|docs|cfg|examples|\.ci)/[\w./]*[\w/]", page.read_text()))
    assert len(paths) > 4
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []
