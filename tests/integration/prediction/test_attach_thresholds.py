"""Laws of predictions at thresholds: they keep the boxes that Ultralytics' validation counted, and no others."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.matrices import sampled
from helpers.thresholds import made
from helpers.validations import lively
from ultralytics import YOLO
from ultralytics.utils import LOGGER

from yolo_balance import attach_thresholds
from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError, HostError
from yolo_balance.integration.hooks.validator import balance_validator
from yolo_balance.integration.prediction.attach_thresholds import passing
from yolo_balance.ranges import NEVER

GIVEN = {"imgsz": 64, "device": "cpu", "verbose": False}
CLASSES = ("0", "1", "2")
MODELS = ["yolo11n.yaml", "yolo26n.yaml", "yolo11n-seg.yaml", "yolo11n-obb.yaml", "yolo26n-pose.yaml"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight images of noise and shapes, all the network's own size, so that nothing is rescaled."""
    root = tmp_path_factory.mktemp("shapes")
    (root / "images" / "val").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(8):
        image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        cv2.circle(image, tuple(map(int, rng.integers(16, 48, 2))), 14, tuple(map(int, rng.integers(0, 255, 3))), -1)
        cv2.imwrite(str(root / "images" / "val" / f"{i}.png"), image)
    return root / "images" / "val"


@pytest.fixture
def said(monkeypatch):
    lines = []
    unknown = "thresholds.yaml: does not name the weights"  # which no file here does
    monkeypatch.setattr(LOGGER, "warning", lambda text, *a: text.startswith(unknown) or lines.append(text))
    return lines


def boxes_of(result):
    boxes = result.obb if result.obb is not None else result.boxes
    return sorted(zip(boxes.cls.int().tolist(), boxes.conf.tolist(), strict=True))


def counted(model, folder, **more):
    """Per image the class and confidence of every box of Ultralytics' validation."""
    data = folder.parent.parent / f"{model.task}.yaml"
    data.write_text("{train: images/val, val: images/val, names: ['0', '1', '2'], kpt_shape: [2, 3], channels: 3}")
    validators = []

    def collecting(**given):
        validators.append(balance_validator(model._smart_load("validator")(**given), RecallConfig()))
        return validators[0]

    options = {
        "rect": False,
        "batch": 1,
        "plots": False,
        "project": str(folder.parent.parent / "runs"),
        **GIVEN,
        **more,
    }
    model.val(validator=collecting, data=str(data), **options)
    outcomes = validators[0].outcomes
    images = [[] for _ in outcomes.files]
    for image, label, score in zip(outcomes.image, outcomes.predicted, outcomes.confidence, strict=True):
        images[image].append((int(label), float(score)))
    return {Path(file).name: sorted(boxes) for file, boxes in zip(outcomes.files, images, strict=True)}


def whole(model):
    """The model with the demands of prediction that validation does not have: no empty mask, key points."""
    head = model.model.model[-1]
    if model.task == "segment":
        for scale in head.cv4:
            torch.nn.init.zeros_(scale[-1].weight)
            torch.nn.init.ones_(scale[-1].bias)
        torch.nn.init.constant_(head.proto.cv3.bn.bias, 5)
    if model.task == "pose":
        model.model.kpt_shape = head.kpt_shape  # as training sets it
    return model


@pytest.mark.parametrize(
    ("name", "more"),
    [
        *((name, {"retina_masks": True} if "seg" in name else {}) for name in MODELS),
        ("yolo26n.yaml", {"nms": False}),
    ],
    ids=str,
)
def test_prediction_keeps_the_boxes_that_validation_counted(name, more, folder, tmp_path):
    validated = counted(whole(lively(name, tmp_path)), folder, max_det=1000, **more)
    pooled = [box for boxes in validated.values() for box in boxes]
    review = [float(np.quantile([p for c, p in pooled if c == label], q)) for label, q in enumerate((0.98, 0.5, 0.9))]
    review[1] = next(p for c, p in pooled if c == 1 and p > review[1])  # a box exactly at its threshold
    reject = [value + (1 - value) / 3 for value in review]
    model = attach_thresholds(whole(lively(name, tmp_path)), made(review, reject))
    results = model.predict(folder, rect=False, max_det=1000, **GIVEN, **more)
    assert len(results) == 8
    for result in results:
        kept = [(c, p) for c, p in validated[Path(result.path).name] if p >= review[c]]
        assert boxes_of(result) == kept
        rejected = any(p >= reject[c] for c, p in kept)
        assert result.zone == ("reject" if rejected else "review" if kept else "pass")
        extra = result.masks if result.masks is not None else result.keypoints
        assert extra is None or len(extra) == len(kept)
    assert sum(map(len, results)) < len(pooled)


