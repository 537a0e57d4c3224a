"""Laws of error types: causes of objects not found, and types of false boxes."""

import dataclasses
import json
import re

import numpy as np
import pytest

from yolo_balance.recall import ImageOutcome, Outcomes
from yolo_balance.recall.diagnosis.error_types import CAUSES, TYPES, ErrorTypes, false_box_types, miss_causes
from yolo_balance.views.recall.detail_sections import KNOBS, occurring

NAMES = ["a", "b", "c"]
THRESHOLDS = [0.0, 0.5, 2.0, [0.25, 0.5, 0.75]]


def parts(seed, n=25):
    """Per image IoU, object classes, box classes and confidences: coarse, so with ties and on both borders."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        objects, boxes = int(rng.integers(0, 5)), int(rng.integers(0, 8))
        iou = rng.choice([0, 0, 0.05, 0.1, 0.3, 0.5, 0.8], (objects, boxes))
        yield iou, rng.integers(0, 3, objects), rng.integers(0, 3, boxes), rng.integers(1, 9, boxes) / 8


def pool(images):
    return Outcomes.pool([ImageOutcome.of(*image) for image in images], 3)


def named(codes, words):
    return [words[code] if code >= 0 else None for code in codes]


def by_hand(image, threshold):
    """Cause and class per object, type and class per box, box by box from the image's own IoU."""
    iou, objects, predicted, confidence = image
    least = np.broadcast_to(threshold, 3)
    found = ImageOutcome.of(*image).found
    counted = [confidence[p] >= least[predicted[p]] for p in range(len(predicted))]
    false = [p for p in range(len(predicted)) if counted[p] and found[p] < 0]

    def most(p, same):
        """The object of the box's class, or of others, that it overlaps most, and by how much."""
        best, at = 0.0, None
        for t in range(len(objects)):
            if (objects[t] == predicted[p]) == same and iou[t, p] > best:
                best, at = iou[t, p], t
        return at, best

    causes = []
    for t in range(len(objects)):
        finders = [p for p in range(len(predicted)) if found[p] == t]
        wrong = [p for p in false if most(p, False)[0] == t and most(p, False)[1] >= 0.5]
        loose = [p for p in false if most(p, True)[0] == t and 0.1 <= most(p, True)[1] < 0.5]
        if any(counted[p] for p in finders):
            causes.append((None, -1))
        elif wrong:
            causes.append(("confused", predicted[max(wrong, key=lambda p: confidence[p])]))
        elif loose:
            causes.append(("badly_located", -1))
        else:
            causes.append(("below_threshold" if finders else "missed", -1))
    types = []
    for p in range(len(predicted)):
        own, (other, other_iou) = most(p, True)[1], most(p, False)
        if p not in false:
            types.append((None, -1))
        elif own >= 0.5:
            types.append(("duplicate", -1))
        elif other_iou >= 0.5:
            types.append(("confused", objects[other]))
        elif own >= 0.1:
            types.append(("badly_located", -1))
        else:
            types.append(("both" if other_iou >= 0.1 else "background", -1))
    return causes, types


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("seed", range(8))
def test_causes_and_types_are_those_of_a_reading_box_by_box(seed, threshold):
    images = list(parts(seed))
    expected = [by_hand(image, threshold) for image in images]
    causes, taken_for = miss_causes(pool(images), threshold)
    types, really = false_box_types(pool(images), threshold)
    assert list(zip(named(causes, CAUSES), taken_for, strict=True)) == [c for cause, _ in expected for c in cause]
    assert list(zip(named(types, TYPES), really, strict=True)) == [t for _, kind in expected for t in kind]


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_every_missed_object_has_one_cause_and_every_false_box_one_type(threshold):
    outcomes = pool(parts(20, 200))
    errors = ErrorTypes.of(outcomes, NAMES, threshold)
    false = outcomes.counts(threshold) & ~outcomes.hit
    assert list(errors.classes) == NAMES
    for c, (o, b) in enumerate((e.objects, e.boxes) for e in errors.classes.values()):
        assert o.n == outcomes.objects[c]
        assert o.n - o.not_found == outcomes.hits_at(threshold)[c]
        assert o.not_found == sum(getattr(o, cause) for cause in CAUSES)
        assert o.confused == sum(o.confused_with.values())
        assert b.n == (false & (outcomes.predicted == c)).sum() == sum(getattr(b, kind) for kind in TYPES)
        assert b.on_clean == (false & outcomes.on_clean & (outcomes.predicted == c)).sum() <= b.background
        assert b.confused == sum(b.confused_with.values())
        assert NAMES[c] not in {*o.confused_with, *b.confused_with}


