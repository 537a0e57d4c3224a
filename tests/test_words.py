"""The words of the package: docstrings name their subject, and Ultralytics is called Ultralytics."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "yolo_balance"
OPENINGS = re.compile(r"(What|Of|That|Those|One of|How|Which|Its|Their)\b")
"""Words without a subject, which open no docstring and no entry of `Args` or `Attributes`."""
NO_VERBS = re.compile(r"(The|A|An|All|Both|Each|Every|Everything|One|No|This|These|It|They|Where|When|Why)\b")
"""Words that open no docstring of a function."""
PLURAL = re.compile(r"(?!Pass|Process|Discuss|Address|Guess|Press)[A-Z][a-z]+s\b")
"""Plural nouns, which open no docstring of a function either."""
NO_NAMES = {"told", "held", "said", "look", "that"}
"""Names that say nothing about a value."""
POINTERS = re.compile(r"(?<=[a-z`)]\. )(It|They|This|That|These|Those)\b (?=[a-z]+)")
"""Pronouns that point across a full stop."""
ENTRY = re.compile(r" {4,}\w+: (.+)")
HOST = re.compile(r"\bhosts?\b", re.IGNORECASE)
SUFFIXES = {".py", ".md", ".yaml", ".sh", ".html", ".j2", ".toml"}


PYTHON = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "examples").rglob("*.py")])
TEXTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *(
        path
        for folder in ("yolo_balance", "cfg", "docs", "examples")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES
    ),
]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstrings(tree: ast.AST) -> Iterator[tuple[ast.AST, int, str]]:
    """Yield (what is described, line, text) of every docstring, those of variables included."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for before, statement in zip([node, *node.body], node.body, strict=False):
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield before, statement.lineno, statement.value.value


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_docstrings_name_their_subject(path: Path) -> None:
    faults = []
    for node, line, text in docstrings(ast.parse(path.read_text(encoding="utf-8"))):
        entries = [entry[1] for entry in map(ENTRY.match, text.splitlines()) if entry]
        faults += [f"{line}: {first}" for first in [text.splitlines()[0], *entries] if OPENINGS.match(first)]
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_property(node)
        if function and (NO_VERBS.match(text) or PLURAL.match(text) or not re.match("[A-Z`]", text)):
            faults.append(f"{line}: expected an imperative verb: {text.splitlines()[0]}")
        faults += [
            f"{line}: ...{text[m.start() - 30 : m.end() + 20]}" for m in POINTERS.finditer(" ".join(text.split()))
        ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_ultralytics_is_called_by_its_name(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert not [f"{number}: {line}" for number, line in enumerate(lines, 1) if HOST.search(line)]


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_names_say_what_a_value_is(path: Path) -> None:
    faults = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        stored = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id
        name = stored or getattr(node, "arg", None) or getattr(node, "name", None)
        if isinstance(name, str) and name.strip("_") in NO_NAMES:
            faults.append(f"{getattr(node, 'lineno', 0)}: {name}")
    assert not faults, "\n".join(faults)