@pytest.mark.parametrize("rect", [True, False])
@pytest.mark.parametrize("shape", sampled([(50, 50), (47, 90), (90, 61)], [(47, 90)]), ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_an_image_is_seen_as_in_validation(name, shape, rect, folder, tmp_path):
    """Else scores differ, and with them which boxes are at their thresholds."""
    images = tmp_path / "images" / "val"
    images.mkdir(parents=True)
    for file in sorted(folder.iterdir())[:3]:
        cv2.imwrite(str(images / file.name), cv2.resize(cv2.imread(str(file)), shape[::-1]))
    more = {"rect": rect, "max_det": 1000, **({"retina_masks": True} if "seg" in name else {})}
    validated = counted(whole(lively(name, tmp_path)), images, **more)
    review = in_widest_gap(validated)
    model = attach_thresholds(whole(lively(name, tmp_path)), made(review, review))
    for result in model.predict(images, **GIVEN, **more):
        kept = [(c, p) for c, p in validated[Path(result.path).name] if p >= review[c]]
        assert [c for c, _ in boxes_of(result)] == [c for c, _ in kept]
        np.testing.assert_allclose([p for _, p in boxes_of(result)], [p for _, p in kept], atol=1e-5)


def in_widest_gap(validated):
    """Return a review threshold per class where sums in another order, which differ in their last digit, decide alike."""
    review = []
    for label in range(3):
        highest = np.sort([p for boxes in validated.values() for c, p in boxes if c == label])[-12:]
        review.append(float(highest[(gap := np.diff(highest).argmax()) : gap + 2].mean()))
    return review


def test_images_of_several_shapes_are_decided_as_they_were_counted_whatever_their_neighbours(folder, tmp_path):
    images = tmp_path / "images" / "val"
    images.mkdir(parents=True)
    shapes = [(64, 64), (40, 90), (90, 40), (47, 90), (64, 64), (40, 90), (100, 30), (50, 50)]
    for file, (height, width) in zip(sorted(folder.iterdir()), shapes, strict=True):
        cv2.imwrite(str(images / file.name), cv2.resize(cv2.imread(str(file)), (width, height)))
    files = sorted(images.iterdir())
    validated = counted(lively("yolo11n.yaml", tmp_path), images, rect=True, batch=4, max_det=1000)
    review = in_widest_gap(validated)
    reject = [value + (1 - value) / 20 for value in review]
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made(review, reject, rect=True, max_det=1000))
    ways = {
        "the folder": model.predict(images, **GIVEN),
        "in batches": model.predict(images, batch=3, **GIVEN),
        "one by one, the last first": [model(file, **GIVEN)[0] for file in reversed(files)][::-1],
        "pixels": model([cv2.imread(str(file)) for file in reversed(files)], **GIVEN)[::-1],
    }
    for results in ways.values():
        for file, result in zip(files, results, strict=True):
            kept = [(c, p) for c, p in validated[file.name] if p >= review[c]]
            assert [c for c, _ in boxes_of(result)] == [c for c, _ in kept]
            np.testing.assert_allclose([p for _, p in boxes_of(result)], [p for _, p in kept], atol=1e-5)
            assert result.zone == (
                "pass" if not kept else "reject" if any(p >= reject[c] for c, p in kept) else "review"
            )
    assert len({result.zone for result in ways["the folder"]}) > 1


@pytest.mark.parametrize("name", [*MODELS, "yolo26n-obb.yaml", "yolo11n-pose.yaml"])
def test_what_is_found_lies_where_it_is_whatever_the_padding(name, folder, tmp_path):
    """An image given with its padding, as pixels of a larger one, has the same found as far to the right and below."""
    image = cv2.imread(str(folder / "0.png"))
    larger = cv2.copyMakeBorder(image, 16, 16, 16, 16, cv2.BORDER_CONSTANT, value=(114,) * 3)
    model = attach_thresholds(whole(lively(name, tmp_path)), made([0.6] * 3, [0.9] * 3))
    given = {**GIVEN, "max_det": 20, "retina_masks": True}  # else small masks are empty, and their boxes dropped
    (ours,), (other,) = model(image, **given), model(larger, **{**given, "imgsz": 96, "rect": False})
    assert len(ours) == len(other) > 0
    if ours.obb is not None:
        np.testing.assert_allclose(ours.obb.xywhr[:, :2] + 16, other.obb.xywhr[:, :2], atol=1e-3)
        np.testing.assert_allclose(ours.obb.xywhr[:, 2:], other.obb.xywhr[:, 2:], atol=1e-3)
    else:
        np.testing.assert_allclose(ours.boxes.xyxy, (other.boxes.xyxy - 16).clip(0, 64), atol=1e-3)
    if ours.keypoints is not None:
        np.testing.assert_allclose(ours.keypoints.xy, (other.keypoints.xy - 16).clip(0, 64), atol=1e-3)
    if ours.masks is not None:
        np.testing.assert_array_equal(ours.masks.data[:, 4:-4, 4:-4], other.masks.data[:, 20:-20, 20:-20])


