"""Rooms keep apart: who imports what, no circles, no two subjects under one name."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import yolo_balance

PACKAGE = Path(yolo_balance.__file__).parent
FILES = {
    ".".join(("yolo_balance", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
PURE = ("analysis", "comparison", "losses", "recall", "sampling", "synthesis")
OWNERS = {"rich": "views", "jinja2": "views", "matplotlib": "views", "ultralytics": "integration"}
"""Package from outside -> the only room that imports it."""

LAZY_CALLS = {("yolo_balance.recall.report", "yolo_balance.views.recall.report_console")}
"""Users print the report that `train` returns, so `RecallReport.__str__` calls the console table."""

LAZY_MODULES = {"yolo_balance", "yolo_balance.cli"}
"""Import inside functions, so that `import yolo_balance` and `--help` stay light."""

SAME_SUBJECT = {
    "synthesis": "the room, and the section of the YAML that configures it",
    "sampling": "the room, and the section of the YAML that configures it",
    "losses": "the room, and the section of the YAML that configures it",
    "recall": "the room, the section of the YAML that configures it, and what views draw of it",
    "comparison": "the room, its result, and what views draw of it",
    "analysis": "the room, its result, and what views draw of it",
    "conditions": "those of a validation, and those of a prediction beside them",
    "pixels": "what the analysis says of them, and how Ultralytics reads them",
}
"""Names that several modules or folders have, and why."""


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text(encoding="utf-8"))


@cache
def imports(module: str, *, inside_functions: bool = True) -> set[str]:
    """Names of what a module imports: modules of the package in full, packages from outside by their first part."""
    nodes = list(ast.walk(tree(module)))
    if not inside_functions:
        functions = [n for n in nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        inner = {id(n) for function in functions for n in ast.walk(function)}
        nodes = [n for n in nodes if id(n) not in inner]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in FILES else node.module for part in parts}
    return {name if name in FILES else name.partition(".")[0] for name in found}


def calls(module: str) -> set[str]:
    """Modules of the package that a module imports anywhere, but for the lazy call that is named above."""
    return {name for name in imports(module) if name in FILES and (module, name) not in LAZY_CALLS}


@pytest.mark.parametrize("module", FILES)
def test_each_package_from_outside_has_one_room(module):
    for package, owner in OWNERS.items():
        assert package not in imports(module) or room(module) == owner, f"{module} imports {package}"


@pytest.mark.parametrize("module", [name for name in FILES if room(name) in PURE])
def test_pure_rooms_know_neither_views_nor_integration(module):
    assert not {name for name in calls(module) if room(name) in {"views", "integration"}}


@pytest.mark.parametrize("module", [name for name in FILES if room(name) in {*PURE, "views", "config", "run_folder"}])
def test_imports_stand_at_the_top(module):
    inside = imports(module) - imports(module, inside_functions=False)
    assert {(module, name) for name in inside} <= LAZY_CALLS


def test_no_modules_import_each_other_in_a_circle():
    """A module is finished once all that it imports is; what is never finished is on a circle or above one."""
    left = {module: calls(module) - {module} for module in FILES if module not in LAZY_MODULES}
    while done := [module for module, needs in left.items() if not needs & left.keys()]:
        for module in done:
            del left[module]
    assert not left


def test_the_check_for_circles_sees_imports_inside_functions():
    assert "yolo_balance.views.recall.report_console" in imports("yolo_balance.recall.report")
    assert "yolo_balance.views.recall.report_console" not in imports(
        "yolo_balance.recall.report", inside_functions=False
    )


def test_no_two_modules_share_a_name_unless_they_share_a_subject():
    places = defaultdict(list)
    for module in FILES:
        places[module.rpartition(".")[2]].append(module)
    assert {name for name, modules in places.items() if len(modules) > 1} == SAME_SUBJECT.keys()


def test_no_two_public_classes_share_a_name():
    places = defaultdict(list)
    for module in FILES:
        for node in tree(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}
