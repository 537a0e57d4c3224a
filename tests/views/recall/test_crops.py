"""Which errors are shown, and their pictures."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.views.recall import crops, worst_errors
from yolo_balance.views.recall.crop_labels import LETTER, LINE, place, text_of


def random_split(seed, images=60, classes=4):
    """Coarse IoU, confidences and sizes, so that there are ties."""
    rng = np.random.default_rng(seed)
    parts = []
    for i in range(images):
        objects, boxes = rng.integers(0, 4), rng.integers(0, 6)
        sides = rng.integers(1, 4, (objects, 2)) * 10
        parts.append(
            ImageOutcome.of(
                rng.integers(0, 5, (objects, boxes)) / 4,
                rng.integers(0, classes, objects),
                rng.integers(0, classes, boxes),
                rng.integers(1, 9, boxes) / 8,
                object_box=np.hstack([np.zeros((objects, 2)), sides]),
                file=f"{i}.jpg",
            )
        )
    return Outcomes.pool(parts, classes)


@pytest.mark.parametrize("threshold", [0.5, [0.1, 0.5, 0.9, 2.0]], ids=["one", "per class"])
@pytest.mark.parametrize("seed", range(6))
def test_missed_are_by_class_the_least_sure_and_of_equal_ones_the_largest(seed, threshold):
    split, order = random_split(seed), [2, 0, 3, 1]
    limits = np.broadcast_to(threshold, 4)
    expected = []
    for c in order:
        found = {split.found[b] for b in range(len(split.found)) if split.confidence[b] >= limits[split.predicted[b]]}
        missed = [o for o in range(len(split.object_class)) if split.object_class[o] == c and o not in found]
        sizes = split.object_box[:, 2] * split.object_box[:, 3]
        expected += sorted(missed, key=lambda o: (split.prime_score[o], -sizes[o], o))[:4]
    assert worst_errors.missed(split, threshold, order) == expected[:24]


def test_false_alarms_are_those_on_clean_images_first_then_the_most_confident():
    where = set()
    for seed in range(20):
        split = random_split(seed, images=int(np.random.default_rng(seed).integers(5, 60)))
        false = [b for b in range(len(split.found)) if split.found[b] < 0 and split.confidence[b] >= 0.25]
        clean = {i for i in range(split.images) if i not in split.object_image}
        expected, seen = [], [0] * 4
        for b in sorted(false, key=lambda b: (split.image[b] not in clean, -split.confidence[b], b)):
            seen[split.predicted[b]] += 1
            if seen[split.predicted[b]] <= 4:
                expected.append(b)
        assert worst_errors.false_alarms(split, 0.25) == expected[:24]
        where |= {split.image[b] in clean for b in expected}
    assert where == {True, False}


def test_there_are_never_more_than_two_dozen():
    many = Outcomes.pool(
        [ImageOutcome.of(np.zeros((9, 9)), [c] * 9, [c] * 9, [0.9] * 9, file="x") for c in range(12)], 12
    )
    assert len(worst_errors.missed(many, 0.5, range(12))) == len(worst_errors.false_alarms(many, 0.5)) == 24
    assert (
        worst_errors.missed(Outcomes.pool([], 2), 0.5, [0, 1])
        == worst_errors.false_alarms(Outcomes.pool([], 2), 0.5)
        == []
    )


# Pictures ------------------------------------------------------------------------------------------------------------


def decoded(uri):
    head, content = uri.split(",", 1)
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)


def one_image(file, *, objects=((0, (10, 20, 30, 40)),), boxes=(), iou=None):
    return Outcomes.pool(
        [
            ImageOutcome.of(
                np.zeros((len(objects), len(boxes))) if iou is None else iou,
                [c for c, _ in objects],
                [c for c, _, _ in boxes],
                [score for _, score, _ in boxes],
                object_box=[box for _, box in objects],
                box=[box for *_, box in boxes],
                file=str(file),
            )
        ],
        3,
    )


@pytest.fixture
def image(tmp_path):
    """A bright square at (10, 20) to (30, 40) on black, 160 wide and 120 high, in a file whose name is not ASCII."""
    pixels = np.zeros((120, 160), np.uint8)
    pixels[20:40, 10:30] = 255
    path = tmp_path / "裂缝 'a\" <b>.png"
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return path


def test_a_crop_shows_the_object_where_its_box_is_drawn(image):
    picture = crops.of_object(one_image(image), 0, 0.5, ["a", "b", "c"]).picture
    pixels = decoded(picture.uri)
    assert pixels.shape == (picture.height, picture.width, 3)
    assert max(picture.width, picture.height) == 200
    (box,) = picture.drawn
    assert (box.kind, box.own, box.label.text) == ("object", True, "a")
    inside = np.zeros(pixels.shape[:2], bool)
    inside[round(box.y) : round(box.y + box.height), round(box.x) : round(box.x + box.width)] = True
    edge = cv2.dilate(inside.astype(np.uint8), np.ones((15, 15))) - cv2.erode(
        inside.astype(np.uint8), np.ones((15, 15))
    )
    assert pixels[inside & (edge == 0)].min() > 200
    assert pixels[~inside & (edge == 0)].max() < 50


def test_a_missed_object_s_best_box_is_drawn_though_it_does_not_count(image):
    boxes = [(0, 0.2, (12, 20, 32, 40)), (0, 0.4, (12, 30, 60, 70)), (1, 0.9, (0, 0, 20, 20)), (2, 0.3, (0, 0, 9, 9))]
    split = one_image(image, boxes=boxes, iou=[[0.45, 0.3, 0.2, 0.1]])
    crop = crops.of_object(split, 0, 0.5, ["a", "b", "c"])
    assert (crop.name, crop.confidence, crop.iou) == ("a", pytest.approx(0.2), pytest.approx(0.45))
    drawn = [(box.kind, box.own, box.label and box.label.text) for box in crop.picture.drawn]
    assert drawn == [("box", False, "0.90 b"), ("below", False, "0.20 a"), ("object", True, "a")]


def test_of_boxes_that_fit_two_objects_alike_each_object_has_its_own(image):
    objects = [(0, (10, 20, 30, 40)), (0, (100, 60, 120, 80))]
    boxes = [(0, 0.2, (12, 20, 32, 40)), (0, 0.2, (102, 60, 122, 80))]
    split = one_image(image, objects=objects, boxes=boxes, iou=[[0.45, 0], [0, 0.45]])
    for o in range(2):
        below, own = crops.of_object(split, o, 0.5, ["a", "b", "c"]).picture.drawn
        assert (below.kind, own.own) == ("below", True)
        assert abs(below.x - own.x) < 2 * 200 / 48 + 0.1


def test_a_false_box_has_the_objects_and_the_other_boxes_around_it(image):
    boxes = [
        (1, 0.6, (40, 20, 60, 40)),
        (2, 0.8, (44, 20, 60, 40)),
        (2, 0.1, (44, 20, 60, 40)),
        (0, 0.9, (150, 9, 159, 20)),
    ]
    crop = crops.of_box(one_image(image, boxes=boxes), 0, 0.5, ["a", "b", "c"])
    assert (crop.name, crop.confidence, crop.iou, crop.on_clean) == ("b", 0.6, None, False)
    assert [(box.kind, box.own) for box in crop.picture.drawn] == [("object", False), ("box", False), ("box", True)]


def test_of_very_many_boxes_a_few_are_drawn(image):
    boxes = [(1, 0.5 + i / 100, (10, 20, 30, 40)) for i in range(30)]
    crop = crops.of_box(one_image(image, boxes=boxes), 0, 0.5, ["a", "b", "c"])
    assert len(crop.picture.drawn) == 1 + crops.OTHERS + 1


@pytest.mark.parametrize(
    "file", ["", "/nowhere/a.jpg", "null\0.jpg", "folder", "empty.jpg", "text.jpg", "half.jpg"], ids=repr
)
def test_what_cannot_be_read_has_no_picture(file, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "half.jpg").write_bytes(b"\xff\xd8\xff")
    split = one_image(tmp_path / file if file and "\0" not in file else file)
    crop = crops.of_object(split, 0, 0.5, ["a", "b", "c"])
    assert crop.picture is None
    assert crop.name == "a"


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (64, 64), (700, 900, 3), (90, 70, 4)])
@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (5, 5, 500, 9), (-9, -9, 2000, 2000), (np.nan, 0, np.inf, 5), (60, 60, 64, 64)]
)
def test_windows_lie_in_the_image_and_are_never_empty(shape, box, tmp_path):
    height, width = shape[:2]
    x0, y0, x1, y1 = crops.window(np.array(box, np.float32), width, height)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros(shape, np.uint8))
    picture = crops.of_object(one_image(path, objects=[(0, box)]), 0, 0.5, ["a", "b", "c"]).picture
    assert max(picture.width, picture.height) == 200


def test_a_window_holds_its_box_with_a_margin():
    rng = np.random.default_rng(0)
    for _ in range(200):
        corner, side = rng.uniform(0, 400, 2), rng.uniform(1, 80, 2)
        x0, y0, x1, y1 = crops.window(np.array([*corner, *(corner + side)]), 640, 480)
        assert x0 <= corner[0]
        assert y0 <= corner[1]
        assert x1 >= min(corner[0] + side[0], 640) - 1
        assert y1 >= min(corner[1] + side[1], 480) - 1
        assert x1 - x0 == y1 - y0 >= 48


# Labels --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_labels_lie_in_the_picture_and_never_on_each_other(seed):
    rng = np.random.default_rng(seed)
    wanted = [("a" * int(rng.integers(1, 20)), tuple(rng.uniform(-50, 220, 4))) for _ in range(12)]
    labels = place(wanted, 200, 150)
    assert labels[0] is not None
    rectangles = []
    for label in labels:
        if label is not None:
            x0, y0 = label.x, label.y - 10.5
            assert 0 <= x0 <= x0 + LETTER * len(label.text) <= 200
            assert 0 <= y0 <= y0 + LINE <= 150
            rectangles.append((x0, y0, x0 + LETTER * len(label.text), y0 + LINE))
    for i, a in enumerate(rectangles):
        for b in rectangles[:i]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_labels_are_one_short_line():
    assert text_of("crack", 0.125) == "0.12 crack"
    assert text_of("a\nb", None) == "a\\nb"
    assert text_of("x" * 40, None) == "x" * 15 + "…"
    assert text_of("\u202egnp", 0.5) == "0.50 \\u202egnp"
