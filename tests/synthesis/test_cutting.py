"""Cutting: shapes that are worked out agree with what was drawn, and textures are told from objects."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers.scenes import ellipse, scene, sources_of, surface

from yolo_balance.synthesis.cutting import cut, filled, super_ellipse
from yolo_balance.synthesis.pasteable import Sources

NONE = np.zeros((0, 4))


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("value", [30, 220])
@pytest.mark.parametrize("loose", [0, 3])
def test_a_shape_is_worked_out_from_a_box(value, loose):
    image = surface(noise=2.0)
    image = (image + np.linspace(-20, 20, 120)[None, :, None]).astype(np.uint8)  # uneven light
    clean = image.copy()
    box, _ = ellipse(image, (60, 60), (20, 9), value)
    found = cut(image, box + np.array([-loose, -loose, loose, loose]), NONE)
    assert found.found == "residual"
    drawn = (image != clean).any(2)
    whole = np.zeros_like(drawn)
    height, width = found.solid.shape
    y, x = (np.array([60, 60]) - (np.array([height, width]) / 2)).round().astype(int)
    whole[y : y + height, x : x + width] = found.solid > 0.5
    assert overlap(whole, drawn) > 0.8


def test_a_pattern_gets_a_super_ellipse_and_says_so():
    image = np.kron(np.random.default_rng(0).integers(0, 2, (30, 30, 1)), np.ones((4, 4, 3))).astype(np.uint8) * 250
    found = cut(image, np.array([40.0, 40, 70, 60]), NONE)
    assert (found.found, found.pattern) == ("ellipse", True)
    inner = found.box
    assert found.solid.sum() == pytest.approx(super_ellipse(inner, found.solid.shape).sum())
    area = (inner[2] - inner[0]) * (inner[3] - inner[1])
    assert np.pi / 4 * area < found.solid.sum() < area


def test_an_outline_is_the_shape():
    one = scene(outlines=True)
    outline, box = one.objects.outlines[0] + 0.2, one.objects.boxes[0]  # through no pixel's centre
    found = cut(one.pixels, box, NONE, outline=outline)
    assert found.found == "outline"
    corner = outline[0] - found.outline[0]
    inside = np.array(
        [
            [cv2.pointPolygonTest(outline.astype(np.float32), (x + corner[0] + 0.5, y + corner[1] + 0.5), False) > 0]
            for y in range(found.solid.shape[0])
            for x in range(found.solid.shape[1])
        ]
    ).reshape(found.solid.shape)
    assert overlap(found.solid > 0.5, inside) > 0.93


def test_a_mask_image_is_the_shape_within_the_box():
    image = surface()
    mask = np.zeros(image.shape[:2], bool)
    mask[50:60, 50:80] = True
    found = cut(image, np.array([45.0, 45, 70, 65]), NONE, mask=mask)
    assert found.found == "mask"
    assert found.solid.sum() == 10 * 20


def test_a_rotated_box_bounds_the_shape_and_is_not_the_shape():
    image = surface()
    ellipse(image, (60, 60), (20, 9))
    corners = np.array([[30, 60], [60, 46], [90, 60], [60, 74]], float)
    found = cut(image, np.array([30.0, 46, 90, 74]), NONE, outline=corners, rotated=True)
    assert found.found == "residual"
    outside = filled(found.outline, found.solid.shape) == 0
    assert not (found.solid[outside] > 0.5).any()


@pytest.mark.parametrize(
    ("box", "texture"),
    [
        ((0.5, 0.5, 0.6, 0.5), True),  # over a quarter of the image
        ((0.5, 0.5, 0.5, 0.5), False),
        ((0.1, 0.1, 0.2, 0.2), True),  # at two borders
        ((0.5, 0.5, 1.0, 0.1), True),
        ((0.1, 0.5, 0.2, 0.2), False),
    ],
)
def test_textures_are_never_sources(box, texture):
    sources = Sources.of([(np.array([0]), np.array([box]))], 1)
    assert (sources.textures[0], sources.counts[0]) == ((1, 0) if texture else (0, 1))


def test_an_object_under_another_is_no_source():
    one = scene(2)
    assert sources_of([one]).counts.tolist() == [2]
    one.objects.boxes[1] = one.objects.boxes[0] + (2, 0, 2, 0)
    both = sources_of([one])
    assert (both.counts[0], both.covered[0]) == (0, 2)
