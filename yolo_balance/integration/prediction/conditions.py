"""Conditions of a prediction beside those that thresholds were measured under: weights, size, padding, suppression."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ultralytics.cfg import DEFAULT_CFG_DICT

from yolo_balance.errors import ConfigError
from yolo_balance.files import sha256
from yolo_balance.integration.protocols import Backend, Predictor, YOLOModel
from yolo_balance.recall.conditions import Conditions
from yolo_balance.text import plain

TAKEN_OVER = {
    "iou": "nms_iou",
    "agnostic_nms": "agnostic_nms",
    "max_det": "max_det",
    "rect": "rect",
    "augment": "augment",
    "classes": "only_classes",
}
"""Arguments of a prediction that become those of the measurement unless they were given, by name of the condition."""

DEFAULTS = {**{key: DEFAULT_CFG_DICT[key] for key in TAKEN_OVER}, "rect": True}
"""Values of these arguments when none is given; Ultralytics' `predict` has a default of its own for `rect`."""

DIGITS = 12
"""Digits of a SHA-256 that a message shows."""


def weights_file(model: YOLOModel) -> str | None:
    """Return the file that a model was loaded from; None where there is no such file."""
    path = getattr(model.model, "pt_path", None) or model.ckpt_path  # a model that was trained names its best.pt
    return str(path) if path and os.path.exists(path) else None


def check_weights(measured: Conditions, name: str, file: str | None) -> str | None:
    """Compare a model's file with the one that thresholds were measured on.

    Args:
        measured: Conditions of the thresholds.
        name: Name of the thresholds' file, for messages.
        file: File of the model, None where it is not known.

    Returns:
        A warning where the two cannot be compared, None where they are the same. An export is compared when it is
        loaded (`check_export`).

    Raises:
        ConfigError: The file is a checkpoint, and another one.
    """
    if measured.weights_sha256 is None:
        return f"{name}: does not name the weights that it was measured on, so nothing shows that it belongs to these"
    if file is None:
        return (
            f"{name}: was measured on {_shown(measured)}; the model at hand was not loaded from a file, so nothing "
            "shows that it is the same"
        )
    own = sha256(file)
    if own == measured.weights_sha256 or Path(file).suffix != ".pt":
        return None
    raise ConfigError(_refusal(measured, name, file, own))


def check_export(measured: Conditions, name: str, file: str | None, backend: Backend) -> str | None:
    """Compare the weights that an export names with those that thresholds were measured on, as `check_weights` does."""
    if measured.weights_sha256 is None or file is None or Path(file).suffix == ".pt":
        return None
    if sha256(file) == measured.weights_sha256:
        return None
    source = (getattr(backend, "metadata", None) or {}).get("weights_sha256")
    if source is None:
        return (
            f"{file}: does not name the weights that it was exported from (weights_sha256 in its metadata), so nothing "
            f"shows that they are {_shown(measured)}, on which {name} was measured"
        )
    if source != measured.weights_sha256:
        raise ConfigError(_refusal(measured, name, file, str(source)))
    return None


def differences(measured: Conditions, name: str, predictor: Predictor) -> Iterator[str]:
    """Take over conditions of the measurement where none were asked for, and yield a line for each that differs."""
    args, model = predictor.args, predictor.model
    holds = "where its thresholds may not hold"
    size = max(predictor.imgsz)
    if measured.imgsz is not None and size != measured.imgsz:
        yield f"imgsz: {name} was measured at {measured.imgsz}, not {size}, {holds}"
    for argument, condition in TAKEN_OVER.items():
        then, now = getattr(measured, condition), getattr(args, argument)
        if then is None or then == now:
            continue
        if now == DEFAULTS[argument]:
            setattr(args, argument, then)  # nobody asked for another
            if argument == "classes":
                yield f"classes: {name} was measured on classes {_value(then)} alone; boxes of others are left out"
        else:
            yield f"{argument}: {name} was measured at {_value(then)}, not {_value(now)}, {holds}"
    if measured.rect and args.rect and not free_shape(model):
        yield (
            f"rect: {name} was measured on images padded to their own shape; {args.model} takes images of one shape, "
            f"{holds}"
        )
    if measured.end2end is not None and bool(model.end2end) != measured.end2end:
        heads = {True: "the head without suppression", False: "the head with suppression"}
        yield f"nms: {name} was measured with {heads[measured.end2end]}, not with {heads[bool(model.end2end)]}, {holds}"


def free_shape(model: Backend) -> bool:
    """Return whether a model takes images of any shape: a checkpoint, or an export with `dynamic`."""
    return bool(getattr(model, "format", "") == "pt" or getattr(model, "pt", False) or getattr(model, "dynamic", False))


def _refusal(measured: Conditions, name: str, file: str, digest: str) -> str:
    export = "" if Path(file).suffix == ".pt" else "exported from weights of "
    return (
        f"{plain(file)}: {plain(name)} was measured on {_shown(measured)}, not on {plain(Path(file).name)} "
        f"({export}SHA-256 {digest[:DIGITS]}); `yolo_balance report {plain(file)}` measures its thresholds"
    )


def _shown(measured: Conditions) -> str:
    return f"{plain(measured.weights or 'a model')} (SHA-256 {str(measured.weights_sha256)[:DIGITS]})"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
