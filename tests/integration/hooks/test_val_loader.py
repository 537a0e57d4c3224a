"""Laws of the loader of a measurement: an image's shape is its own, and nothing else changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from ultralytics.cfg import get_cfg
from ultralytics.data import build_dataloader, build_yolo_dataset

from yolo_balance.integration.hooks.val_loader import pad_alone

SHAPES = [(64, 64), (40, 90), (90, 40), (47, 90), (64, 64), (40, 90), (100, 30), (50, 50), (88, 40)]


@pytest.fixture
def loader(tmp_path):
    """Builds Ultralytics' validation loader of images of the given shapes."""

    def build(shapes, *, rect=True, batch=4):
        for i, (height, width) in enumerate(shapes):
            (tmp_path / "images").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), np.full((height, width, 3), 7 * i, np.uint8))
        data = {"val": str(tmp_path / "images"), "names": {0: "a"}, "nc": 1, "channels": 3}
        cfg = get_cfg(overrides={"imgsz": 64, "rect": rect, "task": "detect"})
        dataset = build_yolo_dataset(cfg, data["val"], batch, data, mode="val", stride=32)
        return build_dataloader(dataset, batch, workers=0, shuffle=False)

    return build


def served(loader):
    """Padded height and width by file, in the order served, and the sizes of the batches."""
    batches = list(loader)
    shapes = {file: tuple(batch["img"].shape[2:]) for batch in batches for file in batch["im_file"]}
    return shapes, [len(batch["im_file"]) for batch in batches]


def test_an_image_is_padded_as_in_a_batch_of_its_own(loader):
    alone, _ = served(loader(SHAPES, batch=1))
    stock, _ = served(loader(SHAPES))
    ours = loader(SHAPES)
    pad_alone(ours)
    for _ in range(2):  # pass after pass
        shapes, sizes = served(ours)
        assert shapes == alone != stock
        assert list(shapes) == list(stock)
        assert max(sizes) > 1
        assert len(sizes) == len(ours)
    pad_alone(ours)  # once more
    assert served(ours) == (shapes, sizes)


@pytest.mark.parametrize(("shapes", "rect"), [([(40, 90)] * 5, True), (SHAPES, False)])
def test_what_is_padded_alike_already_stays_as_it_is(loader, shapes, rect):
    ours = loader(shapes, rect=rect)
    before = ours.batch_sampler
    pad_alone(ours)
    assert ours.batch_sampler is before
