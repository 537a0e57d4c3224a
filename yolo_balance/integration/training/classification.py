"""The balanced trainer of image classification."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.config import LossesConfig
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.trainer import BalancedTrainerMixin
from yolo_balance.losses.cross_entropy import balanced_cross_entropy
from yolo_balance.losses.logit_adjustment import logit_offsets
from yolo_balance.losses.per_class import PerClass

WITHOUT_PART = {
    "isr": "there are no boxes",
    "carl": "there are no boxes",
    "negatives": "each image has one class",
    "positives": "each image has one class",
    "efl": "the loss is a softmax, whose classes have no negatives of their own",
    "eqlv2": "the loss is a softmax, whose classes have no negatives of their own",
}
"""Loss terms that mean nothing for a whole image, with the reason."""


class BalancedCrossEntropy:
    """Ultralytics' criterion of image classification with class weights, focal factor and logit adjustment."""

    def __init__(self, wrapped: Any, losses: RunLosses):
        o = losses.options
        self.wrapped = wrapped
        self.weights = PerClass(losses.factors.scaled) if o.class_weights is not None else None
        self.gamma = None if o.focal is None else o.focal.beta if o.focal.form == "quality" else o.focal.gamma
        adjustment = o.logit_adjustment
        self.offsets = None if adjustment is None else PerClass(logit_offsets(losses.counts, tau=adjustment.tau))

    def __call__(self, preds: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """Return the loss, and Ultralytics' loss items in the form of the installed release."""
        _, items = self.wrapped(preds, batch)
        logits = preds[1] if isinstance(preds, (list, tuple)) else preds
        loss = balanced_cross_entropy(
            logits,
            batch["cls"],
            class_weights=None if self.weights is None else self.weights.on(logits.device),
            gamma=self.gamma,
            offsets=None if self.offsets is None else self.offsets.on(logits.device),
        )
        return loss, dict.fromkeys(items, loss.detach()) if isinstance(items, dict) else loss.detach()


class BalancedClassificationMixin(BalancedTrainerMixin):
    """Sampling and losses on image folders, where an image is one object: no partners, no boxes, no recall.

    Options that speak of boxes or of defect-free images are refused (`resolution.conflicts`).
    """

    def balance_losses(self, options: LossesConfig) -> None:
        """Put class weights, focal factor and logit adjustment into the cross-entropy of both models."""
        without_part = [key for key in WITHOUT_PART if getattr(options, key)]
        alpha = options.focal is not None and "alpha" in options.focal.model_fields_set
        kept = options.model_copy(update=dict.fromkeys(without_part))
        self.losses = RunLosses(kept, self.resolved.statistics, self.resolved.names, self.resolved.shown)
        self.losses.check_heads([])
        for model in (unwrap_model(self.model), self.ema.ema):
            model.criterion = BalancedCrossEntropy(
                getattr(model, "criterion", None) or model.init_criterion(), self.losses
            )
        if RANK in (-1, 0):
            lines = [
                f"balance.losses.{key}: has no part in image classification, {WITHOUT_PART[key]}"
                for key in without_part
            ]
            if alpha:
                lines.append(
                    "balance.losses.focal.alpha: has no part in image classification, a softmax has no negatives"
                )
            for line in (*lines, *self.losses.remarks()):
                LOGGER.warning(line)

    def balance_validator(self, validator: Any) -> Any:
        """Return Ultralytics' validator unchanged: it reads no boxes."""
        return validator

    def count(self, batch: dict[str, Any]) -> None:
        """Add a batch to the exposure; every drawn image arrives whole."""
        classes = batch["cls"].numpy()
        own = np.bincount(classes, minlength=len(self.exposure.names))
        self.exposure.add(np.stack([own, np.zeros_like(own)]), classes, len(classes))


class BalancedClassificationTrainer(BalancedClassificationMixin, ClassificationTrainer):
    """Ultralytics' classification trainer with `balance.sampling` and `balance.losses`; its exposure is recorded.

    Example:
        balance = {"sampling": {"strategy": "class_uniform"}}
        YOLO("yolo26n-cls.pt").train(trainer=BalancedClassificationTrainer.configured(balance), data="folders")
    """
