"""Compares the surface in `protocols` with the installed Ultralytics: `python -m yolo_balance.integration.contract`.

Four kinds of line are printed, each with a place in this package that breaks:

* a name that one of our `import` statements takes and Ultralytics no longer has,
* a call of an imported function that its signature no longer accepts,
* a method that is missing, or whose parameters have other names or another order,
* an attribute that an object of a small run, built here, does not have.

The exit code is 0 when nothing is printed but the summary, else 1. A balanced run asks `check` for the methods before
it starts.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from types import FunctionType
from typing import get_type_hints, is_typeddict

import ultralytics
from torch import nn

from yolo_balance.errors import HostError
from yolo_balance.integration import protocols

FOLDER = Path(__file__).parent
COMMAND = f"python -m {__package__}.contract"
TASKS = {"detect": "Detection", "segment": "Segmentation", "pose": "Pose", "obb": "OBB"}
"""Folder of each task whose labels are boxes, and how the names of its classes begin."""


SURFACES: dict[type, tuple[str, ...]] = {
    protocols.Trainer: (
        *(f"models.yolo.{task}.train:{name}Trainer" for task, name in TASKS.items()),
        "models.yolo.classify.train:ClassificationTrainer",
        "models.rtdetr.train:RTDETRTrainer",
    ),
    protocols.Validator: (
        *(f"models.yolo.{task}.val:{name}Validator" for task, name in TASKS.items()),
        "models.rtdetr.val:RTDETRValidator",
    ),
    protocols.Predictor: ("models.yolo.detect.predict:DetectionPredictor",),
    protocols.Loader: ("data.build:InfiniteDataLoader",),
    protocols.Dataset: ("data.dataset:YOLODataset", "models.rtdetr.val:RTDETRDataset"),
    protocols.MixTransform: tuple(f"data.augment:{name}" for name in ("Mosaic", "MixUp", "CutMix", "CopyPaste")),
    protocols.Network: ("nn.tasks:DetectionModel", "nn.tasks:RTDETRDetectionModel"),
    protocols.Assigner: ("utils.tal:TaskAlignedAssigner", "utils.tal:RotatedTaskAlignedAssigner"),
    protocols.BoxLoss: ("utils.loss:BboxLoss", "utils.loss:RotatedBboxLoss"),
    protocols.DETRCriterion: ("models.utils.loss:DETRLoss",),
    protocols.Matcher: ("models.utils.ops:HungarianMatcher",),
    protocols.YOLOModel: ("engine.model:Model",),
    protocols.Prediction: ("engine.results:Results",),
}
"""Classes of Ultralytics that have the methods of each Protocol, as `module:class` inside `ultralytics`."""


def check() -> None:
    """Raise HostError, in one line, unless Ultralytics has the methods of SURFACES; builds nothing."""
    if problems := method_problems():
        more = f" (and {len(problems) - 1} more, see `{COMMAND}`)" if len(problems) > 1 else ""
        raise HostError(f"ultralytics {ultralytics.__version__} does not fit yolo_balance: {problems[0]}{more}")


def method_problems() -> list[str]:
    """Return one line for each method of SURFACES that Ultralytics lacks or takes other parameters in."""
    problems = []
    for protocol, places in SURFACES.items():
        for place in places:
            try:
                cls = resolve_name(f"ultralytics.{place}")
            except (ImportError, AttributeError):
                problems.append(f"ultralytics.{place.replace(':', '.')}: missing; it is our {protocol.__name__}")
            else:
                problems += problems_of_class(protocol, cls)
    return list(dict.fromkeys(problems))


def problems_of_class(protocol: type, cls: type) -> list[str]:
    """Return one line for each method of a Protocol that a class lacks or takes other parameters in."""
    problems = []
    for name, method in _methods(protocol).items():
        stock = getattr(cls, "forward" if name == "__call__" and hasattr(cls, "forward") else name, None)
        if stock is None or stock is nn.Module.forward:
            problems.append(f"{cls.__name__}.{name}: missing; {leans_on(name)}")
        elif not _accepts(method, stock):
            expected, got = (", ".join(_parameters(function)) for function in (method, stock))
            problems.append(f"{cls.__name__}.{name}: expected ({expected}), got ({got}); {leans_on(name)}")
    return problems


def problems_of_object(protocol: type, instance: object) -> list[str]:
    """Return one line for each attribute of a Protocol, or key of a TypedDict, that an object lacks."""
    problems, here = [], _release(ultralytics.__version__)
    for name, hint in get_type_hints(protocol, include_extras=True).items():
        missing = name not in instance if isinstance(instance, dict) else not hasattr(instance, name)
        (releases,) = getattr(hint, "__metadata__", (protocols.Releases(),))
        expected = _release(releases.first) <= here <= _release(releases.last)
        if missing and expected and name not in protocols.OURS:
            kind = "key" if is_typeddict(protocol) else "attribute"
            problems.append(f"{type(instance).__name__}.{name}: {kind} missing; {leans_on(name)}")
    return problems


def import_problems() -> list[str]:
    """Return one line for each name that we import, or function that we call, as Ultralytics no longer allows."""
    problems = []
    for file, tree in _sources().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("ultralytics"):
                continue
            for alias in node.names:
                try:
                    found = resolve_name(f"{node.module}:{alias.name}")
                except (ImportError, AttributeError):
                    problems.append(f"{node.module}.{alias.name}: missing; imported by {file}:{node.lineno}")
                    continue
                if inspect.isfunction(found):
                    problems += [
                        f"{node.module}.{alias.name}: {reason}; called by {file}:{line}"
                        for line, reason in _refused(found, tree, alias.asname or alias.name)
                    ]
    return problems


def leans_on(name: str) -> str:
    """Return the first places of this package that use an attribute, method or key of that name."""
    places = [
        f"{file}:{getattr(node, 'lineno', 0)}"
        for file, tree in _sources().items()
        for node in ast.walk(tree)
        if name in (getattr(node, "attr", None), getattr(node, "name", None), getattr(node, "value", None))
    ]
    return f"used by {', '.join(places[:3])}{', ...' if len(places) > 3 else ''}" if places else "used nowhere"


def main() -> int:
    """Print what the installed Ultralytics lacks, one line each; return the exit code."""
    # these import what may be missing, which then is a line and no traceback
    problems = import_problems() + method_problems()
    try:
        examples = importlib.import_module(f"{__package__}.contract_examples")
    except ImportError as e:
        problems.append(f"a small run cannot be built: {e}")
    else:
        problems += examples.problems()
    for line in problems:
        print(line)
    summary = f"{len(problems)} problems" if problems else "nothing is missing"
    print(f"ultralytics {ultralytics.__version__}: {summary}")
    return 1 if problems else 0


def _methods(protocol: type) -> dict[str, FunctionType]:
    return {
        name: member
        for base in reversed(protocol.__mro__)
        for name, member in vars(base).items()
        if isinstance(member, FunctionType) and member.__module__.startswith(protocols.__name__)
    }


def _parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: parameter for name, parameter in parameters.items() if name != "self"}


def _accepts(ours: Callable[..., object], stock: Callable[..., object]) -> bool:
    """Whether a method has the parameters of ours, in their order, and demands no other."""
    expected, got = _parameters(ours), _parameters(stock)
    kinds = [parameter.kind for parameter in got.values()]
    anything, any_name = inspect.Parameter.VAR_POSITIONAL in kinds, inspect.Parameter.VAR_KEYWORD in kinds
    placed = [n for n, p in expected.items() if p.kind not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    named = [n for n, p in expected.items() if p.kind == p.KEYWORD_ONLY]
    positional = [n for n, p in got.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    open_ended = any(p.kind == p.VAR_POSITIONAL for p in expected.values())
    demanded = [n for n, p in got.items() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return (
        placed[: len(positional)] == positional[: len(placed)]
        and (len(positional) >= len(placed) or anything)
        and all(name in got or any_name for name in named)
        and (open_ended or all(name in expected for name in demanded))
    )


def _refused(function: FunctionType, tree: ast.Module, name: str) -> Iterator[tuple[int, str]]:
    """Yield line and reason of each call in a file that a function's signature does not accept."""
    signature = inspect.signature(function)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != name:
            continue
        positional = [a for a in node.args if not isinstance(a, ast.Starred)]
        named = {k.arg: k for k in node.keywords if k.arg}
        whole = len(positional) == len(node.args) and len(named) == len(node.keywords)
        try:
            (signature.bind if whole else signature.bind_partial)(*positional, **named)
        except TypeError as e:
            yield node.lineno, str(e)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


@cache
def _sources() -> dict[str, ast.Module]:
    """Return the files of this room but for the contract's own, parsed, by path within the room."""
    own = {"protocols", "contract.py", "contract_examples.py"}
    return {
        str(file.relative_to(FOLDER)): ast.parse(file.read_text(encoding="utf-8"))
        for file in sorted(FOLDER.rglob("*.py"))
        if file.relative_to(FOLDER).parts[0] not in own
    }


if __name__ == "__main__":
    sys.exit(main())
