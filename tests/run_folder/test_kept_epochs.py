"""Rows of a run that goes on: none doubled, none after its epoch, and of a damaged file all that is whole."""

from __future__ import annotations

import pytest

from yolo_balance.run_folder.kept_epochs import COLUMNS, keep_epochs
from yolo_balance.run_folder.names import EXPOSURE, RESULTS

HEADER = ",".join(COLUMNS[EXPOSURE])
ROWS = [f"{epoch},{name},0.5,0.5,0.25,0.25,8,0" for epoch in (1, 2, 3) for name in ("pit", '"two\nlines, quoted"')]
WHOLE = "\r\n".join([HEADER, *ROWS, ""]).encode()
RESULT = "epoch,time,loss\n1,1.5,0.25\n2,3,0.125\n3,4.5,0.0625\n"
COLUMNS_OF_CHECKPOINT = {"epoch": [1, 2, 3], "time": [1.5, 3.0, 4.5], "loss": [0.25, 0.125, 0.0625]}


def kept(tmp_path, content, last=2):
    path = tmp_path / EXPOSURE
    path.write_bytes(content)
    remarks = keep_epochs(tmp_path, last)
    return path.read_bytes(), remarks


def up_to(epoch):
    return "\r\n".join([HEADER, *ROWS[: 2 * epoch], ""]).encode()


def test_rows_after_the_epoch_go_and_a_whole_file_is_no_matter(tmp_path):
    assert kept(tmp_path, WHOLE) == (up_to(2), [])
    assert kept(tmp_path, WHOLE, last=3) == (WHOLE, [])


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (WHOLE + bytes(512), 4),
        (WHOLE[: len(up_to(2)) - 5], 3),
        (WHOLE[: len(up_to(1)) + 3] + bytes(64), 2),
        (up_to(1) + b"2,pit,half\r\n" + "\r\n".join(ROWS[3:]).encode() + b"\r\n", 3),
        (WHOLE.replace(b"2,pit,0.5", b"2,pit,\xff\xfe"), 3),
    ],
    ids=["null characters at the end", "cut", "cut and filled", "half a row in the middle", "bytes of a picture"],
)
def test_whole_rows_of_a_damaged_file_stay(tmp_path, content, rows):
    found, remarks = kept(tmp_path, content)
    assert found.startswith(HEADER.encode() + b"\r\n")
    assert len(remarks) == 1
    assert f"exposure.csv: was damaged; {rows} whole rows kept" in remarks[0]
    assert kept(tmp_path, found) == (found, [])


@pytest.mark.parametrize("content", [b"", bytes(300)])
def test_an_empty_file_gets_its_header_and_the_lost_epochs_are_named(tmp_path, content):
    found, remarks = kept(tmp_path, content)
    assert found == HEADER.encode() + b"\r\n"
    assert remarks == [f"{tmp_path / EXPOSURE}: was damaged; 0 whole rows kept; no row is left of epoch 1 and 2"]


def test_doubled_rows_are_one_the_last(tmp_path):
    doubled = up_to(2) + ROWS[0].replace("0.25,8", "0.75,9").encode() + b"\r\n"
    found, remarks = kept(tmp_path, doubled)
    assert remarks == []
    assert found == up_to(2).replace(ROWS[0].encode(), ROWS[0].replace("0.25,8", "0.75,9").encode())


@pytest.mark.parametrize("content", [b"", bytes(99), RESULT[:22].encode(), None])
def test_rows_of_results_csv_come_back_from_the_checkpoint(tmp_path, content):
    path = tmp_path / RESULTS
    if content is not None:
        path.write_bytes(content)
    (remark,) = keep_epochs(tmp_path, 2, COLUMNS_OF_CHECKPOINT)
    assert path.read_text() == "".join(RESULT.splitlines(keepends=True)[:3])
    assert "restored from the checkpoint" in remark


def test_without_a_checkpoint_an_empty_results_csv_makes_room_for_a_new_one(tmp_path):
    (tmp_path / RESULTS).write_bytes(b"")
    assert len(keep_epochs(tmp_path, 2)) == 1
    assert not (tmp_path / RESULTS).exists()
