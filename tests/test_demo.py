"""Laws of the generated data set: counts, outlines, reproducibility, and what an interrupted call leaves behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from yolo_balance import demo

NUMBERS = {"train": demo.TRAIN_BOXES, "val": demo.VAL_BOXES}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.generate(tmp_path_factory.mktemp("demo") / "set").parent


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set of a few images, for laws that do not depend on the counts and need several sets."""
    boxes = (3, 1, 1, 1, 1, 1)
    monkeypatch.setattr(demo, "SPLITS", {"train": (boxes, 3, 4), "val": (boxes, 4, 5)})


def labels(root: Path, split: str) -> list[list[tuple[int, np.ndarray]]]:
    """Per image, in file order: class and outline (n, 2) of each label line."""
    images = []
    for file in sorted((root / "labels" / split).glob("*.txt")):
        rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines()]
        images.append([(int(row[0]), np.array(row[1:], float).reshape(-1, 2)) for row in rows])
    return images


def contents(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def test_data_yaml_names_the_classes_and_can_be_moved(root: Path) -> None:
    data = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
    assert data == {"train": "images/train", "val": "images/val", "names": dict(enumerate(demo.CLASSES))}
    assert len(demo.CLASSES) >= 5


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_image_has_a_label_file_and_most_are_clean(root: Path, split: str) -> None:
    images = sorted(file.stem for file in (root / "images" / split).iterdir())
    assert images == sorted(file.stem for file in (root / "labels" / split).iterdir())
    clean = sum(not image for image in labels(root, split))
    assert clean > len(images) / 2
    assert clean >= 100


@pytest.mark.parametrize("split", ["train", "val"])
def test_boxes_are_counted_by_construction(root: Path, split: str) -> None:
    counts = Counter(c for image in labels(root, split) for c, _ in image)
    assert tuple(counts[c] for c in range(len(demo.CLASSES))) == NUMBERS[split]


def test_train_falls_in_a_long_tail_and_val_does_not() -> None:
    assert list(demo.TRAIN_BOXES) == sorted(demo.TRAIN_BOXES, reverse=True)
    assert demo.TRAIN_BOXES[0] >= 100 * demo.TRAIN_BOXES[-1]
    assert demo.TRAIN_BOXES[-1] >= 3
    assert all(15 <= boxes <= 25 for boxes in demo.VAL_BOXES)


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_outline_is_a_polygon_inside_the_image(root: Path, split: str) -> None:
    for image in labels(root, split):
        for _, outline in image:
            assert len(outline) >= 4
            assert outline.min() > 0
            assert outline.max() < 1
            assert (np.ptp(outline, axis=0) * demo.SIZE >= 5).all(), "a box too thin to be matched by IoU"


@pytest.mark.parametrize("name", demo.CLASSES)
def test_the_outline_holds_the_whole_change_and_little_else(name: str) -> None:
    for seed in range(10):
        change, outline = demo.DRAWERS[name](np.random.default_rng(seed))
        x, y = np.meshgrid(np.arange(demo.SIZE) + 0.5, np.arange(demo.SIZE) + 0.5)
        polygon = outline.astype(np.float32).reshape(-1, 1, 2)
        depth = [cv2.pointPolygonTest(polygon, (float(a), float(b)), True) for a, b in zip(x.flat, y.flat, strict=True)]
        distance = np.reshape(depth, change.shape)  # pixels, positive inside
        assert np.abs(change[distance < -2.5]).max() == 0  # the blur reaches 2.4
        assert np.abs(change[distance > 0]).mean() > 10


def test_a_defect_is_seen_against_the_same_clean_surface() -> None:
    clean, _ = demo.draw(np.random.default_rng(1), [])
    image, ((c, outline),) = demo.draw(np.random.default_rng(1), [0])
    mask = np.zeros_like(clean)
    cv2.fillPoly(mask, [np.rint(outline - 0.5).astype(np.int32)], 1)
    changed = cv2.absdiff(clean, image)
    assert c == 0
    assert changed[mask > 0].mean() > 15
    assert changed[cv2.dilate(mask, np.ones((7, 7), np.uint8)) == 0].max() == 0


@pytest.mark.usefixtures("small")
def test_same_seed_same_bytes_and_another_seed_other_bytes(tmp_path: Path) -> None:
    first, second = (demo.generate(tmp_path / name, seed=3).parent for name in "ab")
    other = demo.generate(tmp_path / "c", seed=4).parent
    assert contents(first) == contents(second)
    assert contents(first) != contents(other)


@pytest.mark.usefixtures("small")
def test_a_complete_set_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml_file = demo.generate(tmp_path / "set")
    monkeypatch.setattr(demo, "draw", lambda *_: pytest.fail("drawn again"))
    assert demo.generate(tmp_path / "set") == yaml_file


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("change", ["seed", "version", "file lost", "empty folder"])
def test_a_stale_or_damaged_set_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    root, seed = tmp_path / "set", 0
    if change == "empty folder":
        root.mkdir()
    else:
        demo.generate(root)
    if change == "seed":
        seed = 1
    elif change == "version":
        monkeypatch.setattr(demo, "VERSION", demo.VERSION + 1)
    elif change == "file lost":
        (root / "images" / "val" / "0000.png").unlink()
    demo.generate(root, seed=seed)
    assert contents(root) == contents(demo.generate(tmp_path / "fresh", seed=seed).parent)


@pytest.mark.usefixtures("small")
def test_a_failure_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(5))
    drawn = demo.draw

    def interrupted(rng: np.random.Generator, classes: list[int]) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return drawn(rng, classes)

    monkeypatch.setattr(demo, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo.generate(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: {0: mine}\n", encoding="utf-8")
    with pytest.raises(FileExistsError, match="holds no demo data set"):
        demo.generate(tmp_path)
    assert (tmp_path / "data.yaml").read_text(encoding="utf-8") == "names: {0: mine}\n"
