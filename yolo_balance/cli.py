"""The command line: one function per verb, plain values in, an exit code out."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any, NoReturn

import yaml

from yolo_balance import __version__
from yolo_balance.errors import BalanceError, ConfigError

OK, USER_ERROR, UNKNOWN_ERROR, INTERRUPTED = 0, 1, 3, 130  # 2 is a verb's own answer: gate cannot conclude


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0 is success, 1 an error of the user's said in one line each, 3 a bug with its traceback. `gate` also answers by it:
    0 for targets that are met, 1 for one that is missed, 2 where the report cannot say.
    """
    try:
        arguments = _parse(argv)
        code: int = arguments.verb(arguments)
    except BalanceError as e:
        for line in str(e).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        return UNKNOWN_ERROR
    return code


def _train(arguments: argparse.Namespace) -> int:
    overrides = parse_overrides(arguments.overrides)
    from yolo_balance.integration.training.train import train  # torch and ultralytics are needed from here on

    train(arguments.file, **overrides)
    return OK


def _compare(arguments: argparse.Namespace) -> int:
    if isinstance(arguments.ray, str) and "=" in arguments.ray:  # --ray epochs=3: no address, an override
        arguments.overrides.append(arguments.ray)
        arguments.ray = True
    overrides = [word for word in arguments.arms if "=" in word and not os.path.exists(word)]  # --arms a.yaml epochs=3
    arms = [word for word in arguments.arms if word not in overrides]
    seeds, given = parse_seeds(arguments.seeds), parse_overrides(arguments.overrides + overrides)
    from yolo_balance.integration.compare import compare
    from yolo_balance.views.comparison.comparison_console import render

    def say(line: str) -> None:
        _print(line)
        sys.stdout.flush()

    comparison, files = compare(
        arguments.file,
        arms,
        seeds=seeds,
        jobs=arguments.jobs,
        ray=arguments.ray,
        cpus=arguments.cpus,
        out=arguments.out,
        say=say,
        **given,
    )
    _print(f"\n{render(comparison)}\n\nWritten: {', '.join(map(str, files))}")
    return USER_ERROR if comparison.failed else OK


def _analyze(arguments: argparse.Namespace) -> int:
    if isinstance(arguments.suggest, str) and "=" in arguments.suggest:  # --suggest imgsz=320: no path, an override
        arguments.overrides.append(arguments.suggest)
        arguments.suggest = True
    overrides = parse_overrides(arguments.overrides)
    from yolo_balance.integration.analyze import analyze
    from yolo_balance.views.analysis.analysis_console import render

    analysis, files = analyze(arguments.file, out=arguments.out, suggestion=arguments.suggest, overrides=overrides)
    width = min(max(shutil.get_terminal_size().columns, 60), 120)
    _print(f"\n{render(analysis, width)}\n\nWritten: {', '.join(map(str, files))}")
    return OK


def _report(arguments: argparse.Namespace) -> int:
    overrides = parse_overrides(arguments.overrides)
    from yolo_balance.integration.finished.report_model import report  # torch and ultralytics are needed from here on

    report(arguments.weights, recall=arguments.config, out=arguments.out, **overrides)
    return OK


def _calibrate(arguments: argparse.Namespace) -> int:
    overrides = parse_overrides(arguments.overrides)
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


def _predict(arguments: argparse.Namespace) -> int:
    overrides = parse_overrides(arguments.overrides)
    os.environ.setdefault("YOLO_OFFLINE", "true")  # read when the host is imported: it then fetches no package
    from yolo_balance.integration.prediction.predict import predict

    verdicts, file = predict(
        arguments.weights,
        arguments.source,
        thresholds=arguments.thresholds,
        arguments=overrides,
        each=lambda verdict: _print(str(verdict)),
    )
    zones = Counter(verdict.zone for verdict in verdicts)
    counts = [
        f"{zones[zone]} {zone}" for zone in ("pass", "review", "reject", "unread") if zone != "unread" or zones[zone]
    ]
    _print(f"\n{', '.join(counts)}\nWritten: {file}")
    return OK


def _print(text: str) -> None:
    """Print, writing what the terminal's encoding lacks as escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def parse_overrides(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as a mapping; values are read as YAML, so that 5, 0.1, true, null and [1, 2] mean the same.

    Raises:
        ConfigError: For every word that is not of that form.
    """
    overrides, problems = {}, []
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            problems.append(f"{word}: expected key=value, as in epochs=50 or balance.sampling.power=1.0")
            continue
        try:
            overrides[key] = _value(text)
        except yaml.YAMLError:
            problems.append(f"{key}: expected a YAML value, got {text}")
    if problems:
        raise ConfigError(problems)
    return overrides


def parse_seeds(text: str) -> list[int]:
    """`5` as the seeds 0 to 4, `0,3,7` as those three, `3,` as the one.

    Raises:
        ConfigError: For anything else.
    """
    try:
        return [int(word) for word in text.split(",") if word] if "," in text else list(range(int(text)))
    except ValueError:
        raise ConfigError(f"--seeds: expected a number of seeds or a list such as 0,3,7, got {text}") from None


def _value(text: str) -> Any:
    value = yaml.safe_load(text)
    if isinstance(value, str):
        try:
            return float(value)  # 1e-3 is a number to everyone but YAML 1.1
        except ValueError:
            return value
    return value