@pytest.mark.parametrize("seed", range(10))
def test_a_duplicate_lies_on_an_object_that_a_counted_box_of_its_class_found(seed):
    outcomes = pool(parts(seed, 60))
    types, _ = false_box_types(outcomes, [0.25, 0.5, 0.75])
    duplicates = types == TYPES.index("duplicate")
    assert duplicates.any()
    assert outcomes.detected([0.25, 0.5, 0.75])[outcomes.own[duplicates]].all()


@pytest.mark.parametrize("seed", range(10))
def test_below_threshold_is_what_some_lower_threshold_finds(seed):
    outcomes = pool(parts(seed, 60))
    causes, _ = miss_causes(outcomes, 0.6)
    below, found = causes == CAUSES.index("below_threshold"), outcomes.detected(0.0)
    assert found[below].all()
    assert not found[causes == CAUSES.index("missed")].any()
    assert below.any()


def one(iou, objects, predicted, confidence, threshold=0.5):
    """Cause of every object and type of every box of one image."""
    outcomes = Outcomes.pool([ImageOutcome.of(iou, objects, predicted, confidence)], 3)
    causes, taken_for = miss_causes(outcomes, threshold)
    types, really = false_box_types(outcomes, threshold)
    return named(causes, CAUSES), named(taken_for, NAMES), named(types, TYPES), named(really, NAMES)


def test_the_most_confident_box_says_what_an_object_was_taken_for():
    assert one([[0.6, 0.9, 0.7]], [0], [1, 2, 1], [0.7, 0.6, 0.55])[:2] == (["confused"], ["b"])
    assert one([[0.6, 0.9]], [0], [2, 1], [0.7, 0.7])[1] == ["c"]  # of equal ones the first
    assert one([[0.6, 0.9]], [0], [2, 1], [0.4, 0.7])[1] == ["b"]  # one that does not count says nothing


def test_confused_classes_are_listed_by_how_often_then_by_id():
    iou, confidence = np.eye(4), [0.9] * 4
    taken = ErrorTypes.of(
        pool([(iou, [0] * 4, [1, 2, 2, 1], confidence), (iou, [0] * 4, [2] * 4, confidence)]), NAMES, 0.5
    )
    assert list(taken.classes["a"].objects.confused_with.items()) == [("c", 6), ("b", 2)]
    even = ErrorTypes.of(pool([(iou, [2, 1, 1, 2], [0] * 4, confidence)]), NAMES, 0.5)
    assert list(even.classes["a"].boxes.confused_with.items()) == [("b", 2), ("c", 2)]


def test_what_the_line_sees_comes_before_what_lies_below_its_threshold():
    assert one([[0.9, 0.6, 0.3]], [0], [0, 1, 0], [0.4, 0.7, 0.7])[0] == ["confused"]
    assert one([[0.9, 0.6, 0.3]], [0], [0, 1, 0], [0.4, 0.4, 0.7])[0] == ["badly_located"]
    assert one([[0.9, 0.6, 0.3]], [0], [0, 1, 0], [0.4, 0.4, 0.4])[0] == ["below_threshold"]
    assert one([[0.4, 0.6, 0.3]], [0], [0, 1, 0], [0.4, 0.4, 0.4])[0] == ["missed"]


