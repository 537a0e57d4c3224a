"""Check that three ways of counting agree on your data: ours, Ultralytics' own matching, and a COCO evaluator.

    python examples/benchmarks/agreement.py DATA.yaml WEIGHTS [--imgsz 640] [--split val] [--iou 0.5]

Validates once. At every budget, with one confidence for all classes and with one for each (`own`), objects found and
false boxes are counted per class from `RecallReport`, from the true positives Ultralytics keeps for its mAP, and by
faster-coco-eval (`pip install '.[test]'`), which works out overlap and matching anew from what Ultralytics was
about to match: boxes, masks or key points. faster-coco-eval knows no oriented boxes. Ends with 1 if a count differs.

Ultralytics 8.4.0 leaves a box whose best object is taken without another, so it may find fewer where objects overlap.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask
from ultralytics import YOLO
from ultralytics.utils import LOGGER

from yolo_balance.config import RecallConfig
from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.data import resolve_data
from yolo_balance.integration.hooks.validator import balance_validator

Array = npt.NDArray[Any]
KINDS = {"detect": "bbox", "segment": "segm", "pose": "keypoints"}
MATCHED = {"segment": "tp_m", "pose": "tp_p"}
"""Hits that Ultralytics finds, by name of its statistic: by masks and key points; `tp` is by boxes."""


@dataclass(frozen=True)
class Scene:
    """Input of one image's matching: T objects and P boxes.

    Attributes:
        objects: (T, 4) boxes x1, y1, x2, y2, (T, h, w) masks, or (T, k, 3) key points.
        object_box: (T, 4), for the scale of key points.
        object_class: (T,).
        boxes: As `objects`, P of them.
        predicted: (P,) classes.
        confidence: (P,).
    """

    objects: Array
    object_box: Array
    object_class: Array
    boxes: Array
    predicted: Array
    confidence: Array

    @property
    def truth(self) -> Array:
        """Indices of the objects that the evaluator receives, backwards: all, or those with a visible key point.

        Where a box overlaps several objects equally, the evaluator takes the last one, and we the first.
        """
        visible = self.objects[..., 2].any(1) if self.objects.ndim == 3 and self.objects.shape[2] == 3 else None
        return np.arange(len(self.objects))[::-1] if visible is None else np.flatnonzero(visible)[::-1]


def coco_evaluation(
    scenes: Sequence[Scene], keep: Array, kind: str, classes: int, iou: float, sigmas: Array | None = None
) -> tuple[Array, Array]:
    """Evaluate the boxes that `keep` (P,) selects of all images' boxes.

    Nothing is a crowd, no area is left out and no number of boxes is too many, which all are rules of the evaluator's.

    Args:
        scenes: The images.
        keep: (P,) bool.
        kind: `bbox`, `segm` or `keypoints`.
        classes: C.
        iou: At which a box finds an object.
        sigmas: (k,) of the key points.

    Returns:
        match: (P,) object that each box found, counted over all images, -1 for none and for boxes left out.
        recall: (C,) as the evaluator says it, -1 for classes without objects.
    """
    truth: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    box_of, object_of, start, first = [], [0], 0, 0
    for image, scene in enumerate(scenes):
        for i in scene.truth:
            x1, y1, x2, y2 = scene.object_box[i].tolist()
            size = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            truth.append(_annotation(kind, scene.objects[i], image, scene.object_class[i], len(truth) + 1, size))
            object_of.append(first + i)
        for i in np.flatnonzero(keep[start : start + len(scene.boxes)]):
            score = {"score": float(scene.confidence[i])}
            number = len(detections) + 1
            detections.append(_annotation(kind, scene.boxes[i], image, scene.predicted[i], number, score))
            box_of.append(start + i)
        start += len(scene.boxes)
        first += len(scene.objects)
    match, recall = np.full(start, -1), np.full(classes, -1.0)
    if not detections or not truth:
        recall[[t["category_id"] for t in truth]] = 0
        return match, recall
    with contextlib.redirect_stdout(io.StringIO()):
        given = COCO()
        given.dataset = {
            "info": {},
            "images": [{"id": i, **_size(kind, s)} for i, s in enumerate(scenes)],
            "annotations": truth,
            "categories": [{"id": c, "name": str(c)} for c in range(classes)],
        }
        given.createIndex()
        evaluator = COCOeval_faster(
            given, given.loadRes(detections), kind, extra_calc=True, kpt_oks_sigmas=sigmas, use_area=False
        )
        evaluator.params.catIds = list(range(classes))
        evaluator.params.iouThrs = np.array([iou])
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.params.maxDets = [len(detections)]
        evaluator.evaluate()
        evaluator.accumulate()
    for number, detection in evaluator.cocoDt.anns.items():
        if "gt_id" in detection:
            match[box_of[number - 1]] = object_of[detection["gt_id"]]
    return match, np.asarray(evaluator.eval["recall"])[0, :, 0, -1]


def _annotation(kind: str, shape: Array, image: int, c: Any, number: int, more: dict[str, Any]) -> dict[str, Any]:
    entry = {"id": number, "image_id": image, "category_id": int(c), **more}
    if kind == "bbox":
        x1, y1, x2, y2 = shape.astype(np.float64).tolist()
        return {**entry, "bbox": [x1, y1, x2 - x1, y2 - y1]}
    if kind == "segm":
        return {**entry, "segmentation": mask.encode(np.asfortranarray(shape.astype(np.uint8)))}
    return {**entry, "keypoints": shape.ravel().tolist(), "num_keypoints": int((shape[:, 2] > 0).sum())}


def _size(kind: str, scene: Scene) -> dict[str, int]:
    height, width = scene.objects.shape[1:] if kind == "segm" and len(scene.objects) else (1, 1)
    return {"height": height, "width": width}


class NotingMixin:
    """A validator that keeps the input of its matching; boxes are in order of falling confidence, as in Ultralytics."""

    scenes: list[Scene]
    args: Any

    def _process_batch(self, preds: dict[str, Any], batch: dict[str, Any]) -> Any:
        key = {"segment": "masks", "pose": "keypoints"}.get(self.args.task, "bboxes")
        objects, boxes = (given[key].cpu().numpy() for given in (batch, preds))
        self.scenes.append(
            Scene(
                objects,
                batch["bboxes"][:, :4].cpu().numpy(),
                batch["cls"].cpu().numpy().astype(int),
                boxes,
                preds["cls"].cpu().numpy().astype(int),
                preds["conf"].cpu().numpy().astype(np.float64),
            )
        )
        return super()._process_batch(preds, batch)  # type: ignore[misc]


def validate(model: Any, recall: RecallConfig, **arguments: Any) -> tuple[Any, dict[str, Array]]:
    """Validate once; return the validator and the hits that Ultralytics kept for its metrics."""
    validators: list[Any] = []
    kept: dict[str, Array] = {}

    def noting(**given: Any) -> Any:
        validator = mix_in(balance_validator(model._smart_load("validator")(**given), recall), NotingMixin)
        validator.scenes = []
        validators.append(validator)
        return validator

    def keep(validator: Any) -> None:
        for key in ("tp", "tp_m", "tp_p", "conf", "pred_cls"):
            if rows := validator.metrics.stats.get(key):
                kept[key] = np.concatenate(rows)

    model.add_callback("on_val_batch_end", keep)
    model.val(validator=noting, **arguments)
    return validators[0], kept


def compare(validator: Any, kept: dict[str, Array]) -> tuple[list[tuple[str, ...]], int]:
    """Return the rows of the table, and how many of its counts differ."""
    outcomes, report = validator.outcomes, validator.recall_report
    task, classes, iou = validator.args.task, outcomes.num_classes, report.iou
    matched = kept[MATCHED.get(task, "tp")][:, round((iou - 0.5) * 20)]
    rows, different = [], 0
    for budget in report.budgets:
        for reading, ours in (("", budget.classes), (" own", budget.per_class.classes)):
            thresholds = np.array([row.threshold for row in ours.values()])
            keep = kept["conf"] >= thresholds[kept["pred_cls"].astype(int)]
            counts = [[(row.hits, row.false_boxes) for row in ours.values()], _counts(matched, keep, kept, classes)]
            if task in KINDS:
                sigmas = getattr(validator, "sigma", None)
                match, _ = coco_evaluation(validator.scenes, keep, KINDS[task], classes, iou, sigmas)
                counts.append(_counts(match >= 0, keep, kept, classes))
            for c, (name, row) in enumerate(ours.items()):
                of_class = [count[c] for count in counts]
                same = len(set(of_class)) == 1
                different += not same
                cells = [f"{hits} + {false}" for hits, false in of_class] + ["-"] * (3 - len(of_class))
                words = (f"{budget.false_alarms:g}{reading}", name, str(row.n), f"{row.threshold:.4f}", *cells)
                rows.append((*words, "" if same else "DIFFERENT"))
    return rows, different


def _counts(matched: Array, keep: Array, kept: dict[str, Array], classes: int) -> list[tuple[int, int]]:
    """Count per class the kept boxes that found an object and those that did not."""
    c = kept["pred_cls"].astype(int)
    hits, false = (np.bincount(c[keep & which], minlength=classes).tolist() for which in (matched, ~matched))
    return list(zip(hits, false, strict=True))


def main() -> None:
    """Compare the counts and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a data YAML, or demo")
    parser.add_argument("weights")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--split", default="val")
    parser.add_argument("--iou", type=float, default=0.5)
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    model = YOLO(options.weights)
    recall = RecallConfig.model_validate({"iou": options.iou})
    data = resolve_data(options.data, model.task)
    given = {"data": data, "imgsz": options.imgsz, "split": options.split, "plots": False, "save_json": False}
    with tempfile.TemporaryDirectory() as folder:  # Ultralytics leaves a run there
        validator, kept = validate(model, recall, project=folder, **given)
    rows, different = compare(validator, kept)
    head = ("budget", "class", "n", "confidence", "ours: hits + false", "Ultralytics", "faster-coco-eval", "")
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    outcomes = validator.outcomes
    print(
        f"{outcomes.images} images, {len(outcomes.object_class)} objects, {len(outcomes.confidence)} boxes, "
        f"IoU {options.iou:g}: {different} of {len(rows)} rows differ"
    )
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
