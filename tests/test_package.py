"""What the package promises as a whole: a light import, the names it exports, rooms that keep apart."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import yolo_balance

PACKAGE = Path(yolo_balance.__file__).parent
PURE = ["analysis", "comparison", "sampling", "losses", "recall", "page"]


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*{{m.partition('.')[0] for m in sys.modules}})"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_import_is_light():
    assert not modules_after("import yolo_balance") & {"torch", "ultralytics", "numpy", "cv2"}


def test_the_check_for_a_light_import_can_fail():
    assert {"torch", "ultralytics"} <= modules_after("import yolo_balance; yolo_balance.attach")


def test_a_file_can_be_checked_without_torch_or_ultralytics():
    assert not modules_after("import yolo_balance; yolo_balance.BalanceConfig.load({})") & {"torch", "ultralytics"}


@pytest.mark.parametrize("name", yolo_balance.__all__)
def test_exported_names_exist_and_are_documented(name):
    assert getattr(yolo_balance, name).__doc__
    assert name in dir(yolo_balance)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        yolo_balance.nonsense  # noqa: B018


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.partition(".")[0], node.module}
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_integration_room_imports_ultralytics(file):
    if "integration" not in file.parts:
        assert "ultralytics" not in imports(file)
    if any(room in file.parts for room in PURE):
        assert not any(m.startswith("yolo_balance.integration") for m in imports(file))


def test_every_template_is_shipped():
    root = Path(__file__).parents[1]  # of the sources; the package that is tested may be an installed one
    (patterns,) = re.findall(r"(?<=^yolo_balance = )\[.*\]$", (root / "pyproject.toml").read_text(), re.MULTILINE)
    sources = root / "yolo_balance"
    templates = {file.relative_to(sources) for file in sources.rglob("*.html")}
    assert {
        f.relative_to(sources) for pattern in ast.literal_eval(patterns) for f in sources.glob(pattern)
    } >= templates
    assert {file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.html")} == templates > set()