class _Parser(argparse.ArgumentParser):
    """Usage errors like all others: one line, exit code 1."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; `key=value` words may also follow an option, where argparse itself does not take them."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    takes = hasattr(arguments, "overrides")
    if unknown := [word for word in rest if word.startswith("-") or "=" not in word or not takes]:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if takes:
        arguments.overrides += rest
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="yolo_balance", description="Train detectors that must not miss the rare class.")
    parser.add_argument("--version", action="version", version=f"yolo_balance {__version__}")
    verbs = parser.add_subparsers(metavar="verb", required=True, parser_class=_Parser)
    train = verbs.add_parser("train", help="train as a YAML says and read recall per class")
    train.add_argument("file", help="YAML: what Ultralytics accepts, and our sections under balance:")
    train.add_argument("overrides", nargs="*", metavar="key=value", help="replaces a key of the file, dotted or not")
    train.set_defaults(verb=_train)
    compare = verbs.add_parser(
        "compare",
        help="train arms at several seeds and say what they differ by",
        epilog="exit code: 0 every run finished; 1 one failed, or an error in one line; 3 a bug",
    )
    compare.add_argument("file", metavar="CONFIG", help="YAML of a run, that every arm is laid over")
    compare.add_argument("overrides", nargs="*", metavar="key=value", help="replaces a key of CONFIG, dotted or not")
    compare.add_argument(
        "--arms",
        nargs="+",
        default=[],
        metavar="ARM",
        help="YAML of what each arm changes, the first is compared with; CONFIG itself when left out",
    )
    compare.add_argument("--seeds", default="5", metavar="5", help="how many, from 0 on, or a list such as 0,3,7")
    compare.add_argument("--jobs", type=int, default=1, metavar="N", help="runs side by side on the device; 1")
    compare.add_argument(
        "--ray",
        nargs="?",
        const=True,
        default=False,
        metavar="ADDRESS",
        help="run on a Ray cluster, --jobs runs on each GPU; that of RAY_ADDRESS, else this machine, without ADDRESS",
    )
    compare.add_argument("--cpus", type=int, metavar="N", help="CPUs that a run takes with --ray; 1")
    compare.add_argument("--out", metavar="FOLDER", help="folder of runs and results; <stem>_compare when left out")
    compare.set_defaults(verb=_compare)
    analyze = verbs.add_parser("analyze", help="say what imbalance costs before any training")
    analyze.add_argument("file", help="a data YAML or a whole run's YAML")
    analyze.add_argument("overrides", nargs="*", metavar="key=value", help="replaces a key of the run, dotted or not")
    analyze.add_argument("--out", metavar="FOLDER", help="folder of the files; <stem>_analysis when left out")
    analyze.add_argument(
        "--suggest",
        nargs="?",
        const=True,
        default=False,
        metavar="PATH",
        help="also write a commented YAML to start from; suggested.yaml in FOLDER when no PATH is given",
    )
    analyze.set_defaults(verb=_analyze)
    report = verbs.add_parser("report", help="read the recall per class of a finished model on a split")
    report.add_argument("weights", help="any model Ultralytics validates: best.pt, best.onnx, ...")
    report.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="data=... (required), split=val|test|train, what else Ultralytics' val accepts, and balance.recall.* keys",
    )
    report.add_argument("--out", metavar="FOLDER", help="folder of the files; Ultralytics' own when left out")
    report.add_argument("--config", metavar="CFG", help="a run's YAML whose balance.recall section is used")
    report.set_defaults(verb=_report)
    calibrate = verbs.add_parser("calibrate", help="adjust class scores of a finished run without training it again")
    calibrate.add_argument("run", metavar="RUN", help="folder of the run, which stays as it is")
    keys = "balance.recall.calibration.* and other balance.recall keys, and what Ultralytics' val accepts"
    calibrate.add_argument("overrides", nargs="*", metavar="key=value", help=keys)
    calibrate.add_argument("--out", metavar="FOLDER", help="folder of the calibrated run; RUN_calibrated when left out")
    calibrate.add_argument("--config", metavar="CFG", help="a run's YAML whose balance.recall is used; RUN's otherwise")
    calibrate.set_defaults(verb=_calibrate)
    gate = verbs.add_parser(
        "gate",
        help="check promised recall against a recall.json",
        epilog="exit code: 0 all targets are met; 1 one is missed, or an error in one line; 2 none is missed, and the "
        "report cannot say of one (too few objects, or none); 3 a bug",
    )
    gate.add_argument("file", metavar="RECALL_JSON", help="the recall.json of a run or of report")
    gate.add_argument(
        "--targets", required=True, metavar="CFG", help="YAML: a run's balance.recall.targets, or lines crack: 0.95"
    )
    gate.add_argument(
        "--budget", type=float, metavar="0.1", help="false boxes per clean image; the report's first when left out"
    )
    gate.set_defaults(verb=_gate)
    predict = verbs.add_parser("predict", help="pass, review or reject images at the thresholds of a model")
    predict.add_argument("weights", metavar="WEIGHTS", help="a checkpoint or exported model")
    predict.add_argument("source", metavar="SOURCE", help="an image, a video, a folder or a glob")
    predict.add_argument("overrides", nargs="*", metavar="key=value", help="what Ultralytics' predict accepts")
    predict.add_argument("--thresholds", metavar="PATH", help="thresholds.yaml; that beside the weights when left out")
    predict.set_defaults(verb=_predict)
    return parser
