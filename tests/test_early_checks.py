"""The command line before torch: verbs, arguments and missing files are refused without loading it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from yolo_balance import cli
from yolo_balance.cli import VERBS, main
from yolo_balance.early_checks import argument_problems, model_problems
from yolo_balance.parser import build_parser

HEAVY = """
import sys
from yolo_balance.cli import main
codes = [main(words.split()) for words in sys.stdin.read().splitlines()]
print(codes, sorted({'torch', 'ultralytics', 'numpy'} & set(sys.modules)))
"""
MISTAKES = {
    "train": ["model: missing", "data: missing"],
    "train data=mine.yaml model=yolo26n.pt": ["data: mine.yaml cannot be used"],
    "train data=coco8.yaml model=yolo26n.pt epoch=3": ["epoch: unknown key, the nearest valid one is epochs"],
    "train data=coco8.yaml model=yolo26n.pt epochs=few lr0=fast amp=5": [
        "epochs: expected an integer, got few",
        "lr0: expected a number, got fast",
    ],
    "train data=coco8.yaml model=mine.pt": ["model: mine.pt is not a file"],
    "train data=coco8.yaml model=yolo99.yaml": ["model: yolo99.yaml cannot be loaded"],
    "train data=coco8.yaml model=yolo26n.pt balance.losses.isrr=1": ["balance.losses.isrr: unknown key"],
    "train none.yaml": ["none.yaml: no such file"],
    "compare none.yaml": ["none.yaml: no such file"],
    "analyze none.yaml": ["data: none.yaml cannot be used"],
    "split none.yaml": ["data: none.yaml cannot be used"],
    "report none.pt": ["weights: expected a file with a trained model, got none.pt", "data: missing"],
    "calibrate none": ["none: expected the folder of a finished run"],
    "predict none.pt none": ["weights: expected", "source: expected"],
    "tran data=mine.yaml": ["tran: no such verb, did you mean train"],
}


def test_mistakes_are_named_before_torch_is_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HEAVY],
        input="\n".join(MISTAKES),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    lines = done.stderr.splitlines()
    expected = [line for lines in MISTAKES.values() for line in lines]
    assert done.stdout.strip() == f"{[1] * len(MISTAKES)} []"
    assert len(lines) == len(expected), done.stderr
    assert all(line.startswith(f"error: {start}") for line, start in zip(lines, expected, strict=True)), done.stderr


def test_no_argument_at_ultralytics_own_default_is_refused():
    from ultralytics.cfg import DEFAULT_CFG_DICT

    assert argument_problems(DEFAULT_CFG_DICT) == []
    assert argument_problems({"fraction": [0.5, 1.0, 1.0], "lr0": 1, "epochs": None, "augmentations": []}) == []


@pytest.mark.parametrize("model", ["yolo26n.pt", "yolo11x-seg.yaml", "yolo26n", "yolov8.yaml", "https://x.org/mine.pt"])
def test_models_that_ultralytics_knows_are_not_refused(model):
    assert model_problems(model) == []


def test_a_model_on_disk_is_not_refused_whatever_its_name(tmp_path):
    (tmp_path / "mine.pt").write_text("")
    assert model_problems(str(tmp_path / "mine.pt")) == []


@pytest.mark.parametrize("words", [["help"], ["--help"], *(["help", verb] for verb in VERBS)], ids=" ".join)
def test_help_of_each_verb_has_an_example_the_place_of_results_and_of_keys(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    printed = capsys.readouterr().out
    assert ended.value.code == 0
    if len(words) == 2:
        assert all(f"\n{part}: " in printed for part in ("example", "results", "keys", "exit code"))
    assert max(map(len, printed.partition("\n\n")[2].splitlines())) <= 80


def test_examples_of_help_are_parsed():
    notes = [
        verb.epilog for action in build_parser()._actions for verb in (getattr(action, "choices", None) or {}).values()
    ]
    examples = [" ".join(note.partition("\nresults: ")[0].removeprefix("example: ").split()) for note in notes]
    assert len(examples) == len(VERBS)
    for example in examples:
        for command in example.partition(" > ")[0].split(" && "):
            arguments, rest = build_parser().parse_known_args(command.split()[1:])
            assert arguments.verb in VERBS
            assert all("=" in word for word in rest)


def test_the_section_of_a_file_is_checked_with_the_words(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump({"model": "yolo26n.pt", "data": "coco8.yaml", "balance": {"sampling": {"powr": 1}}}))
    assert main(["train", str(file), "epoch=2"]) == 1
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["balance.sampling.powr", "epoch"]


def test_the_page_of_exit_codes_has_each_code_of_the_command_line():
    page = (Path(__file__).parents[1] / "docs" / "exit_codes.md").read_text(encoding="utf-8")
    rows = [int(line.split("|")[1]) for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == sorted({cli.OK, cli.USER_ERROR, 2, cli.UNKNOWN_ERROR, cli.JUDGE_ERROR, cli.INTERRUPTED})
