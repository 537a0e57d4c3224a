"""Three ways of counting agree: ours, Ultralytics' own matching, and a COCO evaluator."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from helpers.matrices import sampled
from helpers.validations import MODELS, OWN, loud, options, task_data
from ultralytics.models.yolo.detect import DetectionValidator
from ultralytics.utils import ops
from ultralytics.utils.metrics import batch_probiou, box_iou, kpt_iou, mask_iou

from yolo_balance.config import RecallConfig
from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.hooks.validator import balance_validator
from yolo_balance.recall import ImageOutcome, Outcomes, RecallReport

BENCHMARK = Path(__file__).parents[3] / "examples" / "benchmarks" / "agreement.py"
_spec = importlib.util.spec_from_file_location("agreement", BENCHMARK)
agreement = importlib.util.module_from_spec(_spec)
sys.modules["agreement"] = agreement  # where its dataclass looks itself up
_spec.loader.exec_module(agreement)

CLASSES, WIDTH, HEIGHT = 4, 200, 160  # no object is of the last class
SIGMAS = np.full(5, 1 / 5, np.float32)
KINDS = {"boxes": "bbox", "masks": "segm", "key points": "keypoints", "oriented boxes": None}


def hosts_matcher():
    validator = DetectionValidator.__new__(DetectionValidator)
    validator.iouv = torch.linspace(0.5, 0.95, 10)
    return validator.match_predictions


def second_choice():
    """Whether Ultralytics gives a box whose best object is taken another that it overlaps; 8.4.0 does not."""
    found = hosts_matcher()(torch.zeros(2), torch.zeros(2), torch.tensor([[0.9, 0.8], [0.6, 0.6]]))
    return bool(found[1, 0])


SECOND_CHOICE = second_choice()


# -----------------------------------------------------------------------------------------------------------------
# Random predictions
# -----------------------------------------------------------------------------------------------------------------


def masks(boxes):
    """Ellipses in boxes; the coarse grid gives equal overlaps, too."""
    drawn = np.zeros((len(boxes), HEIGHT // 4, WIDTH // 4), np.uint8)
    for canvas, (x1, y1, x2, y2) in zip(drawn, boxes / 4, strict=True):
        middle, axes = ((x1 + x2) / 2, (y1 + y2) / 2), (max((x2 - x1) / 2, 1), max((y2 - y1) / 2, 1))
        cv2.ellipse(canvas, [int(v) for v in middle], [int(v) for v in axes], 0, 0, 360, 1, -1)
    return drawn


def key_points(boxes, rng):
    """Five in each box; of each at least one visible."""
    part = np.array([(0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)])
    points = boxes[:, None, :2] + part * (boxes[:, None, 2:] - boxes[:, None, :2])
    visible = rng.integers(0, 3, (len(boxes), 5, 1))
    visible[:, 0] = 2
    return np.concatenate([points, visible], 2).astype(np.float32)


def oriented(boxes, angle):
    """(n, 5) x, y, w, h, angle."""
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2], angle[:, None]])


def scene(rng, kind):
    """One image: objects that often overlap one of their class, boxes near and far, equal confidences among them.

    A fifth of the images are without objects, a seventh without boxes. Boxes fall in confidence.
    """
    n = 0 if rng.random() < 0.2 else int(rng.integers(1, 7))
    corner, side = rng.uniform(0, 110, (n, 2)), rng.uniform(24, 48, (n, 2))
    label, angle = rng.choice(CLASSES - 1, n, p=[0.6, 0.3, 0.1]), rng.uniform(0, 1, n)
    for i in range(1, n):
        if rng.random() < 0.5:
            side[i], corner[i], label[i], angle[i] = (
                side[i - 1],
                corner[i - 1] + rng.uniform(1, 6, 2),
                label[i - 1],
                angle[i - 1],
            )
    objects = np.hstack([corner, corner + side])
    of, far = np.repeat(np.arange(n), rng.integers(0, 5, n)), rng.uniform(0, 150, (3, 2))
    near = objects[of] + rng.normal(0, 4, (len(of), 4))
    boxes = np.vstack([near, np.hstack([far, far + 30])])
    predicted = np.concatenate(
        [np.where(rng.random(len(of)) < 0.85, label[of], CLASSES - 1), rng.integers(0, CLASSES, 3)]
    )
    turned = np.concatenate([angle[of] + rng.normal(0, 0.1, len(of)), np.zeros(3)])
    confidence = rng.integers(1, 21, len(boxes)) / 20
    order = np.argsort(-confidence, kind="stable")[: 0 if rng.random() < 1 / 7 else None]
    boxes, predicted, turned, confidence = boxes[order], predicted[order], turned[order], confidence[order]

    shapes = {
        "boxes": lambda b, _: b.astype(np.float32),
        "masks": lambda b, _: masks(b),
        "key points": lambda b, _: key_points(b, rng),
        "oriented boxes": lambda b, a: oriented(b, a).astype(np.float32),
    }[kind]
    box = objects.astype(np.float32)
    return agreement.Scene(shapes(objects, angle), box, label, shapes(boxes, turned), predicted, confidence)


def overlap(kind, s):
    """(T, P) as Ultralytics works it out."""
    a, b = torch.from_numpy(s.objects), torch.from_numpy(s.boxes)
    if kind == "masks":
        return mask_iou(a.flatten(1).float(), b.flatten(1).float())
    if kind == "key points":
        area = torch.from_numpy(s.object_box[:, 2:] - s.object_box[:, :2]).prod(1) * 0.53
        return kpt_iou(a, b, sigma=SIGMAS, area=area)
    return (box_iou if kind == "boxes" else batch_probiou)(a, b)


@pytest.mark.parametrize("threshold", [0.5, 0.75])
@pytest.mark.parametrize("kind", KINDS)
def test_what_each_box_finds_is_what_ultralytics_matcher_says(kind, threshold):
    match, compared, crowded = hosts_matcher(), 0, 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            s = scene(rng, kind)
            iou = overlap(kind, s)
            own = iou.numpy() * (s.object_class[:, None] == s.predicted)
            choice = ((own >= threshold).sum(0) > 1).any()  # a box could find either of two objects
            if choice and not SECOND_CHOICE:
                continue
            mixed = rng.permutation(len(s.boxes))
            ours = ImageOutcome.of(
                iou[:, mixed], s.object_class, s.predicted[mixed], s.confidence[mixed], threshold=threshold
            )
            falling = np.argsort(
                -s.confidence[mixed], kind="stable"
            )  # as Ultralytics' non-maximum suppression leaves them
            given = torch.tensor(s.predicted[mixed][falling]), torch.tensor(s.object_class), iou[:, mixed][:, falling]
            column = round((threshold - 0.5) * 20)
            np.testing.assert_array_equal(ours.found[falling] >= 0, match(*given)[:, column].numpy())
            compared, crowded = compared + 1, crowded + choice
    assert compared > 200
    assert crowded > 10 or not SECOND_CHOICE


@pytest.mark.parametrize("threshold", [0.5, 0.75])
@pytest.mark.parametrize("kind", [kind for kind, coco in KINDS.items() if coco])
def test_reports_agree_with_a_coco_evaluator(kind, threshold):
    """The evaluator works out overlap and matching itself, given the boxes that a budget's confidences let through.

    Nothing is a crowd, no area and no number of boxes is left out, every object has a visible key point, and of objects
    that a box overlaps equally the evaluator is told backwards: it would take the last, we take the first.
    """
    for seed in range(3):
        rng = np.random.default_rng(seed)
        scenes = [scene(rng, kind) for _ in range(40)]
        outcomes = Outcomes.pool(
            (
                ImageOutcome.of(overlap(kind, s), s.object_class, s.predicted, s.confidence, threshold=threshold)
                for s in scenes
            ),
            CLASSES,
        )
        report = RecallReport.of(outcomes, list("abcd"), false_alarms=[0.5, 1.5, 3.0], iou=threshold)
        assert report.clean_images > 0
        recalls = []
        for budget in report.budgets:
            for ours in (budget.classes.values(), budget.per_class.classes.values()):
                keep = outcomes.counts([row.threshold for row in ours])
                sigmas = SIGMAS if kind == "key points" else None
                found, recall = agreement.coco_evaluation(scenes, keep, KINDS[kind], CLASSES, threshold, sigmas)
                np.testing.assert_array_equal(found[keep], outcomes.found[keep])
                np.testing.assert_allclose([-1 if row.recall is None else row.recall for row in ours], recall)
                of_class = np.arange(CLASSES)[:, None] == outcomes.predicted
                assert [row.false_boxes for row in ours] == (of_class & keep & (found < 0)).sum(1).tolist()
                assert [row.hits for row in ours] == (of_class & (found >= 0)).sum(1).tolist()
                recalls.extend(recall[recall >= 0])
        assert 0 < np.median(recalls) < max(recalls)
        assert recall[-1] == -1


def test_an_evaluator_that_is_given_no_box_finds_nothing():
    rng = np.random.default_rng(0)
    s = next(s for s in (scene(rng, "boxes") for _ in range(20)) if len(s.objects) and len(s.boxes))
    found, recall = agreement.coco_evaluation([s], np.zeros(len(s.boxes), bool), "bbox", CLASSES, 0.5)
    assert (found == -1).all()
    np.testing.assert_array_equal(recall, np.where(np.isin(np.arange(CLASSES), s.object_class), 0, -1))


# -----------------------------------------------------------------------------------------------------------------
# Whole validations
# -----------------------------------------------------------------------------------------------------------------


VALIDATED = {**MODELS, "rtdetr-l.yaml": "small"}


@pytest.fixture(scope="module")
def data(make_data, tmp_path_factory):
    """Objects that overlap, one alone, several of a class, none; the class `crack` absent. Small ones for RT-DETR."""
    large = make_data([[0]], [[0], [1], [0, 1], [], [], [0, 0], [1, 1, 0], []], box=0.8)
    small = make_data([[0]], [[0] * 15 + [1] * 10, []] * 6, box=0.05)
    return task_data(large, tmp_path_factory) | {"small": small}


@pytest.mark.parametrize("iou", sampled([0.5, 0.75], [0.5]))
@pytest.mark.parametrize("name", VALIDATED)
def test_a_validation_s_counts_are_ultralytics_and_the_evaluator_s(name, iou, data, tmp_path):
    recall = RecallConfig.model_validate({"iou": iou, "false_alarms": [0.5, 5.0, 200.0]})
    task = VALIDATED[name]
    validator, kept = agreement.validate(loud(name, tmp_path), recall, **options(data[task], tmp_path, 128))
    outcomes = validator.outcomes
    assert outcomes.hit.any() or iou > 0.5
    np.testing.assert_array_equal(outcomes.confidence, kept["conf"])
    np.testing.assert_array_equal(outcomes.predicted, kept["pred_cls"])
    theirs = kept[OWN.get(task, "tp")][:, round((iou - 0.5) * 20)]
    of_class = np.bincount(outcomes.object_image * 3 + outcomes.object_class, minlength=3 * outcomes.images)
    compared = (of_class.reshape(-1, 3).max(1) < 2)[outcomes.image] | SECOND_CHOICE
    np.testing.assert_array_equal(outcomes.hit[compared], theirs[compared])
    read = getattr(validator.metrics, {"segment": "seg", "pose": "pose"}.get(validator.args.task, "box"))
    names = [str(validator.names[c]) for c in range(3)]
    by_class = {names[c]: i for i, c in enumerate(read.ap_class_index)}
    assert set(validator.class_scores) == set(by_class) == set(names[:2])
    for label, scores in validator.class_scores.items():
        assert scores == (read.ap50[by_class[label]], read.f1[by_class[label]])
    if SECOND_CHOICE:
        rows, different = agreement.compare(validator, kept)
        assert different == 0
        assert len(rows) == 3 * 2 * 3
        assert all(row[-2] != "-" for row in rows) == (task != "obb")


def test_counts_that_differ_are_said(data, tmp_path):
    recall = RecallConfig(false_alarms=[200.0])
    validator, kept = agreement.validate(
        loud("yolo26n.yaml", tmp_path), recall, **options(data["detect"], tmp_path, 128)
    )
    kept["tp"][:] = False
    rows, different = agreement.compare(validator, kept)
    assert different == sum(row[-1] == "DIFFERENT" for row in rows) > 0


class Scaling:
    """Keeps each image's boxes as Ultralytics scales them to the image file."""

    def _process_batch(self, preds, batch):
        self.scaled.append(self.scale_preds(preds, batch)["bboxes"].cpu().numpy())
        return super()._process_batch(preds, batch)


