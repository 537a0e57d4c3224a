"""The command line: one function per verb, plain values in, an exit code out."""

from __future__ import annotations

import argparse
import difflib
import json
import logging
import os
import shutil
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from yolo_balance.config import SECTION, apply_overrides, read_yaml
from yolo_balance.config.reading import AUTO
from yolo_balance.early_checks import check_analysis, check_calibration, check_prediction, check_report, check_run
from yolo_balance.errors import BalanceError, ConfigError
from yolo_balance.files import write_whole
from yolo_balance.parser import build_parser
from yolo_balance.text import plain
from yolo_balance.words import parse_overrides, parse_seeds

OK, USER_ERROR, UNKNOWN_ERROR, JUDGE_ERROR, INTERRUPTED = 0, 1, 3, 4, 130  # 2: gate cannot conclude


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 is success, 1 a user's error with one line for each problem, 3 a bug with its traceback. `gate` returns 0 if all
    targets are met, 1 if a target is missed, 2 if the report cannot decide, and 4 for a user's error.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = argparse.Namespace(verb="yolo_balance")
    _open_outputs()
    try:
        arguments = _parse(argv)
        threading.excepthook = _thread_stopped
        logging.raiseExceptions = False  # a log that cannot be written would print tracebacks
        code = VERBS[arguments.verb](arguments)
        sys.stdout.flush()
    except BalanceError as e:
        code = _user_error(str(e))
        return JUDGE_ERROR if given[:1] and given[0] in JUDGES else code
    except BrokenPipeError:  # the reader of the output has gone, as head does
        return _user_error("")
    except OSError as e:  # of a file, or of the output itself, as on a full disk
        return _user_error(f"{arguments.verb}: stopped ({' '.join(str(e).split())})")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return UNKNOWN_ERROR
    return code


def _open_outputs() -> None:
    """Send what would be printed to nowhere where the output was closed, as by `>&-`; Python has None there."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open to the end of the process


def _user_error(lines: str) -> int:
    """Print the lines of an error and return its exit code; output that cannot be written is dropped."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is sys.stderr:
                for line in lines.splitlines():
                    print(f"error: {line}", file=stream)
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python reports the same again at its end
    return USER_ERROR


def _thread_stopped(ended: threading.ExceptHookArgs) -> None:
    """Print the error of a thread in one line: Ultralytics draws its pictures in threads."""
    reason = f"{ended.exc_type.__name__}: {ended.exc_value}".splitlines()[0]
    print(f"warning: a thread stopped ({reason})", file=sys.stderr)


def _train(arguments: argparse.Namespace) -> int:
    file: str | None = arguments.file
    if file is not None and "=" in file and not os.path.exists(file):  # train data=mine.yaml: no file, an override
        arguments.overrides.insert(0, file)
        file = None
    overrides = _with_units(arguments)
    content = {SECTION: AUTO} if file is None else read_yaml(file)
    check_run(apply_overrides(content, overrides))
    from yolo_balance.integration.training.train import train  # torch and ultralytics are needed from here on

    train(file, **overrides)
    return OK


def _compare(arguments: argparse.Namespace) -> int:
    if isinstance(arguments.ray, str) and "=" in arguments.ray:  # --ray epochs=3: no address, an override
        arguments.overrides.append(arguments.ray)
        arguments.ray = True
    overrides = [word for word in arguments.arms if "=" in word and not os.path.exists(word)]  # --arms a.yaml epochs=3
    arms = [word for word in arguments.arms if word not in overrides]
    seeds, given = parse_seeds(arguments.seeds), parse_overrides(arguments.overrides + overrides)
    read_yaml(arguments.file)  # a file that is not there is named before torch is imported
    from yolo_balance.integration.compare import compare
    from yolo_balance.views.comparison.comparison_console import render

    comparison, files = compare(
        arguments.file,
        arms,
        seeds=seeds,
        jobs=arguments.jobs,
        ray=arguments.ray,
        cpus=arguments.cpus,
        out=arguments.out,
        oracle=arguments.oracle,
        say=_print,
        **given,
    )
    _print(f"\n{render(comparison)}\n\nWritten: {', '.join(map(str, files))}")
    return USER_ERROR if comparison.failed else OK


def _analyze(arguments: argparse.Namespace) -> int:
    if isinstance(arguments.suggest, str) and "=" in arguments.suggest:  # --suggest imgsz=320: no path, an override
        arguments.overrides.append(arguments.suggest)
        arguments.suggest = True
    if isinstance(arguments.preview, str) and "=" in arguments.preview:
        arguments.overrides.append(arguments.preview)
        arguments.preview = True
    overrides = parse_overrides(arguments.overrides)
    check_analysis(arguments.file, overrides)
    from yolo_balance.integration.analyze import analyze
    from yolo_balance.views.analysis.analysis_console import render

    suggestion, preview = arguments.suggest, arguments.preview
    analysis, files = analyze(
        arguments.file, out=arguments.out, suggestion=suggestion, preview=preview, overrides=overrides
    )
    width = min(max(shutil.get_terminal_size().columns, 60), 120)
    _print(f"\n{render(analysis, width)}\n\nWritten: {', '.join(map(str, files))}")
    return OK


def _split(arguments: argparse.Namespace) -> int:
    check_analysis(arguments.data, {})
    from yolo_balance.integration.split_data import split_data
    from yolo_balance.views.division_console import render_division

    division = split_data(
        arguments.data,
        folds=arguments.folds,
        val=arguments.val,
        test=arguments.test,
        units=arguments.units,
        out=arguments.out,
        seed=arguments.seed,
    )
    _print(f"{render_division(division)}\n\nWritten: {', '.join(map(str, division.files))}")
    return OK