def test_ultralytics_alone_names_one_class_per_place_so_a_rare_one_is_lost_behind_a_common_one(folder, tmp_path):
    review = [0.99, 0.3, 0.99]
    model = lively("yolo11n.yaml", tmp_path)
    stock = sum((r.boxes.cls == 1).sum() for r in model.predict(folder, conf=0.3, **GIVEN))
    ours = sum(
        (r.boxes.cls == 1).sum() for r in attach_thresholds(model, made(review, review)).predict(folder, **GIVEN)
    )
    assert 0 < stock < ours


def test_one_candidate_per_class_that_passes():
    rng = np.random.default_rng(0)
    for _ in range(20):
        count, extra = int(rng.integers(1, 4)), int(rng.integers(0, 3))
        raw = torch.from_numpy((rng.integers(0, 9, (2, 4 + count + extra, 12)) / 8).astype(np.float32))
        least = rng.integers(1, 12, count) / 8
        for image, out in zip(raw, passing(raw, least, several=True), strict=True):
            expected = []
            for n in range(12):
                for c in range(count):
                    if image[4 + c, n] >= least[c]:
                        own = [float(image[4 + c, n]) if k == c else 0.0 for k in range(count)]
                        expected.append([*image[:4, n].tolist(), *own, *image[4 + count :, n].tolist()])
            got = out.T.tolist()
            assert got[: len(expected)] == expected
            assert not np.any(got[len(expected) :])
            assert len(got) != 6  # which Ultralytics would take for finished boxes
        for image, out in zip(raw, passing(raw, least, several=False), strict=True):
            for n in range(12):
                passes = [c for c in range(count) if image[4 + c, n] >= least[c]]
                kept = [float(image[4 + c, n]) if c in passes or not passes else 0.0 for c in range(count)]
                assert out[4 : 4 + count, n].tolist() == kept


def test_scores_compare_with_thresholds_as_the_report_compares_them():
    for value in (0.7, 0.1, float(np.nextafter(np.float32(0.3), np.float32(1)))):
        near = np.float32(value)
        scores = np.array([np.nextafter(near, np.float32(0)), near, np.nextafter(near, np.float32(1))])
        raw = torch.zeros(1, 5, 3)
        raw[0, 4] = torch.from_numpy(scores)
        kept = passing(raw, np.array([value]), several=True)[0, 4]
        assert kept[kept > 0].tolist() == scores[scores.astype(np.float64) >= value].tolist()


@pytest.mark.parametrize("name", ["yolo11n-seg.yaml", "yolo11n-obb.yaml"])
def test_every_copy_and_selection_keeps_the_zone(name, folder, tmp_path):
    model = attach_thresholds(lively(name, tmp_path), made([0.5] * 3, [0.999] * 3))
    result = next(r for r in model(folder, rect=False, **GIVEN) if len(r) > 1)
    assert result.zone == "review"
    copies = [result[0], result[:0], result.cpu(), result.numpy(), result.to("cpu"), copy.deepcopy(result)]
    for other in (*copies, pickle.loads(pickle.dumps(result))):
        assert other.zone == "review"
    if result.obb is not None:
        result.update(obb=result.obb.data[:1].clone())
    else:
        result.update(boxes=result.boxes.data[:1].clone())
    assert (result.zone, len(result)) == ("review", 1)
    assert result.plot().shape == (64, 64, 3)
    assert result.summary()[0]["name"] in CLASSES


def test_streams_batches_and_repeated_calls_agree(folder, tmp_path):
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made([0.6, 0.55, 0.7], [0.97] * 3))
    given = {**GIVEN, "rect": False}

    def told(results):
        return [(r.path, r.zone, boxes_of(r)) for r in results]

    once = told(model.predict(folder, **given))
    assert {zone for _, zone, _ in once} == {"review", "reject"}
    next(iter(model.predict(folder, stream=True, **given)))  # given up half way
    assert told(model.predict(folder, stream=True, **given)) == once
    assert [told(model(file, **given))[0] for file in sorted(folder.iterdir())] == once
    together = told(model.predict(folder, batch=3, **given))
    assert together == told(model.predict(folder, batch=3, stream=True, **given))
    assert [(path, zone) for path, zone, _ in together] == [(path, zone) for path, zone, _ in once]


