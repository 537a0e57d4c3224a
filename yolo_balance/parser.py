"""Arguments of every verb of the command line."""

from __future__ import annotations

import argparse
import textwrap
from typing import NoReturn, TypeAlias

from yolo_balance import __version__
from yolo_balance.errors import ConfigError

_Verbs: TypeAlias = "argparse._SubParsersAction[_Parser]"


class _Parser(argparse.ArgumentParser):
    """Parser whose usage errors are one line and exit code 1, as all other errors."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; the name of the chosen verb is `verb`."""
    parser = _Parser(prog="yolo_balance", description="Train detectors that must not miss the rare class.")
    parser.add_argument("--version", action="version", version=f"yolo_balance {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True, parser_class=_Parser)
    _add_training(verbs)
    _add_finished(verbs)
    _add_files(verbs)
    for verb in verbs.choices.values():
        verb.formatter_class = argparse.RawDescriptionHelpFormatter  # keeps the lines of the notes
    return parser


def _notes(example: str, *, results: str, keys: str, codes: str) -> str:
    """Return what stands below the options of a verb: an example, where results go, where keys are, exit codes."""
    parts = {"example": example, "results": results, "keys": keys, "exit code": f"{codes}; 3 a bug; 130 interrupted"}
    return "\n".join(
        textwrap.fill(f"{name}: {text}", 79, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for name, text in parts.items()
    )


def _add_overrides(verb: argparse.ArgumentParser, of: str) -> None:
    verb.add_argument("overrides", nargs="*", metavar="key=value", help=of)


def _add_units(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--units",
        metavar="RULE",
        help="FILE.csv:COLUMN, a regular expression with one group on file names, or folder: images of one part, which "
        "belong together (the key balance.recall.units)",
    )


def _add_training(verbs: _Verbs) -> None:
    """Add the verbs of a run that is to be trained."""
    train = verbs.add_parser(
        "train",
        help="train the run of a YAML, or of data= and model= alone, and report recall per class",
        usage="yolo_balance train [-h] [FILE] [data=DATA.yaml] [model=MODEL] [key=value ...] [--units RULE]",
        epilog=_notes(
            "yolo_balance train data=mine.yaml model=yolo26n.pt epochs=50",
            results="the run's folder, runs/detect/train or that of project= and name=; recall.html is the page",
            keys="docs/keys.md for balance.*; https://docs.ultralytics.com/usage/cfg for the others",
            codes="0; 1 an error in one line",
        ),
    )
    train.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="YAML of a run: the keys of Ultralytics, and the section balance:. Without it, balance: auto on "
        "Ultralytics' own defaults; data= and model= are then needed",
    )
    _add_overrides(train, "replaces a key of the file, dotted or not")
    _add_units(train)

    compare = verbs.add_parser(
        "compare",
        help="train arms at several seeds and report how they differ",
        usage="yolo_balance compare [-h] CONFIG [key=value ...] [--arms ARM ...] [--seeds 5] [options]",
        epilog=_notes(
            "yolo_balance compare run.yaml --arms stock.yaml auto.yaml --seeds 3",
            results="<stem of CONFIG>_compare, or FOLDER: compare.html, compare.json, compare.csv and every run",
            keys="docs/keys.md for balance.*; https://docs.ultralytics.com/usage/cfg for the others",
            codes="0 every run finished; 1 one failed, or an error in one line",
        ),
    )
    compare.add_argument("file", metavar="CONFIG", help="YAML of a run")
    _add_overrides(compare, "replaces a key of CONFIG, dotted or not")
    compare.add_argument(
        "--arms",
        nargs="+",
        default=[],
        metavar="ARM",
        help="one YAML per arm, with the keys of CONFIG that change; the first is the baseline. Default: CONFIG itself",
    )
    compare.add_argument(
        "--oracle",
        metavar="DATA",
        help="a data YAML with the same val and nothing removed from train: one more arm, stock on it, and the share "
        "of the gap between stock and the oracle that each arm closes",
    )
    compare.add_argument("--seeds", default="5", metavar="5", help="how many, from 0 on, or a list such as 0,3,7")
    compare.add_argument("--jobs", type=int, default=1, metavar="N", help="runs side by side on the device; 1")
    compare.add_argument(
        "--ray",
        nargs="?",
        const=True,
        default=False,
        metavar="ADDRESS",
        help="run on a Ray cluster, --jobs runs on each GPU. ADDRESS: RAY_ADDRESS, or this machine, when left out",
    )
    compare.add_argument("--cpus", type=int, metavar="N", help="CPUs of each run with --ray; 1")
    compare.add_argument("--out", metavar="FOLDER", help="folder of runs and results; <stem>_compare when left out")

    analyze = verbs.add_parser(
        "analyze",
        help="report the cost of imbalance before any training",
        usage="yolo_balance analyze [-h] FILE [key=value ...] [--out FOLDER] [--suggest [PATH]] [options]",
        epilog=_notes(
            "yolo_balance analyze mine.yaml --suggest",
            results="<stem of FILE>_analysis, or FOLDER: analysis.html, analysis.json",
            keys="docs/keys.md for balance.*; https://docs.ultralytics.com/usage/cfg for the others",
            codes="0; 1 an error in one line",
        ),
    )
    analyze.add_argument("file", metavar="FILE", help="a data YAML or a whole run's YAML")
    _add_overrides(analyze, "replaces a key of the run, dotted or not")
    analyze.add_argument("--out", metavar="FOLDER", help="folder of the files; <stem>_analysis when left out")
    analyze.add_argument(
        "--suggest",
        nargs="?",
        const=True,
        default=False,
        metavar="PATH",
        help="also write a commented YAML to start from; suggested.yaml in FOLDER when no PATH is given",
    )
    analyze.add_argument(
        "--preview",
        nargs="?",
        const=True,
        default=False,
        metavar="PATH",
        help="also draw training samples as the network will see them; preview.jpg in FOLDER when no PATH is given",
    )

    split = verbs.add_parser(
        "split",
        help="divide a data set into train and val, or folds, that each hold every class",
        epilog=_notes(
            "yolo_balance split mine.yaml --folds 5",
            results="<stem of DATA>_split, or FOLDER: lists and data YAMLs; the data stays as it is",
            keys="none, this verb has options only",
            codes="0; 1 an error in one line",
        ),
    )
    split.add_argument("data", metavar="DATA", help="a data YAML; the images of train and val are divided anew")
    split.add_argument("--folds", type=int, metavar="5", help="one YAML for each fold, which is its val")
    split.add_argument("--val", type=float, default=0.2, metavar="0.2", help="share of val without --folds; 0.2")
    split.add_argument("--test", type=float, default=0.0, metavar="0.1", help="share of a test part; none")
    _add_units(split)
    split.add_argument("--seed", type=int, default=0, metavar="0", help="same data, same seed, same parts; 0")
    split.add_argument("--out", metavar="FOLDER", help="a new or empty folder; <stem>_split when left out")


def _add_finished(verbs: _Verbs) -> None:
    """Add the verbs of a finished model."""
    report = verbs.add_parser(
        "report",
        help="read the recall per class of a finished model on a split",
        usage="yolo_balance report [-h] WEIGHTS data=DATA.yaml [split=val] [key=value ...] [--out FOLDER] [options]",
        epilog=_notes(
            "yolo_balance report runs/detect/train/weights/best.pt data=mine.yaml split=test --out test",
            results="runs/detect/val, or FOLDER: recall.html, recall.json, thresholds.yaml",
            keys="docs/keys.md, balance.recall.*; https://docs.ultralytics.com/usage/cfg for the others",
            codes="0; 1 an error in one line",
        ),
    )
    report.add_argument("weights", metavar="WEIGHTS", help="any model Ultralytics validates: best.pt, best.onnx, ...")
    _add_overrides(
        report,
        "data=... (required), split=val|test|train, what else Ultralytics' val accepts, and balance.recall.* keys",
    )
    report.add_argument("--out", metavar="FOLDER", help="folder of the files; Ultralytics' own when left out")
    report.add_argument("--config", metavar="CFG", help="a run's YAML whose balance.recall section is used")
    _add_units(report)

    calibrate = verbs.add_parser(
        "calibrate",
        help="adjust class scores of a finished run without training it again",
        usage="yolo_balance calibrate [-h] RUN [key=value ...] [--out FOLDER] [--config CFG] [--units RULE]",
        epilog=_notes(
            "yolo_balance calibrate runs/detect/train balance.recall.calibration.rule=fitted",
            results="RUN_calibrated, or FOLDER: weights/best.pt, recall.html, thresholds.yaml; RUN stays as it is",
            keys="docs/keys.md, balance.recall.*; https://docs.ultralytics.com/usage/cfg for the others",
            codes="0; 1 an error in one line",
        ),
    )
    calibrate.add_argument("run", metavar="RUN", help="folder of the run, which stays as it is")
    _add_overrides(
        calibrate, "balance.recall.calibration.* and other balance.recall keys, and what Ultralytics' val accepts"
    )
    calibrate.add_argument("--out", metavar="FOLDER", help="folder of the calibrated run; RUN_calibrated when left out")
    calibrate.add_argument("--config", metavar="CFG", help="a run's YAML whose balance.recall is used; RUN's otherwise")
    _add_units(calibrate)

    gate = verbs.add_parser(
        "gate",
        help="check promised recall against a recall.json",
        epilog=_notes(
            "yolo_balance gate runs/detect/train/recall.json --targets run.yaml",
            results="printed only",
            keys="docs/keys.md, balance.recall.targets",
            codes="0 all targets are met; 1 one is missed; 2 none is missed, and the report cannot say of one (too few "
            "objects, or none); 4 an error in arguments or files, in one line each",
        ),
    )
    gate.add_argument("file", metavar="RECALL_JSON", help="the recall.json of a run or of report")
    gate.add_argument(
        "--targets", required=True, metavar="CFG", help="YAML: a run's balance.recall.targets, or lines crack: 0.95"
    )
    gate.add_argument(
        "--budget", type=float, metavar="0.1", help="false boxes per clean image; the report's first when left out"
    )

    certify = verbs.add_parser(
        "certify",
        help="certify what a model promises on the next parts, on a split that chose nothing",
        epilog=_notes(
            "yolo_balance certify best.pt data=mine.yaml split=test --targets run.yaml",
            results="FOLDER of --out, or Ultralytics' own: certificate.json",
            keys="docs/keys.md, balance.recall.*",
            codes="0 certified; 1 refuted; 2 not yet certified; 4 an error in arguments or files, in one line each",
        ),
    )
    certify.add_argument("weights", nargs="?", help="a model, as for report; none with --plan")
    _add_overrides(certify, "data=... (required), split=..., what else Ultralytics' val accepts")
    certify.add_argument("--thresholds", metavar="PATH", help="thresholds.yaml; that beside the weights when left out")
    certify.add_argument("--targets", metavar="CFG", help="YAML of promised recall, as for gate; else bounds alone")
    certify.add_argument("--budget", type=float, metavar="0.1", help="false boxes per clean unit; 0.1")
    certify.add_argument("--overkill", type=float, metavar="0.05", help="share of rejected clean units instead")
    certify.add_argument("--cap", type=int, default=3, metavar="3", help="false boxes that a unit counts at most; 3")
    certify.add_argument("--hit", choices=("all", "any", "objects"), default="all", help="share that recall means; all")
    certify.add_argument("--level", type=float, default=0.95, metavar="0.95", help="confidence of the statement; 0.95")
    certify.add_argument(
        "--grows", action="store_true", help="data will grow and be looked at again: look k spends (1 - level) / 2^k"
    )
    certify.add_argument("--plan", action="store_true", help="only say how many units it takes; no weights are needed")
    certify.add_argument("--out", metavar="FOLDER", help="folder of the files; Ultralytics' own when left out")
    _add_units(certify)

    predict = verbs.add_parser(
        "predict",
        help="pass, review or reject images at the thresholds of a model",
        usage="yolo_balance predict [-h] WEIGHTS SOURCE [key=value ...] [--thresholds PATH]",
        epilog=_notes(
            "yolo_balance predict runs/detect/train/weights/best.pt parts/",
            results="runs/detect/predict, or that of project= and name=: zones.csv and the images with boxes",
            keys="https://docs.ultralytics.com/usage/cfg, what predict accepts",
            codes="0; 1 images of SOURCE are not judged, or an error in one line",
        ),
    )
    predict.add_argument("weights", metavar="WEIGHTS", help="a checkpoint or exported model")
    predict.add_argument("source", metavar="SOURCE", help="an image, a video, a folder or a glob")
    _add_overrides(predict, "what Ultralytics' predict accepts")
    predict.add_argument("--thresholds", metavar="PATH", help="thresholds.yaml; that beside the weights when left out")


def _add_files(verbs: _Verbs) -> None:
    """Add the verbs of a YAML alone."""
    init = verbs.add_parser(
        "init",
        help="write a commented YAML of every key to start from",
        epilog=_notes(
            "yolo_balance init run.yaml && yolo_balance train run.yaml data=mine.yaml",
            results="PATH, or standard output",
            keys="each is in the file; also docs/keys.md",
            codes="0; 1 PATH exists or cannot be written",
        ),
    )
    init.add_argument("path", nargs="?", metavar="PATH", help="a new file; standard output when left out")

    validate = verbs.add_parser(
        "validate",
        help="check the balance: section of a YAML without data, torch or Ultralytics",
        usage="yolo_balance validate [-h] FILE [key=value ...]",
        epilog=_notes(
            "yolo_balance validate run.yaml balance.sampling.power=0.75",
            results="printed only",
            keys="docs/keys.md",
            codes="0 the section is valid; 1 it is not, with every problem in one line each",
        ),
    )
    validate.add_argument("file", metavar="FILE", help="YAML of a run")
    _add_overrides(validate, "replaces a key of FILE, dotted or not")

    verbs.add_parser(
        "schema",
        help="print the JSON Schema of a run's YAML for editors",
        epilog=_notes(
            "yolo_balance schema > schema.json, and in the first line of the YAML "
            "# yaml-language-server: $schema=schema.json",
            results="standard output",
            keys="docs/keys.md says the same in words",
            codes="0",
        ),
    )
