"""The balanced trainer of image classification."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.config import LossesConfig
from yolo_balance.errors import ConfigError
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.trainer import BalancedTrainerMixin
from yolo_balance.losses import PerClass, balanced_cross_entropy, logit_offsets

WITHOUT_PART = {
    "isr": "there are no boxes",
    "carl": "there are no boxes",
    "negatives": "each image has one class",
    "positives": "each image has one class",
    "efl": "the loss is a softmax, whose classes have no negatives of their own",
    "eqlv2": "the loss is a softmax, whose classes have no negatives of their own",
}
"""Loss terms that mean nothing for a whole image, and why."""


class BalancedCrossEntropy:
    """The host's criterion of image classification with class weights, focal factor and logit adjustment."""

    def __init__(self, wrapped: Any, losses: RunLosses):
        o = losses.options
        self.wrapped = wrapped
        self.weights = PerClass(losses.factors.scaled) if o.class_weights is not None else None
        self.gamma = None if o.focal is None else o.focal.beta if o.focal.form == "quality" else o.focal.gamma
        adjustment = o.logit_adjustment
        self.offsets = None if adjustment is None else PerClass(logit_offsets(losses.counts, tau=adjustment.tau))

    def __call__(self, preds: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        """The loss, and what the host reports of it in the form its release has."""
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
    """Sampling and losses on image folders, where an image is its own one object: no partners, no boxes, no recall."""

    def balance_loader(self, loader: Any) -> None:
        """As for detection; sections and options that speak of boxes or of defect-free images are refused.

        Raises:
            ConfigError: With every such option.
        """
        s = self.balance.sampling
        asked = {
            "sampling.background": s and s.background,
            "sampling.foreground_mosaic": s and s.foreground_mosaic,
            "sampling.feedback": s and s.feedback,
            "recall.best": self.balance.recall.best != "fitness",
            "recall.calibration": self.balance.recall.calibration,
        }
        if problems := [f"balance.{key}: not for task classify" for key, value in asked.items() if value]:
            raise ConfigError(problems)
        super().balance_loader(loader)

    def balance_losses(self, options: LossesConfig) -> None:
        """Put class weights, focal factor and logit adjustment into the cross-entropy of both models."""
        asked = [key for key in WITHOUT_PART if getattr(options, key)]
        alpha = options.focal is not None and "alpha" in options.focal.model_fields_set
        kept = options.model_copy(update=dict.fromkeys(asked))
        self.losses = RunLosses(kept, self.statistics, self.exposure.names, self.shown)
        self.losses.check_heads([])
        for model in (unwrap_model(self.model), self.ema.ema):
            model.criterion = BalancedCrossEntropy(
                getattr(model, "criterion", None) or model.init_criterion(), self.losses
            )
        if RANK in (-1, 0):
            lines = [f"balance.losses.{key}: has no part in image classification, {WITHOUT_PART[key]}" for key in asked]
            if alpha:
                lines.append(
                    "balance.losses.focal.alpha: has no part in image classification, a softmax has no negatives"
                )
            for line in (*lines, *self.losses.remarks()):
                LOGGER.warning(line)

    def balance_validator(self, validator: Any) -> Any:
        """The host's own: it reads no boxes."""
        return validator

    def count(self, batch: dict[str, Any]) -> None:
        """Add a batch to the exposure; what was drawn is what arrives."""
        classes = batch["cls"].numpy()
        own = np.bincount(classes, minlength=len(self.exposure.names))
        self.exposure.add(np.stack([own, np.zeros_like(own)]), classes, len(classes))


class BalancedClassificationTrainer(BalancedClassificationMixin, ClassificationTrainer):
    """The host's classification trainer: `balance.sampling` and `balance.losses` on image folders, exposure recorded.

    Example:
        balance = {"sampling": {"strategy": "class_uniform"}}
        YOLO("yolo26n-cls.pt").train(trainer=BalancedClassificationTrainer.configured(balance), data="folders")
    """