def test_attached_again_the_last_counts(folder, tmp_path):
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made([0.1] * 3, [0.1] * 3))
    assert {r.zone for r in model(folder, **GIVEN)} == {"reject"}
    attach_thresholds(model, made([NEVER] * 3, [NEVER] * 3))
    assert {(r.zone, len(r)) for r in model(folder, **GIVEN)} == {("pass", 0)}
    before = {event: len(hooks) for event, hooks in model.callbacks.items()}
    attach_thresholds(model, made([NEVER] * 3, [NEVER] * 3))
    assert {event: len(hooks) for event, hooks in model.callbacks.items()} == before


def test_taken_off_ultralytics_predicts_as_before(folder, tmp_path):
    model = lively("yolo11n.yaml", tmp_path)
    stock = [boxes_of(r) for r in model(folder, **GIVEN)]
    attach_thresholds(model, made([0.9] * 3, [0.9] * 3))(folder, **GIVEN)
    model.reset_callbacks()
    assert [boxes_of(r) for r in model(folder, **GIVEN)] == stock


def test_embeddings_are_left_alone(folder, tmp_path):
    model = lively("yolo11n.yaml", tmp_path)
    before = model.embed(folder / "0.png", **GIVEN)
    after = attach_thresholds(model, made([0.9] * 3, [0.9] * 3)).embed(folder / "0.png", **GIVEN)
    torch.testing.assert_close(after, before)


def test_thresholds_decide_and_a_conf_above_the_smallest_is_said_once(folder, tmp_path, said):
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made([0.5, 0.2, 0.6], [0.9] * 3))
    plain = [boxes_of(r) for r in model(folder, **GIVEN)]
    assert not said
    for conf in (0.1, 0.9, 0.9):
        assert [boxes_of(r) for r in model(folder, conf=conf, **GIVEN)] == plain
    assert said == ["conf: 0.9 is above the smallest threshold of thresholds.yaml, 0.2; thresholds decide"]


def test_boxes_are_suppressed_as_they_were_when_thresholds_were_measured(folder, tmp_path, said):
    thresholds = made([0.01] * 3, [0.9] * 3)
    model = lively("yolo11n.yaml", tmp_path)
    loose, tight = (
        [boxes_of(r) for r in model(folder, **GIVEN, conf=0.0099, iou=iou, rect=False)] for iou in (0.9, 0.2)
    )
    assert sum(map(len, tight)) < sum(map(len, loose))
    for iou in (0.9, 0.2):
        model = attach_thresholds(lively("yolo11n.yaml", tmp_path), thresholds.model_copy(update={"nms_iou": iou}))
        asked = [len(boxes_of(r)) for r in model(folder, **GIVEN, iou=iou)]
        assert [len(boxes_of(r)) for r in model(folder, **GIVEN)] == asked
        assert sum(asked) > 0
    assert not said
    model(folder, **{**GIVEN, "iou": 0.4})
    assert said == ["iou: thresholds.yaml was measured at 0.2, not 0.4, where its thresholds may not hold"]


def test_another_image_size_than_the_measured_one_is_told_of(folder, tmp_path, said):
    thresholds = made([0.5] * 3, [0.9] * 3).model_copy(update={"imgsz": 64})
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), thresholds)
    model(folder, **{**GIVEN, "imgsz": 64})
    assert not said
    for _ in range(2):
        model(folder, **{**GIVEN, "imgsz": 96})
    assert said == ["imgsz: thresholds.yaml was measured at 64, not 96, where its thresholds may not hold"]