def _report(arguments: argparse.Namespace) -> int:
    overrides = _with_units(arguments)
    check_report(arguments.weights, overrides, arguments.config)
    from yolo_balance.integration.finished.report_model import report  # torch and ultralytics are needed from here on

    report(arguments.weights, recall=arguments.config, out=arguments.out, **overrides)
    return OK


def _calibrate(arguments: argparse.Namespace) -> int:
    overrides = _with_units(arguments)
    check_calibration(arguments.run, overrides, arguments.config)
    from yolo_balance.integration.finished.calibrate_run import calibrate

    calibrate(arguments.run, recall=arguments.config, out=arguments.out, **overrides)
    return OK


def _gate(arguments: argparse.Namespace) -> int:
    from yolo_balance.config.targets import read_targets
    from yolo_balance.recall.decisions.gate import Gate
    from yolo_balance.recall.report import RecallReport
    from yolo_balance.views.recall.gate_console import render_gate

    report, targets = RecallReport.load(arguments.file), read_targets(arguments.targets)
    gate = Gate.of(report, targets, budget=arguments.budget)
    _print(render_gate(gate))
    return gate.exit_code


def _certify(arguments: argparse.Namespace) -> int:
    from yolo_balance.config.targets import read_targets
    from yolo_balance.recall.decisions.certificate import Terms
    from yolo_balance.recall.decisions.plan import plan_lines

    if arguments.weights is not None and "=" in arguments.weights and not os.path.exists(arguments.weights):
        arguments.overrides.insert(0, arguments.weights)  # --plan data=...: no weights
        arguments.weights = None
    overrides = _with_units(arguments)
    budget = 0.1 if arguments.budget is None and arguments.overkill is None else arguments.budget
    terms = Terms(
        targets=read_targets(arguments.targets) if arguments.targets else {},
        budget=budget,
        overkill=arguments.overkill,
        cap=arguments.cap,
        hit=arguments.hit,
        level=arguments.level,
        grows=arguments.grows,
        unit="image" if arguments.units is None else "part",
    )
    if arguments.plan:
        _print("\n".join(plan_lines(terms)))
        return OK
    if arguments.weights is None:
        raise ConfigError("weights: missing, expected a model; only --plan needs none")
    from yolo_balance.integration.finished.certify_model import certify

    return certify(
        arguments.weights, terms=terms, thresholds=arguments.thresholds, out=arguments.out, **overrides
    ).exit_code


def _predict(arguments: argparse.Namespace) -> int:
    overrides = parse_overrides(arguments.overrides)
    check_prediction(arguments.weights, arguments.source, overrides, arguments.thresholds)
    os.environ.setdefault("YOLO_OFFLINE", "true")  # read when Ultralytics is imported: it then fetches no package
    from yolo_balance.integration.prediction.predict import predict

    verdicts, file, left_out = predict(
        arguments.weights,
        arguments.source,
        thresholds=arguments.thresholds,
        arguments=overrides,
        each=lambda verdict: _print(str(verdict)),
    )
    zones = Counter({"pass": 0, "review": 0, "reject": 0})
    zones.update(verdict.zone for verdict in verdicts)
    counts = [f"{count} {zone}" for zone, count in zones.items()]
    _print("\n".join(["", ", ".join(counts), f"Written: {file}", *left_out]))
    return USER_ERROR if left_out else OK


def _init(arguments: argparse.Namespace) -> int:
    from yolo_balance.config.documents import run_yaml

    if arguments.path is None:
        print(run_yaml(), end="")
        return OK
    if os.path.lexists(arguments.path):
        raise ConfigError(f"{arguments.path}: expected the path of a new file, but this one exists")
    try:
        write_whole(Path(arguments.path), run_yaml())
    except (OSError, ValueError) as e:  # ValueError: a path without a name
        raise ConfigError(f"{arguments.path}: cannot be written ({getattr(e, 'strerror', None) or e})") from None
    _print(f"Written: {arguments.path}")
    return OK


def _validate(arguments: argparse.Namespace) -> int:
    from yolo_balance.config import BalanceConfig

    BalanceConfig.load(apply_overrides(read_yaml(arguments.file), parse_overrides(arguments.overrides)))
    _print(f"{arguments.file}: the balance section is valid; the keys of Ultralytics and the data were not checked")
    return OK


def _schema(arguments: argparse.Namespace) -> int:
    from yolo_balance.config.documents import json_schema

    print(json.dumps(json_schema(), indent=2))
    return OK


def _print(text: str) -> None:
    """Print, writing what the terminal's encoding lacks as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


def _with_units(arguments: argparse.Namespace) -> dict[str, object]:
    """Parse the overrides of a verb that takes --units, which is no YAML: a pattern has characters of its own."""
    units = {} if arguments.units is None else {"balance.recall.units": arguments.units}
    return {**parse_overrides(arguments.overrides), **units}


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; `key=value` words may also follow an option, where argparse itself does not take them."""
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words and not words[0].startswith("-") and words[0] not in VERBS:
        nearest = difflib.get_close_matches(words[0], VERBS, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}" if nearest else f"expected one of {', '.join(VERBS)}"
        parser.error(f"{plain(words[0])}: no such verb, {hint}")
    arguments, rest = parser.parse_known_args(words)
    takes = hasattr(arguments, "overrides")
    if unknown := [word for word in rest if word.startswith("-") or "=" not in word or not takes]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if takes:
        arguments.overrides += rest
    return arguments


JUDGES = ("gate", "certify")
"""Verbs whose exit code 1 is an answer."""
VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "train": _train,
    "compare": _compare,
    "analyze": _analyze,
    "split": _split,
    "report": _report,
    "calibrate": _calibrate,
    "gate": _gate,
    "certify": _certify,
    "predict": _predict,
    "init": _init,
    "validate": _validate,
    "schema": _schema,
}
