"""Pasting: labels agree with the pixels, limits of place hold, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.scenes import bank_of, draw, scene, surface

from yolo_balance.synthesis import ImageObjects, Paster
from yolo_balance.synthesis.objects import overlaps
from yolo_balance.synthesis.paste_draw import DistractorDraw

WAYS = ("feather", "poisson", "poisson_mixed", "residual")
CHANGES = [
    {},
    {"scale": 1.25, "angle": 15.0},
    {"scale": 0.8, "angle": -12.0, "flip_x": True},
    {"flip_x": True, "flip_y": True},
]


def no_objects(like):
    outlines = None if like.outlines is None else []
    keypoints = None if like.keypoints is None else like.keypoints[:0]
    return ImageObjects(np.zeros(0, np.int64), np.zeros((0, 4)), outlines, keypoints)


def dark_box(before, after):
    """The box of the pixels that became much darker: an object's, found without its label."""
    rows, columns = np.nonzero(before.astype(int).mean(2) - after.astype(int).mean(2) > 40)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("outlines", [False, True])
def test_a_pasted_box_is_where_the_pixels_changed(way, changes, outlines):
    one = scene(outlines=outlines)
    paster, image = Paster(bank_of([one, scene(0)])), surface(5)
    pasted = paster(image, no_objects(one.objects), [draw(blend=way, **changes)])
    (box,) = pasted.objects.boxes
    np.testing.assert_allclose(dark_box(image, pasted.onto(image)), box, atol=2.5)
    if outlines:
        (outline,) = pasted.objects.outlines
        np.testing.assert_allclose([*outline.min(0), *outline.max(0)], box, atol=1e-9)


def test_key_points_and_rotated_boxes_move_with_the_pixels():
    one = scene(outlines=True, keypoints=True)
    image, plain = surface(5), draw(angle=10.0, scale=1.1)
    pasted = Paster(bank_of([one, scene(0)], rotated=True))(image, no_objects(one.objects), [plain])
    box, points = one.objects.boxes[0], pasted.objects.keypoints[0]
    turn = 1.1 * np.array([[np.cos(a := np.radians(10.0)), -np.sin(a)], [np.sin(a), np.cos(a)]])
    moved = (one.objects.outlines[0] - (box[:2] + box[2:]) / 2) @ turn.T
    outline = pasted.objects.outlines[0]
    middle = (points[0, :2] + points[1, :2]) / 2
    np.testing.assert_allclose(outline - middle, moved, atol=1e-6)
    np.testing.assert_allclose(points[1, :2] - points[0, :2], (box[2:] - box[:2]) @ turn.T, atol=1e-6)
    assert (points[:, 2] == 2).all()
    np.testing.assert_allclose(dark_box(image, pasted.onto(image)), pasted.objects.boxes[0], atol=2.5)


def test_a_mirror_exchanges_key_points():
    one = scene(keypoints=True)
    paster = Paster(bank_of([one, scene(0)]), flip_index=np.array([1, 0]))
    left, right = (
        paster(surface(5), no_objects(one.objects), [draw(flip_x=flip)]).objects.keypoints[0, :, 0]
        for flip in (False, True)
    )
    assert left[0] < left[1]
    assert right[0] < right[1]  # the first is again the one on the left


def test_the_image_stays_and_only_the_place_changes():
    one, image = scene(), surface(5)
    kept = image.copy()
    paster = Paster(bank_of([one, scene(0)]))
    pasted = paster(image, no_objects(one.objects), [draw()])
    np.testing.assert_array_equal(image, kept)
    after = pasted.onto(image)
    np.testing.assert_array_equal(image, kept)
    x1, y1, x2, y2 = pasted.objects.boxes[0].astype(int)
    after[y1 - 6 : y2 + 6, x1 - 6 : x2 + 6] = image[y1 - 6 : y2 + 6, x1 - 6 : x2 + 6]
    np.testing.assert_array_equal(after, image)
    again = Paster(bank_of([one, scene(0)]))(image, no_objects(one.objects), [draw()])
    np.testing.assert_array_equal(again.onto(image), pasted.onto(image))