def test_a_box_that_found_its_own_object_confuses_nobody():
    causes, _, types, _ = one([[0.9], [0.8]], [0, 1], [0], [0.9])
    assert (causes, types) == ([None, "missed"], [None])


def test_a_box_on_an_object_of_another_class_is_confused_even_if_it_touches_one_of_its_own():
    assert one([[0.2], [0.8]], [0, 1], [0], [0.9])[2:] == (["confused"], ["b"])
    assert one([[0.2], [0.4]], [0, 1], [0], [0.9])[2] == ["badly_located"]
    assert one([[0.0], [0.4]], [0, 1], [0], [0.9])[2] == ["both"]
    assert one([[0.05], [0.09]], [0, 1], [0], [0.9])[2] == ["background"]


def test_a_box_over_several_objects_explains_the_one_it_overlaps_most():
    assert one([[0.3], [0.4]], [0, 0], [0], [0.9])[0] == ["missed", "badly_located"]


def test_one_box_over_two_objects_finds_one_and_the_other_is_missed():
    assert one([[0.6], [0.7]], [0, 0], [0], [0.9])[0] == ["missed", None]


def test_the_iou_of_the_matching_parts_bad_location_from_the_rest():
    outcomes = Outcomes.pool([ImageOutcome.of([[0.6, 0.0], [0.0, 0.6]], [0, 1], [0, 2], [0.9, 0.9], threshold=0.75)], 3)
    assert named(miss_causes(outcomes, 0.5, iou=0.75)[0], CAUSES) == ["badly_located", "missed"]
    assert named(false_box_types(outcomes, 0.5, iou=0.75)[0], TYPES) == ["badly_located", "both"]


def test_of_nothing_there_are_no_errors():
    errors = ErrorTypes.of(Outcomes.pool([], 3), NAMES, 0.5)
    assert all(e.objects.n == e.boxes.n == 0 and e.boxes.on_clean is None for e in errors.classes.values())
    assert occurring(errors) == []


def shown():
    """An a found, an a under a box of b, an a found too late and one found later still; false boxes on both kinds."""
    images = [
        ([[0.9, 0, 0.7], [0, 0.8, 0]], [0, 0], [0, 1, 0], [0.9, 0.8, 0.7]),
        ([[0.9, 0], [0, 0.6]], [0, 0], [0, 0], [0.1, 0.2]),
        (np.zeros((0, 1)), [], [1], [0.6]),
    ]
    return ErrorTypes.of(pool(images), ["a", "b [x]", "c"], [0.5, 0.25, 0.5])


def test_the_result_is_plain_json():
    content = json.loads(json.dumps(dataclasses.asdict(shown())))
    assert (content["iou"], content["background_iou"]) == (0.5, 0.1)
    assert content["classes"]["a"] == {
        "threshold": 0.5,
        "objects": {
            "n": 4,
            "not_found": 3,
            "confused": 1,
            "badly_located": 0,
            "below_threshold": 2,
            "below_confidence": pytest.approx(0.15),
            "missed": 0,
            "confused_with": {"b [x]": 1},
        },
        "boxes": {
            "n": 1,
            "on_clean": 0,
            "duplicate": 1,
            "confused": 0,
            "badly_located": 0,
            "both": 0,
            "background": 0,
            "confused_with": {},
        },
    }
    b = content["classes"]["b [x]"]
    assert (b["threshold"], b["objects"]["n"], b["objects"]["below_confidence"]) == (0.25, 0, None)
    assert (b["boxes"]["on_clean"], b["boxes"]["background"], b["boxes"]["confused_with"]) == (1, 1, {"a": 1})


def test_only_what_occurs_is_explained():
    assert occurring(shown()) == ["confused", "below_threshold", "duplicate", "background"]


def test_every_knob_names_a_key():
    assert set(KNOBS) == {*CAUSES, *TYPES}
    for kind, sentence in KNOBS.items():
        keys = re.findall(r"`([^`]+)`", sentence)
        assert keys, kind
        assert "balance." not in re.sub(r"`[^`]+`", "", sentence), kind