def test_objects_are_tracked_as_ever_and_of_the_boxes_those_at_their_thresholds_are_kept(folder, tmp_path):
    video = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(video, cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 64))
    for i in range(6):
        writer.write(cv2.imread(str(folder / f"{i // 3}.png")))
    writer.release()
    given = {**GIVEN, "rect": False}
    even = lively("yolo11n.yaml", tmp_path).track(video, tracker="bytetrack.yaml", **given)
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made([0.8] * 3, [0.999] * 3))
    for stock, result in zip(even, model.track(video, tracker="bytetrack.yaml", **given), strict=True):
        assert boxes_of(result) == [(c, p) for c, p in boxes_of(stock) if p >= 0.8]
    review = [0.99, 0.4, 0.6]
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made(review, [0.999] * 3))
    seen = []
    model.add_callback("on_predict_start", lambda predictor: seen.append(predictor.args.conf))
    for _ in range(2):  # Ultralytics registers its tracker once more, or again
        results = model.track(video, tracker="bytetrack.yaml", **given)
        assert len(results) == 6
        assert any(r.boxes.is_track for r in results)
        for result in results:
            assert all(p >= review[c] for c, p in boxes_of(result))
            assert result.zone == ("review" if len(result) else "pass")
    assert max(seen) <= 0.1  # a tracker follows objects through boxes of low confidence
    assert any(len(r) for r in results)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("0", "1"), "expected a threshold for each class of the model, got none for 2"),
        (("0", "1", "2", "3"), "expected classes of the model, it has no class 3"),
        (("0", "1", "\n"), "expected a threshold for each class of the model, got none for 2"),
    ],
)
def test_thresholds_of_other_classes_are_refused(names, line, tmp_path):
    file = tmp_path / "t.yaml"
    made([0.5] * len(names), [0.6] * len(names), names).save(file)
    with pytest.raises(ConfigError) as e:
        attach_thresholds(lively("yolo11n.yaml", tmp_path), file)
    assert e.value.problems[0] == f"{file}: classes: {line}"
    assert all("\n" not in problem for problem in e.value.problems)


def test_only_models_that_report_boxes_have_thresholds():
    with pytest.raises(HostError, match="expected a model of task detect, segment, pose, obb, got one of classify"):
        attach_thresholds(YOLO("yolo11n-cls.yaml"), made([0.5] * 3, [0.5] * 3))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model's weights and its ONNX file, by name and options of the export."""

    def export(name, **options):
        root = tmp_path_factory.mktemp("exported")
        lively(name, root).save(root / "best.pt")
        file = YOLO(root / "best.pt").export(format="onnx", imgsz=64, device="cpu", simplify=False, **options)
        return root / "best.pt", file

    return export


@pytest.mark.parametrize("name", ["yolo11n.yaml", "yolo11n-seg.yaml"])
def test_an_onnx_file_predicts_at_thresholds_as_its_weights_do(name, exported, folder, said):
    weights, file = exported(name)
    task = YOLO(weights).task

    def predicted(path, review):
        model = attach_thresholds(YOLO(path, task=task), made(review, [(1 + value) / 2 for value in review]))
        return [(r.zone, boxes_of(r)) for r in model(folder, rect=False, **GIVEN)]

    review = []
    for label in range(3):  # in the widest gap, as the two compute a little differently
        scores = np.sort([p for _, boxes in predicted(weights, [0.01] * 3) for c, p in boxes if c == label])[-30:]
        widest = np.diff(scores).argmax()
        review.append(float(scores[widest : widest + 2].mean()))
    mine, theirs = predicted(weights, review), predicted(file, review)
    assert [zone for zone, _ in mine] == [zone for zone, _ in theirs]
    for (_, own), (_, other) in zip(mine, theirs, strict=True):
        assert [c for c, _ in own] == [c for c, _ in other]
        np.testing.assert_allclose([p for _, p in own], [p for _, p in other], atol=1e-4)
    assert sum(len(boxes) for _, boxes in mine) > 0
    assert not [line for line in said if "nms=True" in line]


def test_an_onnx_file_that_suppresses_boxes_itself_is_told_of(exported, folder, said):
    _, file = exported("yolo11n.yaml", nms=True)
    model = attach_thresholds(YOLO(file, task="detect"), made([0.5, 0.2, 0.5], [0.6] * 3))
    results = [*model(folder, **GIVEN), *model(folder, **GIVEN)]
    told = [line for line in said if "expected an export without nms=True" in line]
    assert len(told) == 1
    assert told[0].endswith("the smallest is 0.2")
    for result in results:
        assert all(p >= (0.5, 0.2, 0.5)[c] for c, p in boxes_of(result))


def test_images_of_other_sizes_go_through(folder, tmp_path):
    for i, shape in enumerate(((40, 90, 3), (100, 30, 3))):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full(shape, 120, np.uint8))
    shutil.copy(folder / "0.png", tmp_path / "2.png")
    model = attach_thresholds(lively("yolo11n.yaml", tmp_path), made([0.5] * 3, [0.9] * 3))
    assert [r.orig_shape for r in model(tmp_path / "*.png", batch=3, **GIVEN)] == [(40, 90), (100, 30), (64, 64)]
