"""Ultralytics' own options beside a balanced run: those that multiply its factors, and those without effect."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.integration.training.resolved_trainer import ResolvedTrainer
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.losses.composition import ClassFactors
from yolo_balance.text import listed

MOST = 3  # classes named


def option_remarks(trainer: ResolvedTrainer, losses: RunLosses | None) -> Iterator[str]:
    """Yield lines for a user to read before training starts, on `cls_pw` and `copy_paste`."""
    balance = trainer.resolved
    weights = getattr(unwrap_model(trainer.model), "class_weights", None)  # set by cls_pw
    if weights is not None and (balance.schedule is not None or losses is not None):
        natural, none = balance.statistics.box_shares(), np.ones(len(balance.names))
        ours = (
            ClassFactors.of(natural, balance.shown, none, none, max_weight=math.inf, columns=False)
            if losses is None
            else losses.factors
        ).product
        stock = weights.cpu().numpy() / float(weights[int(np.argmax(natural))])
        most = np.argsort(-ours * stock, kind="stable")[:MOST]
        products = [f"{balance.names[c]} {ours[c]:.3g} x {stock[c]:.3g} = {ours[c] * stock[c]:.3g}" for c in most]
        cap = "" if losses is None else f"; max_weight {losses.options.max_weight:g} does not cap cls_pw"
        yield (
            "cls_pw: multiplies what balance gives an object beside one of the commonest class: "
            f"{listed(products)}{cap}"
        )
    if trainer.args.task == "detect" and trainer.args.copy_paste > 0:
        labels = trainer.train_loader.dataset.labels
        if not any(len(image.get("segments", ())) for image in labels):
            yield (
                f"copy_paste: {trainer.args.copy_paste:g} has no effect: Ultralytics pastes outlined objects only, "
                "and the labels are boxes"
            )
