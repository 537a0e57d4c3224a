"""One process at a time trains in a folder; the lock of a dead one holds nobody up."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import psutil
import pytest

from yolo_balance.errors import ConfigError
from yolo_balance.run_folder.lock import RunLock
from yolo_balance.run_folder.names import LOCK


@pytest.fixture
def other():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()
    process.stdin.close()


def lock_of(folder, **changes):
    content = {"machine": socket.gethostname(), "pid": os.getpid(), "started": 0.0, **changes}
    (folder / LOCK).write_text(json.dumps(content))


def test_a_second_process_is_refused_while_the_first_lives(tmp_path, other):
    lock_of(tmp_path, pid=other.pid, started=other.create_time())
    with pytest.raises(ConfigError, match=f"process {other.pid} trains in this folder") as refused:
        RunLock(tmp_path)
    assert "\n" not in str(refused.value)
    other.kill()
    other.wait()
    RunLock(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


def test_a_number_that_another_process_has_got_since_is_no_lock(tmp_path, other):
    lock_of(tmp_path, pid=other.pid, started=other.create_time() - 60)
    RunLock(tmp_path)
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"machine": 1}', '{"machine": "m", "pid": "x", "started": 0}'])
def test_a_damaged_lock_is_no_lock(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    RunLock(tmp_path)
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_the_lock_of_another_machine_is_named(tmp_path, other):
    lock_of(tmp_path, machine="elsewhere", pid=other.pid, started=other.create_time())
    assert RunLock(tmp_path).other_machine == f"process {other.pid} on elsewhere"


def test_processes_that_a_run_starts_have_its_lock(tmp_path):
    mine = RunLock(tmp_path)
    RunLock(tmp_path)
    child = (
        "import sys, pathlib; from yolo_balance.run_folder.lock import RunLock; "
        "RunLock(pathlib.Path(sys.argv[1])).release()"
    )
    subprocess.run([sys.executable, "-c", child, str(tmp_path)], check=True)
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    mine.release()
    assert not (tmp_path / LOCK).exists()
