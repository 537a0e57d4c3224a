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


def class_factors(trainer: ResolvedTrainer, losses: RunLosses | None) -> ClassFactors | None:
    """Return what an object of each class counts in all, Ultralytics' `cls_pw` included; None with neither."""
    weights = getattr(unwrap_model(trainer.model), "class_weights", None)  # set by cls_pw
    if weights is None:
        return None if losses is None else losses.factors
    balance = trainer.resolved
    natural, none = balance.statistics.box_shares(), np.ones(len(balance.names))
    if losses is None:
        factors = ClassFactors.of(natural, balance.shown, none, none, max_weight=math.inf, columns=False)
    else:
        factors = losses.factors
    stock = weights.cpu().numpy()
    return factors.times(stock / stock[int(np.argmax(natural))])


def option_remarks(trainer: ResolvedTrainer, factors: ClassFactors | None) -> Iterator[str]:
    """Yield lines for a user to read before training starts, on `cls_pw` and `copy_paste`."""
    balance = trainer.resolved
    if factors is not None and factors.cls_pw is not None and not balance.config.off():
        ours = factors.product / factors.cls_pw
        products = [
            f"{balance.names[c]} {ours[c]:.3g} x {factors.cls_pw[c]:.3g} = {factors.product[c]:.3g}"
            for c in np.argsort(-factors.product, kind="stable")[:MOST]
        ]
        losses = balance.config.losses
        cap = "" if losses is None else f"; max_weight {losses.max_weight:g} does not cap cls_pw"
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
