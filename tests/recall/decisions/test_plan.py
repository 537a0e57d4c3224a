"""The planner of certificates, from the command line, without weights, data, torch or Ultralytics."""

from __future__ import annotations

import subprocess
import sys

import pytest

from yolo_balance.cli import main
from yolo_balance.recall.decisions.certificate import Terms
from yolo_balance.recall.decisions.plan import plan_lines


def test_a_plan_says_what_each_promise_takes():
    assert plan_lines(Terms({"crack": 0.9, "pit": 1.0}, unit="part")) == [
        "at most 0.1 false boxes per clean part (counting at most 3 a part): 109 clean parts at least, "
        "none with a false alarm",
        "  to use 50% of the budget, at one alarm a part: 127 clean parts",
        "  to use 70% of the budget, at one alarm a part: 352 clean parts",
        "  to use 80% of the budget, at one alarm a part: 820 clean parts",
        "crack of 0.9: 36 parts with crack at least, all found; 231 at a true recall of 0.95 (with a chance of 80%)",
        "pit of 1: no number of parts shows it",
    ]
    assert plan_lines(Terms(budget=None, overkill=0.05))[0] == (
        "at most 5.00% of clean images rejected: 72 clean images at least, none with a false alarm"
    )


def test_the_command_needs_no_weights_and_loads_neither_torch_nor_ultralytics():
    code = (
        "import sys; from yolo_balance.cli import main; code = main(['certify', '--plan']);"
        "assert not {'torch', 'ultralytics'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "109 clean images" in done.stdout


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--plan", "--overkill", "2"], "--overkill: expected a share above 0 and below 1, got 2"),
        (["--plan", "--budget", "3"], "--budget: expected false boxes above 0 and below --cap, 3, got 3"),
        (["--plan", "--budget", "0.1", "--overkill", "0.1"], "--overkill: expected no --budget beside it"),
        (["--plan", "--level", "95"], "--level: expected a level above 0 and below 1, got 95"),
        (["--plan", "--targets", "none.yaml"], "none.yaml: no such file"),
        (["--plan", "--cap", "many"], "argument --cap: invalid int value: 'many'"),
        ([], "weights: missing, expected a model; only --plan needs none"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_4(capsys, words, line):
    assert main(["certify", *words]) == 4
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"error: {line}")
