"""How often classes are pasted: what the plan wants, within share, p, max_objects and the number of objects."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.sampling.pastes import PasteWish, rare_classes


@pytest.mark.parametrize(
    ("boxes", "rare"),
    [
        ([1000, 500, 40, 20], [False, False, True, True]),
        ([1000, 500, 200, 150], [False, False, False, False]),  # below the median, but a hundred objects are enough
        ([25, 26, 27], [True, True, True]),  # few of all
        ([1000, 0, 99, 300], [False, False, True, False]),  # a class without objects has no part in the median
        ([0, 0], [False, False]),
    ],
)
def test_rare_classes(boxes, rare):
    assert rare_classes(np.array(boxes)).tolist() == rare


def wish(objects=(0, 30, 10), **options):
    return PasteWish(np.array(objects), **{"p": 0.5, "max_objects": 2, "share": 0.5, **options})


def test_pastes_fill_what_the_plan_wants_and_real_images_lack():
    wanted, real = np.array([400.0, 300, 100]), np.array([500.0, 190, 64])
    pasted = wish().pasted(wanted, real, 1000)
    total = real + pasted
    np.testing.assert_allclose(total / total.sum(), wanted / wanted.sum())


def test_no_more_than_a_share_is_pasted():
    real = np.array([500.0, 100, 10])
    for share in (0.0, 0.2, 0.5, 0.8):
        pasted = wish(share=share).pasted(np.array([100.0, 400, 400]), real, 10_000)
        assert (pasted <= share * (real + pasted) + 1e-9).all()
        assert (wish(share=share).taken_over(real, 10_000) <= share).all()


def test_an_object_is_pasted_twenty_times_at_most():
    pasted = wish((0, 3, 1)).pasted(np.array([100.0, 900, 900]), np.array([100.0, 500, 500]), 10_000)
    assert pasted.tolist() == [0, 60, 20]


def test_images_have_room_for_so_many():
    for p, most in ((0.1, 2), (0.5, 1), (0.0, 2)):
        few = wish(p=p, max_objects=most)
        pasted = few.pasted(np.array([100.0, 900, 900]), np.array([100.0, 500, 500]), 300)
        assert pasted.sum() <= p * most * 300 + 1e-9


def test_alone_a_share_comes_on_top():
    real = np.array([500.0, 30, 10])
    assert wish(alone=True).pasted(real, real, 1000).tolist() == [0, 30, 10]
    assert wish().pasted(real, real, 1000) == pytest.approx([0, 0, 0])  # the plan wants no more than there is
