"""What the documentation says runs."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest

import yolo_balance

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PACKAGE = ROOT / "yolo_balance"
WITH_EXAMPLES = sorted(f for f in PACKAGE.rglob("*.py") if ">>> " in f.read_text())


@pytest.mark.parametrize("file", WITH_EXAMPLES, ids=lambda f: f.name)
def test_docstring_examples_run(file):
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_ci_runs_the_readme_s_own_test_command():
    assert "\npip install '.[test]' && pytest\n" in README
    assert r"grep -m 1 -o " + '"' + r"^pip install '\.\[test\]' && pytest$" in (ROOT / ".ci" / "run").read_text()


def test_the_readme_s_python_names_what_exists():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "yolo_balance":
                assert {alias.name for alias in node.names} <= set(yolo_balance.__all__)


def test_files_the_readme_links_to_exist():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in link:
            assert (ROOT / link).exists(), link


def test_the_version_is_said_once_and_agrees():
    assert f'version = "{yolo_balance.__version__}"' in (ROOT / "pyproject.toml").read_text()
