"""Laws of image keys: folder, column or pattern, and every mistake in one line that names the first file."""

from __future__ import annotations

import pytest

from yolo_balance.config import BalanceConfig
from yolo_balance.errors import ConfigError
from yolo_balance.image_keys import ImageKeys, ImageTable

FILES = ["/data/cam1/part7_a.png", "/data/cam1/part7_b.png", "/data/cam2/part9.a.png"]


def keys(rule, files=FILES, folder=None):
    return ImageKeys.read(rule, option="--units", folder=folder).of(files)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("folder", ["cam1", "cam1", "cam2"]),
        (r"(part\d+)", ["part7", "part7", "part9"]),
        (r"[_.](\w)\.png$", ["a", "b", "a"]),
        (r"[_.](\w)$", ["a", "b", "a"]),  # without the suffix
    ],
)
def test_a_rule_on_names(rule, expected):
    assert keys(rule) == expected


@pytest.mark.parametrize(
    "rows",
    [
        "stem,tile\npart7_a,x\npart7_b,x\npart9.a,y\n",
        "tile,stem\nx,part7_a\nx,part7_b\ny,part9.a\n",
        "n;file;tile\n1;part7_a.png;x\n2;part7_b.PNG;x\n3;part9.a.png;y\n",
        "tile\tpath\nx\tcam1/part7_a.png\nx\tC:\\data\\cam1\\part7_b.png\n\ny\tcam2/part9.a\n".replace(
            "C:\\data\\", ""
        ),
        "\ufefffile, tile\npart7_a.png, x\npart7_b.png, x\npart9.a.png, y\nnobody.png, z\n",
        'file,tile\n"part7_a.png","x"\r\npart7_b.png,x\r\npart7_a.png,x\r\npart9.a.png,y\r\n',
    ],
)
def test_a_column_of_a_csv_file_whatever_its_shape(rows, tmp_path):
    (tmp_path / "meta.csv").write_text(rows, encoding="utf-8")
    assert keys("meta.csv:tile", folder=tmp_path) == ["x", "x", "y"]


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    (tmp_path / "meta.csv").write_text("file,part\ncam1/0001.png,a\ncam2/0001.png,b\n")
    assert keys("meta.csv:part", ["/d/cam2/0001.jpg", "/d/cam1/0001.jpg"], tmp_path) == ["b", "a"]


def test_the_file_is_looked_for_beside_the_data_then_in_the_working_folder(tmp_path, monkeypatch):
    beside = tmp_path / "data"
    beside.mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meta.csv").write_text("file,part\n1.png,here\n")
    assert keys("meta.csv:part", ["1.png"], beside) == ["here"]
    (beside / "meta.csv").write_text("file,part\n1.png,beside\n")
    assert keys("meta.csv:part", ["1.png"], beside) == ["beside"]
    assert keys("meta.csv:part", ["1.png"]) == ["here"]


@pytest.mark.parametrize(
    ("rule", "rows", "message"),
    [
        (r"(part\d)_", None, r"--units: (part\d)_ gives no key to part9.a.png"),
        ("(cam)", None, "--units: (cam) gives no key to part7_a.png and 2 more of 3 images"),
        ("(x)?part", None, "--units: (x)?part gives no key to part7_a.png and 2 more of 3 images"),
        ("part", None, r"--units: expected folder, FILE.csv:COLUMN or a regular expression with one group"),
        ("(a)(b)", None, r"--units: expected folder, FILE.csv:COLUMN or a regular expression with one group"),
        ("(a", None, "--units: expected folder, FILE.csv:COLUMN or a regular expression with one group (missing )"),
        ("none.csv:a", None, "--units: none.csv does not exist, neither in "),
        ("meta.csv:tile", "", "--units: meta.csv has no row"),
        ("meta.csv:tile", "file,tile\n", "--units: meta.csv has no row"),
        ("meta.csv:tile", "file,part\n1,2\n", "--units: meta.csv has no column tile, its columns are file and part"),
        ("meta.csv:tile", "file,tile\npart7_a,x\npart7_b\n", "--units: meta.csv, line 3: expected 2 fields, got 1"),
        (
            "meta.csv:tile",
            "file,tile\npart7_a,x\npart7_a,y\n",
            "gives part7_a.png more than one tile: x in line 2 and y",
        ),
        ("meta.csv:tile", "file,tile\npart7_a,x\npart9.a,y\n", "--units: meta.csv:tile gives no key to part7_b.png"),
        ("meta.csv:tile", "file,tile\npart7_a,x\npart7_b,\npart9.a,y\n", "gives no key to part7_b.png"),
        ("meta.csv:tile", "tile\nx\n", "--units: meta.csv:tile gives no key to part7_a.png and 2 more of 3 images"),
        ("meta.csv:tile", b"file,tile\npart7_a,\xe9\n", "--units: meta.csv cannot be read"),
    ],
)
def test_every_mistake_is_one_line(rule, rows, message, tmp_path):
    if rows is not None:
        (tmp_path / "meta.csv").write_bytes(rows if isinstance(rows, bytes) else rows.encode())
    with pytest.raises(ConfigError) as caught:
        keys(rule, folder=tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_schema_refuses_a_rule_that_is_none():
    assert BalanceConfig.load({"recall": {"units": "meta.csv:tile"}}).recall.units == "meta.csv:tile"
    with pytest.raises(ConfigError, match=r"balance\.recall\.units: expected folder, .* got part"):
        BalanceConfig.load({"recall": {"units": "part"}})


def test_an_image_without_a_row_is_none(tmp_path):
    (tmp_path / "f.csv").write_text("image,factor\npart7_b,2\n")
    table = ImageTable.read("f.csv", option="x", folder=tmp_path)
    assert table.of(FILES, "factor", option="x") == [None, "2", None]
