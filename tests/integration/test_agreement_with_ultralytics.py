"""Agreement of pure rooms with Ultralytics' own arithmetic and keys."""

from __future__ import annotations

import re

import pytest
from helpers.assignments import oriented
from ultralytics.utils import DEFAULT_CFG_DICT
from ultralytics.utils.metrics import probiou

from yolo_balance.config import dotted_keys
from yolo_balance.losses.overlap import aligned_iou
from yolo_balance.views.recall.detail_sections import KNOBS


def test_oriented_overlap_agrees_with_ultralytics():
    a, b = oriented(500), oriented(500, seed=1)
    b[::2] = a[::2] + 0.2 * b[::2]  # close pairs, too
    assert (aligned_iou(a, b) - probiou(a, b).squeeze(-1)).abs().max() < 2e-3
    assert aligned_iou(a, b).max() > 0.5


@pytest.mark.parametrize("kind", KNOBS)
def test_every_key_that_a_knob_names_exists(kind):
    assert set(re.findall(r"`([^`]+)`", KNOBS[kind])) <= {*dotted_keys(), *DEFAULT_CFG_DICT}
