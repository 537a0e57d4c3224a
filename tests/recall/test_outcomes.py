"""Laws of the matching and of the pooled outcomes."""

import numpy as np
import pytest
from helpers.outcomes import random_image, random_outcomes, same

from yolo_balance.recall import ImageOutcome, Outcomes


@pytest.mark.parametrize("seed", range(20))
def test_each_box_in_falling_confidence_takes_the_best_object_left(seed):
    iou, objects, predicted, confidence = random_image(np.random.default_rng(seed))
    free, expected = set(range(len(objects))), np.full(len(predicted), -1)
    for box in sorted(range(len(predicted)), key=lambda b: (-confidence[b], b)):
        left = [o for o in sorted(free) if objects[o] == predicted[box] and iou[o, box] >= 0.5]
        if left:
            expected[box] = max(left, key=lambda o: iou[o, box])
            free.remove(expected[box])
    np.testing.assert_array_equal(ImageOutcome.of(iou, objects, predicted, confidence).found, expected)


@pytest.mark.parametrize("seed", range(10))
def test_counting_boxes_above_a_confidence_is_matching_only_those(seed):
    iou, objects, predicted, confidence = random_image(np.random.default_rng(seed))
    found = ImageOutcome.of(iou, objects, predicted, confidence).found
    for threshold in (0.25, 0.5, 0.75):
        kept = confidence >= threshold
        alone = ImageOutcome.of(iou[:, kept], objects, predicted[kept], confidence[kept])
        np.testing.assert_array_equal(alone.found, found[kept])


def test_pooled_objects_are_counted_over_the_split():
    parts = random_outcomes(1)
    pooled = Outcomes.pool(parts, 3)
    start = 0
    for i, part in enumerate(parts):
        mine = pooled.image == i
        for name in ("found", "own", "other"):
            within = getattr(part, name)
            np.testing.assert_array_equal(getattr(pooled, name)[mine], np.where(within < 0, -1, within + start))
        start += len(part.object_class)
    hit = pooled.found[pooled.hit]
    assert len(set(hit)) == len(hit)
    np.testing.assert_array_equal(pooled.object_class[hit], pooled.predicted[pooled.hit])
    np.testing.assert_array_equal(pooled.object_image[hit], pooled.image[pooled.hit])
    np.testing.assert_array_equal(pooled.clean, [len(part.object_class) == 0 for part in parts])
    assert pooled.images == 30


def test_a_threshold_for_each_class_of_one_value_is_that_threshold():
    pooled = Outcomes.pool(random_outcomes(2), 3)
    for threshold in (0.25, 0.5, 0.75):
        np.testing.assert_array_equal(pooled.hits_at(threshold), pooled.hits_at([threshold] * 3))
    assert pooled.hits_at([0.0, 2.0, 2.0])[1:].sum() == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_subset_is_those_images_pooled(seed):
    parts = random_outcomes(seed)
    keep = np.random.default_rng(seed).permutation(30)[:11]
    assert same(Outcomes.pool(parts, 3).subset(keep), Outcomes.pool([parts[i] for i in keep], 3))
    assert same(Outcomes.pool(parts, 3).subset([]), Outcomes.pool([], 3))
    assert same(Outcomes.pool(parts, 3).subset(range(30)), Outcomes.pool(parts, 3))


def test_of_no_image_there_is_nothing():
    nothing = Outcomes.pool([], 2)
    assert (nothing.images, nothing.clean_images, nothing.objects.tolist()) == (0, 0, [0, 0])
    assert nothing.hits_at(0.5).tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(2, 1), (1, 2), (2,)])
def test_shapes_that_do_not_go_together_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected IoU of shape \(objects, boxes\)"):
        ImageOutcome.of(np.ones(shape), [0, 0], [0, 0], [0.5, 0.5])
