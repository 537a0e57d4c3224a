"""`certify`: what a finished model promises on the next parts, read on a split that chose nothing."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER

from yolo_balance.bounded_files import read_json
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import image_ids, sha256, written_together
from yolo_balance.integration.data import resolve_data
from yolo_balance.integration.finished.report_model import check_arguments, check_data, check_folder, finished_model
from yolo_balance.integration.finished.validate_once import reading_of, validated
from yolo_balance.integration.models import thresholds_beside
from yolo_balance.integration.outside_errors import outside_errors
from yolo_balance.recall.decisions.certificate import Certificate, Terms
from yolo_balance.recall.decisions.certification import certify_outcomes, starting_thresholds
from yolo_balance.recall.decisions.thresholds import BudgetThresholds, Thresholds, ZoneBudgets
from yolo_balance.recall.split_reading import Reading
from yolo_balance.run_folder.names import CERTIFICATE, THRESHOLDS
from yolo_balance.text import counted, listed, plain

TAKEN_OVER = {"imgsz": "imgsz", "iou": "nms_iou", "max_det": "max_det", "agnostic_nms": "agnostic_nms"}
"""Arguments of Ultralytics that are those of the thresholds, unless they are given."""


def certify(
    weights: str | Path,
    *,
    terms: Terms,
    thresholds: str | Path | None = None,
    out: str | Path | None = None,
    **arguments: object,
) -> Certificate:
    """Validate a finished model once and write certificate.json; if it is certified, thresholds.yaml beside it.

    Args:
        weights: A model, as for `report`.
        terms: Terms of the certificate; unit and number of the look are found here.
        thresholds: Thresholds that other images chose; when left out, those beside the weights.
        out: Folder of the files; Ultralytics' own, `runs/detect/val`, when left out. Where it holds a certificate of
            the same weights on some of the same images, this is a second look.
        **arguments: As for `report`; `balance.recall.units` names the units.

    Raises:
        ConfigError: With every problem of the arguments, or images of the split took part in choosing.
        DataError: The split has images of train.
    """
    options = check_arguments(None, arguments)
    chosen = Path(thresholds) if thresholds is not None else thresholds_beside(Path(weights))
    loaded = Thresholds.load(chosen)
    if out is not None:
        check_folder(Path(out))
        if (Path(out) / THRESHOLDS).exists() and (Path(out) / THRESHOLDS).samefile(chosen):
            raise ConfigError(f"--out: {out} holds the thresholds that are to be certified, give another folder")
    model = finished_model(weights, arguments.get("task"))
    digest = sha256(weights)
    if loaded.weights_sha256 not in (None, digest):
        raise ConfigError(
            f"--thresholds: {plain(str(chosen))} was measured on other weights than {plain(str(weights))}, expected "
            "the thresholds.yaml that report writes for these"
        )
    for argument, condition in TAKEN_OVER.items():
        if getattr(loaded, condition) is not None:
            arguments.setdefault(argument, getattr(loaded, condition))
    arguments.setdefault("plots", False)
    arguments["data"] = resolve_data(arguments["data"], model.task)
    options = options.model_copy(update={"iou": loaded.iou})
    files = check_data(model, options, {**model.overrides, **arguments})
    ids = image_ids(files)
    _check_chosen(loaded, chosen, files, ids, str(arguments["split"]))
    earlier = _earlier(out, digest, ids)
    terms = replace(terms, unit="image" if options.units is None else "part", number=1 + earlier)
    if out is not None:
        folder = Path(out).resolve()
        arguments |= {"project": str(folder.parent), "name": folder.name, "exist_ok": True}
    with outside_errors("certify", lambda: out or arguments.get("project")):
        validator = validated(model, options, **arguments)
        if shared := validator.split_images().counts.in_train:
            raise DataError(f"split: {counted(shared, 'image')} of {arguments['split']} are also in train")
        reading = reading_of(validator)
        if reading.names != list(loaded.budgets[0].classes):
            raise ConfigError(
                f"--thresholds: {plain(str(chosen))} has the classes {listed(list(loaded.budgets[0].classes))}, "
                f"expected those of the model, {listed(reading.names)}"
            )
        promise = terms.budget if terms.overkill is None else terms.overkill
        assert promise is not None
        start = starting_thresholds(loaded, promise, reading.outcomes)
        answer = certify_outcomes(reading.outcomes, reading.names, start, terms, floor=validator.args.conf)
        about = {
            "weights": Path(weights).name,
            "weights_sha256": digest,
            "data": str(arguments["data"]),
            "split": arguments["split"],
            "data_sha256": hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest(),
            "units": options.units,
            "imgsz": reading.conditions.imgsz if reading.conditions else None,
            "iou": loaded.iou,
            "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            "images_sha256": " ".join(sorted(ids)),
        }
        answer = replace(answer, about=about)
        folder = Path(validator.save_dir)
        if answer.answer != "certified" and earlier:
            (folder / THRESHOLDS).unlink(missing_ok=True)  # of a certificate that this one replaces
        with written_together(folder) as together:
            if answer.answer == "certified":
                certified_thresholds(answer, loaded, reading, promise).save(together / THRESHOLDS)
            answer.save(together / CERTIFICATE)
    LOGGER.info(f"{answer.statement}\nWritten: {folder / CERTIFICATE}")
    return answer


def certified_thresholds(answer: Certificate, loaded: Thresholds, reading: Reading, promise: float) -> Thresholds:
    """Return the thresholds of a certificate, which `predict` applies: the same for review and reject."""
    classes = {name: row.threshold for name, row in answer.classes.items()}
    ids = {*(loaded.chosen_on or "").split(), *answer.about["images_sha256"].split()}
    return loaded.model_copy(
        update={
            "split": reading.report.split,
            "images": answer.images,
            "clean_images": answer.clean_images,
            "weights": answer.about["weights"],
            "weights_sha256": answer.about["weights_sha256"],
            "zones": ZoneBudgets(review=promise, reject=promise),
            "budgets": [
                BudgetThresholds(false_alarms=promise, threshold=max(classes.values()), classes=classes),
            ],
            "chosen_on": " ".join(sorted(ids)),
        }
    )


def _check_chosen(loaded: Thresholds, name: Path, files: Sequence[str], ids: Sequence[str], split: str) -> None:
    """Refuse a split whose images took part in choosing the thresholds."""
    if loaded.chosen_on is None:
        raise ConfigError(
            f"--thresholds: {plain(str(name))} does not say which images chose it, so nothing shows that {split} did "
            "not; report writes a new one"
        )
    known = set(loaded.chosen_on.split())
    taken = [file for file, own in zip(files, ids, strict=True) if own in known]
    if taken:
        raise ConfigError(
            f"split: {counted(len(taken), 'image')} of {len(files)} in {split} took part in choosing "
            f"{plain(str(name))}, the first is {plain(Path(taken[0]).name)}; expected a split that chose nothing"
        )


def _earlier(out: str | Path | None, digest: str, ids: Sequence[str]) -> int:
    """Return the number of earlier looks by the certificate in the folder; 0 for other weights or other images."""
    if out is None or not (path := Path(out) / CERTIFICATE).exists():
        return 0
    content: Any = read_json(path, "the certificate.json of certify")
    if not isinstance(content, Mapping) or content.get("weights_sha256") != digest:
        return 0
    known, number = content.get("images_sha256"), content.get("look")
    if not isinstance(known, str) or isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigError(f"{path}: expected the certificate.json of certify, with look and images_sha256")
    return number if set(known.split()) & set(ids) else 0
