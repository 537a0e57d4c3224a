"""What the documentation says runs."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest
import yaml

import yolo_balance
from yolo_balance.config import SamplingConfig, dotted_keys
from yolo_balance.config.losses import LossesConfig

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


def test_cfg_explains_every_key():
    text = (ROOT / "cfg" / "defects.yaml").read_text()
    for key in dotted_keys():
        name = key.rpartition(".")[2]
        own_line = rf"^ +(# )?{name}: .*# .+"
        if key.count(".") > 1:
            assert re.search(own_line if key.count(".") == 2 else rf"\b{name}\b", text, re.MULTILINE), key


def test_keys_that_cfg_leaves_out_are_shown_at_their_defaults():
    text = (ROOT / "cfg" / "defects.yaml").read_text()
    shown = dict(re.findall(r"^    # (\w+): (.+?) +# ", text, re.MULTILINE))
    assert len(shown) > 5
    for key, value in shown.items():
        section = SamplingConfig() if hasattr(SamplingConfig(), key) else LossesConfig()
        assert yaml.safe_load(value) == getattr(section, key), key


def test_the_version_is_said_once_and_agrees():
    assert f'version = "{yolo_balance.__version__}"' in (ROOT / "pyproject.toml").read_text()
