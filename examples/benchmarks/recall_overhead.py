"""Time that reading recall adds to an epoch's validation, measured inside it and paired against stock in one process.

    python examples/benchmarks/recall_overhead.py [--images 5000] [--imgsz 640] [--classes 80] [--paired 500]

The data are generated: seven objects per image on the average, a third of the images without any, drawn from what the
untrained model reports there, so that they are found; 300 boxes per image, the most that Ultralytics keeps. End-to-end
models validate without non-maximum suppression, where Ultralytics is fastest and our share is largest. First, one
validation of all images with our part of each method timed: what the method takes less what Ultralytics' own takes
inside it. Times inside a validation are precise, and say where the time goes. Then validations of `--paired` images
with and without our part, one after the other in alternating order, `--rounds` times: the whole time, with the noise of
the machine in it. What is added per image is the same for any number of images; what is added at the end grows with
their number a little faster.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from ultralytics import YOLO
from ultralytics.nn.tasks import yaml_model_load
from ultralytics.utils import LOGGER

from yolo_balance.config import RecallConfig
from yolo_balance.integration.hooks.validator import RecallValidatorMixin, balance_validator
from yolo_balance.recall import Outcomes

PICTURES, SIZE, OBJECTS, CLEAN = 32, (640, 480), 7, 1 / 3
METHODS = ("init_metrics", "match_predictions", "_process_batch", "gather_stats", "get_stats", "print_results")


def loud_model(options: argparse.Namespace, root: Path) -> Any:
    """Build an untrained model with high, distinct scores, so that it reports as many boxes as Ultralytics keeps.

    Its batch normalisation is fitted to the pictures: without, all places would look alike.
    """
    torch.manual_seed(0)
    file = root / f"loud-{Path(options.model).name}"
    file.write_text(yaml.safe_dump(yaml_model_load(options.model) | {"nc": options.classes}))
    model = YOLO(file)
    for module in model.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over what it is shown
    files = [str(root / "pictures" / f"{i}.jpg") for i in range(8)]
    pictures = np.stack([cv2.resize(np.asarray(cv2.imread(file)), (320, 224)) for file in files])
    with torch.no_grad():
        model.model.train()(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)
    head = model.model.eval().model[-1]
    one2one = [(head.one2one_cv2, head.one2one_cv3)] if hasattr(head, "one2one_cv3") else []
    for boxes, scores in ((head.cv2, head.cv3), *one2one):
        for box, score in zip(boxes, scores, strict=True):
            torch.nn.init.normal_(score[-1].weight, std=0.01)
            torch.nn.init.constant_(score[-1].bias, -3.0)
            torch.nn.init.normal_(box[-1].weight, std=0.01)
            torch.nn.init.constant_(box[-1].bias, 2.0)  # sides of about four cells
    return model


def draw_pictures(root: Path) -> None:
    """Draw a few pictures; every image is one of them."""
    rng = np.random.default_rng(0)
    (root / "pictures").mkdir(parents=True)
    for i in range(PICTURES):
        coarse = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "pictures" / f"{i}.jpg"), cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC))


def write_data(root: Path, name: str, images: int, classes: int, reported: Outcomes | None = None) -> str:
    """Write a val split of the pictures under many names, with objects near some of the boxes reported on each."""
    rng = np.random.default_rng(1)
    for kind in ("images", "labels"):
        (root / name / kind).mkdir(parents=True)
    for i in range(images):
        os.link(root / "pictures" / f"{i % PICTURES}.jpg", root / name / "images" / f"{i:05d}.jpg")
        count = 0 if rng.random() < CLEAN else rng.poisson(OBJECTS / (1 - CLEAN))
        text = "" if reported is None else _labels(reported, i % PICTURES, count, rng)
        (root / name / "labels" / f"{i:05d}.txt").write_text(text)
    file = root / name / "data.yaml"
    names = [str(c) for c in range(classes)]
    file.write_text(yaml.safe_dump({"train": "images", "val": "images", "names": names}))
    return str(file)


def _labels(reported: Outcomes, picture: int, count: int, rng: np.random.Generator) -> str:
    image = [int(Path(file).stem) for file in reported.files].index(picture)
    boxes = rng.permutation(np.flatnonzero(reported.image == image))[:count]
    corners = (reported.box[boxes] + rng.normal(0, 3, (len(boxes), 4))).clip(0, [*SIZE, *SIZE]) / [*SIZE, *SIZE]
    low, high = corners[:, :2], np.maximum(corners[:, 2:], corners[:, :2] + 0.01).clip(0, 1)
    rows = zip(reported.predicted[boxes], *((low + high) / 2).T, *(high - low).T, strict=True)
    return "\n".join(f"{c} {x:.5f} {y:.5f} {w:.5f} {h:.5f}" for c, x, y, w, h in rows)


def timed(layer: str) -> type:
    """Build a mixin that adds up the time of the methods below it, per call in `self.seconds[method, layer]`."""

    def method(name: str) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            answer = getattr(super(mixin, self), name)(*args, **kwargs)
            self.seconds[name, layer].append(time.perf_counter() - start)
            return answer

        return call

    mixin = type(f"Timed{layer}", (), {name: method(name) for name in METHODS})
    return mixin


def validate(model: Any, data: str, options: argparse.Namespace, make: Callable[[Any], Any]) -> tuple[Any, float]:
    """Validate once; return the validator and the seconds from its first batch to its last line."""
    validators, stamps = [], {}

    def validator(**given: Any) -> Any:
        validators.append(make(model._smart_load("validator")(**given)))
        for event in ("on_val_start", "on_val_end"):
            validators[0].add_callback(event, lambda _, event=event: stamps.update({event: time.perf_counter()}))
        return validators[0]

    with tempfile.TemporaryDirectory() as folder:
        given = {"data": data, "imgsz": options.imgsz, "batch": options.batch, "plots": False, "project": folder}
        given |= {"device": options.device, "workers": options.workers, "verbose": False}
        model.val(validator=validator, nms=False, **given)
    return validators[0], stamps["on_val_end"] - stamps["on_val_start"]


def balanced(validator: Any) -> Any:
    """Validate with our part."""
    return balance_validator(validator, RecallConfig())


def watched(validator: Any) -> Any:
    """Validate with our part, and clocks above and below it."""
    base = type(validator)
    layers = (timed("above"), RecallValidatorMixin, timed("below"), base)
    validator.__class__ = type(base.__name__, layers, {})
    validator.recall, validator.seconds = RecallConfig(), defaultdict(list)
    return validator


def inside(model: Any, data: str, options: argparse.Namespace) -> None:
    """Print the time that our part of each method takes in one validation."""
    validator, whole = validate(model, data, options, watched)
    ours = {name: _difference(validator.seconds, name) for name in METHODS}
    total = sum(float(own.sum()) for own in ours.values())
    outcomes = validator.outcomes
    print(
        f"{outcomes.images} images, {len(outcomes.object_class)} objects of {options.classes} classes, "
        f"{len(outcomes.confidence)} boxes, {int(outcomes.hit.sum())} of them on objects, "
        f"{options.imgsz} px: validation takes {whole:.1f} s, of which ours {total:.2f} s: "
        f"{total / (whole - total):.2%} of stock's"
    )
    per_image = ours["_process_batch"] * 1e6
    low, middle, high = np.percentile(per_image, [25, 50, 75])
    print(f"  every image      {per_image.sum() / 1e6:6.2f} s, {middle:.0f} [{low:.0f}, {high:.0f}] us each")
    for name in ("match_predictions", "gather_stats", "get_stats", "print_results"):
        print(f"  {name:17}{ours[name].sum():6.2f} s")


def _difference(seconds: dict[tuple[str, str], list[float]], name: str) -> Any:
    above, below = (np.array(seconds[name, layer]) for layer in ("above", "below"))
    return above - below


def paired(model: Any, data: str, options: argparse.Namespace) -> None:
    """Print the ratio of validations with and without our part."""
    arms: tuple[Callable[[Any], Any], ...] = (lambda validator: validator, balanced)
    times = np.empty((options.rounds, 2))
    for i in range(options.rounds):
        for which in (0, 1) if i % 2 else (1, 0):
            times[i, which] = validate(model, data, options, arms[which])[1]
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    before, after = np.median(times, axis=0)
    print(
        f"paired, {options.paired} images: {before:.2f} -> {after:.2f} s, ratio {middle:.4f} [{low:.4f}, {high:.4f}], "
        f"n = {options.rounds}"
    )


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolo26n.yaml")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--paired", type=int, default=500, help="images of a paired validation; 0 leaves them out")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=8, help="of the loader; Ultralytics allows none on a CPU")
    parser.add_argument("--device", default="0" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    LOGGER.setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        draw_pictures(root)
        model = loud_model(options, root)
        unlabelled = write_data(root, "unlabelled", PICTURES, options.classes)
        reported = validate(model, unlabelled, options, watched)[0].outcomes
        data = [write_data(root, f"{n}", n, options.classes, reported) for n in (options.images, options.paired) if n]
        inside(model, data[0], options)
        if options.paired:
            paired(model, data[1], options)


if __name__ == "__main__":
    main()
