"""Laws of dividing a data set: each class in each part in proportion, units whole, the same parts every time."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.errors import DataError
from yolo_balance.recall.evidence.units import joined, unit_ids
from yolo_balance.sampling.division import Division
from yolo_balance.sampling.stratification import stratify
from yolo_balance.views.division_console import render_division

NAMES = ("a", "b", "c")


def long_tail(seed, images=300):
    """Boxes of three classes with a long tail, several to an image, two thirds of the images clean."""
    rng = np.random.default_rng(seed)
    boxes = rng.poisson(rng.choice([0, 0, 1], images)[:, None] * [1.5, 0.3, 0.06])
    boxes[:5, 2] += 1  # never fewer than five images of the rarest
    return boxes


def divided(boxes, shares, *, unit=None, seed=0):
    unit = np.arange(len(boxes)) if unit is None else np.asarray(unit)
    return Division.of(boxes, unit, NAMES, shares, seed=seed)


FOLDS = {f"fold{i}": 0.2 for i in range(1, 6)}
SIDES = {"train": 0.7, "val": 0.2, "test": 0.1}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shares", [FOLDS, SIDES], ids=["folds", "sides"])
def test_each_part_has_its_share_of_each_class_and_of_clean_images(seed, shares):
    boxes = long_tail(seed)
    found = divided(boxes, shares, seed=seed)
    share = np.array([*shares.values()])
    assert found.missing == {}
    assert found.images.sum() == len(boxes)
    largest = boxes.max(0)  # an image is not cut, so a part may be off by what one holds
    assert (np.abs(found.boxes - np.outer(share, boxes.sum(0))) <= largest + 2).all()
    assert (np.abs(found.clean - share * (boxes.sum(1) == 0).sum()) <= 2).all()
    assert (np.abs(found.images - share * len(boxes)) <= 8).all()


@pytest.mark.parametrize("seed", range(30))
def test_a_class_in_as_many_units_as_parts_is_in_every_part(seed):
    """Sets that are small and crowded, where a greedy choice alone leaves holes."""
    rng = np.random.default_rng(seed)
    boxes = rng.poisson(0.5, (24, 3)) * rng.integers(1, 9, (24, 1))
    boxes[:4] = [[9, 0, 0], [1, 0, 0], [0, 7, 0], [0, 0, 1]]
    found = divided(boxes, {f"fold{i}": 0.25 for i in range(4)}, seed=seed)
    for c, units in enumerate(found.class_units.tolist()):
        assert (NAMES[c] in found.missing) == (units < 4)


def test_units_are_whole_and_the_rarest_class_is_dealt_first():
    boxes, unit = long_tail(1), np.arange(300) // 6
    found = divided(boxes, FOLDS, unit=unit)
    assert all(len(set(found.part[unit == u].tolist())) == 1 for u in range(50))
    assert found.units.sum() == 50
    first = divided(np.array([[5, 0, 0], [0, 0, 1], [0, 0, 1], [4, 0, 0]]), {"train": 0.5, "val": 0.5})
    assert first.boxes.tolist() == [[5, 0, 1], [4, 0, 1]] or first.boxes.tolist() == [[4, 0, 1], [5, 0, 1]]


def test_same_arguments_same_parts_and_another_seed_other_parts():
    boxes = long_tail(2)
    boxes = boxes[boxes.sum(1) > 0]
    parts = [stratify(boxes, np.ones(len(boxes), int), np.full(5, 0.2), seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], parts[2])
    with pytest.raises(ValueError, match="expected each unit to count in a class"):
        stratify(np.array([[1], [0]]), np.ones(2, int), np.full(2, 0.5))


def test_a_class_that_cannot_be_everywhere_is_named_with_the_reason():
    boxes = np.zeros((40, 3), np.int64)
    boxes[:20, 0], boxes[20:22, 1] = 1, 3
    text = render_division(divided(boxes, FOLDS))
    found = divided(boxes, FOLDS)
    assert list(found.missing) == ["b"]
    assert len(found.missing["b"]) == 3
    assert "b is missing in fold" in text
    assert "2 units for 5 parts" in text
    assert "Without a box: c" in text
    assert [line.split()[:2] for line in text.splitlines()[1:5]] == [
        ["images", "40"],
        ["units", "40"],
        ["images", "without"],
        ["a", "20"],
    ]


def test_fewer_units_than_parts_is_one_line():
    with pytest.raises(DataError, match="data: expected a unit for each of 5 parts, got 3 units"):
        divided(np.ones((6, 3), np.int64), FOLDS, unit=[0, 0, 1, 1, 2, 2])


def test_joined_units_restated_by_spreading_the_smallest_number():
    rng = np.random.default_rng(0)
    for _ in range(20):
        unit = unit_ids(rng.integers(0, 15, 40).tolist())
        groups = [rng.choice(40, rng.integers(2, 4), replace=False).tolist() for _ in range(rng.integers(0, 8))]
        slow = unit.copy()
        for _ in range(40):
            for group in [*groups, *(np.flatnonzero(unit == u).tolist() for u in range(15))]:
                if len(group):
                    slow[group] = slow[group].min()
        found = joined(unit, groups)
        assert all((found == found[i]).tolist() == (slow == slow[i]).tolist() for i in range(40))
        assert found.tolist() == unit_ids(found.tolist()).tolist()
