"""Laws of the findings on pixels: what a network is given too little of is named, and nothing else."""

from __future__ import annotations

import pytest

from yolo_balance.analysis.pixels import ImagePixels, Pixels, remarks


def said(**splits):
    return dict(remarks({split: Pixels.of(images) for split, images in splits.items()}))


def image(depth="8-bit", channels=3, stored=255, read=None):
    return ImagePixels(depth, channels, stored, stored / 256 if read is None and depth == "16-bit" else read or stored)


@pytest.mark.parametrize(("bits", "faint"), [(10, True), (12, True), (14, True), (15, False), (16, False)])
def test_values_of_a_camera_in_16_bit_files_are_named_while_they_use_a_quarter_of_the_levels_or_less(bits, faint):
    images = [image("16-bit", stored=2**bits - 1, read=(2**bits - 1) >> 8)] * 3
    found = said(train=images, val=images[:2])
    assert list(found) == (["faint"] if faint else [])
    if faint:
        assert "3 of 3 images of train and 2 of 2 images of val are 16-bit" in found["faint"]
        assert f"here 0 to {2 ** (bits - 8) - 1} of 255" in found["faint"]
        assert f"alpha=255 / {2**bits - 1}" in found["faint"]


def test_dark_8_bit_images_and_floats_are_named():
    assert "brightest pixel is 30 of 255 in 2 of 2 images of train" in said(train=[image(stored=30)] * 2)["faint"]
    found = said(train=[image("32-bit float", stored=1.0, read=1.0)])
    assert "1 of 1 images of train are 32-bit float" in found["faint"]
    assert not said(train=[image(stored=30), image(stored=200)])


def test_mixed_depths_and_channels_are_named_within_a_split_and_across():
    deep = image("16-bit", channels=1, stored=4095, read=15)
    found = said(train=[image()] * 3 + [deep], val=[image()])
    assert list(found) == ["faint", "mixed_depths", "mixed_channels"]
    assert "1 of 4 images of train are 16-bit" in found["faint"]
    assert "train 3 8-bit and 1 16-bit; val 1 8-bit" in found["mixed_depths"]
    assert "train 3 colour and 1 grey; val 1 colour" in found["mixed_channels"]
    assert list(said(train=[image()], val=[image("16-bit", stored=65535, read=255)])) == ["mixed_depths"]
    assert not said(train=[image()] * 2, val=[image()])
    assert Pixels.of([]) is None