SIZES = [(90, 230), (333, 101), (64, 64), (50, 40), (257, 256)]
EVEN = [(128, 256), (320, 160), (64, 64), (64, 32), (256, 256)]
"""Height and width: larger than the 128 pixels of the network and smaller, square and not. Both sides of the even ones
shrink by the same factor; of others Ultralytics scales the sides of an oriented box by one each, whatever its angle."""


def by_side():
    """Whether Ultralytics scales each side by its own factor; 8.4.0 takes one for both, and leaves RT-DETR's boxes."""
    scaled = ops.scale_boxes((100, 100), torch.tensor([[0.0, 0, 40, 40]]), (50, 25), ratio_pad=((2.0, 4.0), (0, 0)))
    return scaled[0, 2:].tolist() == [10, 20]


BY_SIDE = by_side()


def letterboxed(sizes, tmp_path_factory):
    """Images with one object each, by task; and the object in pixels by file."""
    objects, rng, root = {}, np.random.default_rng(0), tmp_path_factory.mktemp("letterboxed")
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i, (height, width) in enumerate(sizes):
            cv2.imwrite(str(root / "images" / split / f"{i}.png"), rng.integers(0, 255, (height, width, 3), np.uint8))
            x, y, w, h = 0.4 + 0.02 * i, 0.55, 0.7, 0.8
            (root / "labels" / split / f"{i}.txt").write_text(f"{i % 2} {x} {y} {w} {h}")
            objects[f"{i}.png"] = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
    file = root / "data.yaml"
    file.write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": ["a", "b", "c"]}))
    return task_data(file, tmp_path_factory), objects


