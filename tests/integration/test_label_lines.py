"""Lines of label files and data YAMLs that are not what the user meant."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ultralytics.data.utils import verify_image_label

from yolo_balance.cli import main
from yolo_balance.integration.label_lines import misread_names, row_at_fault

BOX, POLYGON, POSE = "0 0.5 0.5 0.2 0.2", "0 0.1 0.1 0.5 0.1 0.5 0.5", "0 0.5 0.5 0.2 0.2 0.1 0.1 2 0.5 0.5 2"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        *((BOX, bad) for bad in (f"{BOX} 0.9", "crack 0.5 0.5 0.2 0.2", "0,0.5,0.5,0.2,0.2", "0 1.5 0.5 0.2 0.2", "0 0.5")),
        *((BOX, bad) for bad in ("3 0.5 0.5 0.2 0.2", "-1 0.5 0.5 0.2 0.2", "0 -0.5 0.5 0.2 0.2")),
        *((POLYGON, bad) for bad in (BOX, f"{POLYGON} 0.5", POLYGON.replace("0.1", "1.9"))),
        *((POSE, bad) for bad in (BOX, POSE.replace("0.1 0.1 2", "1.1 0.1 2"))),
    ],
)  # fmt: skip
def test_the_line_is_that_without_which_ultralytics_takes_the_file(tmp_path, good, bad):
    image, label = tmp_path / "a.png", tmp_path / "a.txt"
    cv2.imwrite(str(image), np.zeros((16, 16, 3), np.uint8))
    points = (True, 2, 3) if good == POSE else (False, 0, 0)

    def refused():
        keypoint, number, dimensions = points
        answer = verify_image_label((str(image), str(label), "", keypoint, 3, number, dimensions, False))
        return answer[0] is None

    numbers = 11 if good == POSE else 5
    label.write_text(f"{good}\n\n{good}\n")
    assert not refused()
    assert row_at_fault(label, 3, numbers, points[2]) is None
    label.write_text(f"{good}\n\n{bad}\n{good}\n")
    assert refused()
    assert row_at_fault(label, 3, numbers, points[2]) == 3


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("[ok, NO, on, 010, 1.10, ~, 'NO', crack]", [(1, "NO", "False"), (2, "on", "True"), (3, "010", "8"), (4, "1.10", "1.1"), (5, "~", "None")]),
        ("{0: yes, 1: \"no\", 2: 7}", [(0, "yes", "True")]),
        ("{0: 2020-01-01}", []),
        ("3", []),
    ],
)  # fmt: skip
def test_names_that_yaml_reads_otherwise_are_named_with_their_line(tmp_path, names, found):
    file = tmp_path / "data.yaml"
    file.write_text(f"train: x\nnames: {names}\n")
    assert misread_names(file) == [
        f"{file}, line 2: the name of class {i} is written {text} and read as {value}; write it in quotes"
        for i, text, value in found
    ]


def test_a_file_that_is_no_data_yaml_has_no_misread_names(tmp_path):
    (tmp_path / "a.yaml").write_text("- [")
    assert misread_names(tmp_path / "a.yaml") == misread_names(tmp_path / "none.yaml") == []


def test_analyze_warns_of_a_misread_name(make_data, tmp_path, caplog):
    data = make_data([[0], [1]], [[0]])
    data.write_text(data.read_text().replace("pit", "NO"))
    assert main(["analyze", str(data), "--out", str(tmp_path / "out")]) == 0
    assert caplog.text.count("the name of class 1 is written NO and read as False; write it in quotes") == 1
