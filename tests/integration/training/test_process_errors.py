"""A process of several devices that fails is one line, whatever it and PyTorch's launcher print."""

from __future__ import annotations

import os

import pytest
from helpers.failing_processes import FullDisk, Killed
from helpers.training import arguments
from ultralytics import YOLO

from yolo_balance import attach
from yolo_balance.errors import HostError
from yolo_balance.integration.training.process_errors import process_errors, reason_of
from yolo_balance.integration.training.trainer import BalancedTrainerMixin

LAUNCHER = """E1125 19:00:00 1 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 0
Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
"""
ONE = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: {0}

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 2, in <module>
{0}
"""


FULL = "OSError: [Errno 28] No space left on device: 'weights/last.pt'"


@pytest.mark.parametrize(
    ("way", "trainer", "reason"),
    [
        ("attach", FullDisk, FULL),
        pytest.param("class", FullDisk, FULL, marks=pytest.mark.long),
        pytest.param("attach", Killed, "killed by SIGKILL (out of memory?)", marks=pytest.mark.long),
    ],
)
def test_a_process_that_fails_is_one_line_and_prints_no_traceback(tiny_data, tmp_path, capfd, way, trainer, reason):
    model = YOLO("yolo11n.yaml")
    if way == "class":
        trainer = type("Balanced", (BalancedTrainerMixin, trainer), {"__module__": trainer.__module__})
    else:
        attach(model, {})
    with pytest.raises(HostError) as e:
        model.train(trainer=trainer, **arguments(tiny_data, tmp_path, "run"))
    assert str(e.value) == f"train: a process of several devices stopped ({reason})"
    assert e.value.__suppress_context__
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("tag", ["", "[rank1]: "])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("KeyError", "KeyError: "),
        ("torch.OutOfMemoryError: CUDA out of memory.", "OutOfMemoryError: CUDA out of memory."),
        ("yolo_balance.errors.ConfigError: a: no\nb: neither", "a: no; b: neither"),
    ],
)
def test_the_reason_is_the_error_of_the_last_traceback_of_a_process(tag, error, reason):
    lines = [f"{tag}{line}" for line in ONE.format(error).splitlines()]
    assert reason_of([*lines, *LAUNCHER.splitlines()]) == reason


def test_the_process_that_failed_first_has_the_reason():
    first, second = ([f"[rank{i}]: {line}" for line in ONE.format(f"OSError: {i}").splitlines()] for i in (1, 0))
    mixed = [line for pair in zip(first, second, strict=True) for line in pair]
    assert reason_of([*mixed, *LAUNCHER.splitlines()]) == "OSError: 1"


def test_without_a_traceback_the_signal_is_the_reason():
    assert reason_of(LAUNCHER.splitlines()) is None
    report = ["traceback : Signal 15 (SIGTERM) received by PID 2", "traceback : Signal 9 (SIGKILL) received by PID 1"]
    assert reason_of([*LAUNCHER.splitlines(), *report]) == "killed by SIGKILL (out of memory?)"


def test_what_succeeding_processes_print_goes_where_it_would_go(capfd):
    with process_errors():
        os.write(2, b"a warning\nTraceback (most recent call last):\n  of a thread\nOSError\n")
    assert capfd.readouterr().err == "a warning\nTraceback (most recent call last):\n  of a thread\nOSError\n"
    with pytest.raises(ZeroDivisionError), process_errors():
        _ = 1 / 0