def test_a_paste_lies_inside_and_covers_little_of_any_label():
    one, rng = scene(), np.random.default_rng(0)
    image = surface(5)
    corners = rng.uniform(0, 80, (12, 2))
    there = ImageObjects(np.arange(12) % 3, np.concatenate([corners, corners + rng.uniform(10, 35, (12, 2))], 1))
    paster = Paster(bank_of([one, scene(0)]), keep_out=[2])
    placed = 0
    for _ in range(60):
        centre = tuple(rng.uniform(-0.1, 1.1, 2))
        plain = draw(centre=centre, angle=rng.uniform(-15, 15), scale=rng.uniform(0.8, 1.25))
        pasted = paster(image, there, [plain])
        for box in pasted.objects.boxes:
            placed += 1
            assert (box >= -1e-9).all()
            assert (box <= 120 + 1e-9).all()
            covered = overlaps(box, there.boxes)
            assert covered.max() <= 0.05 + 1e-9
            assert covered[there.classes == 2].max() == 0
    assert placed > 20


def test_an_image_without_room_gets_nothing():
    one, image = scene(), surface(5)
    full = ImageObjects(np.array([0]), np.array([[0.0, 0, 120, 120]]))
    pasted = Paster(bank_of([one, scene(0)]), keep_out=[0])(image, full, [draw()])
    assert len(pasted.objects) == 0
    assert pasted.onto(image) is image


def test_an_object_at_a_border_stays_at_that_border():
    one = scene()
    paster, plain = Paster(bank_of([one, scene(0)])), draw(edges=(True, False, False, False))
    assert paster(surface(5), no_objects(one.objects), [plain]).objects.boxes[0, 0] == pytest.approx(0, abs=1)
    mirrored = draw(edges=(True, False, False, False), flip_x=True)
    assert paster(surface(5), no_objects(one.objects), [mirrored]).objects.boxes[0, 2] == pytest.approx(120, abs=1)


def test_tone_follows_the_place():
    one = scene()
    for level in (80, 180):
        image = surface(5, level=level)
        pasted = Paster(bank_of([one, scene(0)]))(image, no_objects(one.objects), [draw()])
        x, y = ((pasted.objects.boxes[0, :2] + pasted.objects.boxes[0, 2:]) / 2).astype(int)
        assert pasted.onto(image)[y, x].mean() == pytest.approx(max(level - 90, 0), abs=25)


def test_distractors_are_unlabelled_and_look_like_the_surface():
    one, image = scene(), surface(5)
    extra = (DistractorDraw(0, draw(centre=(0.2, 0.3))), DistractorDraw(1, draw(centre=(0.8, 0.3))))
    pasted = Paster(bank_of([one, scene(0)]))(image, no_objects(one.objects), [draw(distractors=extra)])
    assert (len(pasted.objects), len(pasted.distractors)) == (1, 2)
    after = pasted.onto(image)
    for x1, y1, x2, y2 in pasted.distractors.astype(int):
        part = after[y1:y2, x1:x2].astype(float), image[y1:y2, x1:x2].astype(float)
        assert np.abs(part[0] - part[1]).max() < 12
        assert (part[0] != part[1]).any()
    boxes = [*pasted.distractors, *pasted.objects.boxes]
    assert max(overlaps(a, np.array([b]))[0] for i, a in enumerate(boxes) for b in boxes[:i]) == 0


def test_a_file_of_another_size_keeps_the_size_of_the_defect():
    one, image = scene(), surface(5)
    paster = Paster(bank_of([one, scene(0)]))
    small, large = (paster(image, no_objects(one.objects), [draw()], zoom).objects.boxes[0] for zoom in (1.0, 2.0))
    np.testing.assert_allclose(large[2:] - large[:2], 2 * (small[2:] - small[:2]), atol=2)


def test_grey_images_are_pasted_on_too():
    one = scene()
    grey = scene()
    grey = type(grey)(grey.pixels[..., :1].copy(), grey.objects)
    blank = type(grey)(surface(3)[..., :1].copy(), no_objects(one.objects))
    for way in WAYS:
        pasted = Paster(bank_of([grey, blank]))(surface(5)[..., :1], no_objects(one.objects), [draw(blend=way)])
        assert pasted.onto(surface(5)[..., :1]).shape == (120, 120, 1)
        assert len(pasted.objects) == 1


def test_images_of_16_bits_are_pasted_on_too():
    deep, blank = (type(s)(s.pixels.astype(np.uint16) * 200, s.objects) for s in (scene(), scene(0)))
    for way in WAYS:
        image = surface(5).astype(np.uint16) * 200
        pasted = Paster(bank_of([deep, blank]))(image, no_objects(deep.objects), [draw(blend=way)])
        assert pasted.onto(image).dtype == np.uint16
        assert len(pasted.objects) == 1