@pytest.mark.parametrize("name", ["yolo26n.yaml", "yolo11n-obb.yaml", "rtdetr-l.yaml"])
def test_boxes_are_where_ultralytics_scales_them_in_the_image_file(name, tmp_path_factory, tmp_path):
    model, validators = loud(name, tmp_path), []
    files, objects = letterboxed(SIZES if BY_SIDE and model.task != "obb" else EVEN, tmp_path_factory)

    def scaling(**given):
        validators.append(balance_validator(model._smart_load("validator")(**given), RecallConfig()))
        mix_in(validators[0], Scaling)
        validators[0].scaled = []
        return validators[0]

    model.val(validator=scaling, **options(files[model.task], tmp_path, 128))
    outcomes = validators[0].outcomes
    assert len(set(outcomes.files)) == len(SIZES)
    assert len(outcomes.confidence) > 50
    for i, (file, scaled) in enumerate(zip(outcomes.files, validators[0].scaled, strict=True)):
        height, width = cv2.imread(file).shape[:2]
        if (
            model.task == "obb"
        ):  # as x, y, w, h, angle and not cut at the image's edges: the corners of what encloses it
            corners = ops.xywhr2xyxyxyxy(torch.from_numpy(scaled)).numpy()
            scaled = np.hstack([corners.min(1), corners.max(1)]).clip(0, [width, height] * 2)
        ours = outcomes.box[outcomes.image == i]
        if BY_SIDE or not name.startswith("rtdetr"):
            np.testing.assert_allclose(ours, scaled, atol=1e-3)
        truth = outcomes.object_box[outcomes.object_image == i]
        # Outlines become oriented boxes in whole pixels of the scaled image
        np.testing.assert_allclose(truth, [objects[Path(file).name]], atol=2.0 if model.task == "obb" else 1e-2)
