"""The balanced trainer of image classification."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
from torch import Tensor
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from yolo_balance.config import LossesConfig
from yolo_balance.integration.protocols import Batch, Validator
from yolo_balance.integration.training.run_losses import RunLosses
from yolo_balance.integration.training.trainer import BalancedTrainerMixin
from yolo_balance.losses.cross_entropy import balanced_cross_entropy
from yolo_balance.losses.logit_adjustment import logit_offsets
from yolo_balance.losses.magnitude import gradient_preserving
from yolo_balance.losses.per_class import PerClass

WITHOUT_PART = {
    **dict.fromkeys(("isr", "carl"), "there are no boxes"),
    **dict.fromkeys(("negatives", "positives"), "each image has one class"),
    **dict.fromkeys(("efl", "eqlv2"), "the loss is a softmax, whose classes have no negatives of their own"),
}
"""Loss terms that mean nothing for a whole image, with the reason."""
Logits = Tensor | tuple[Tensor, ...]
Items = Tensor | dict[str, Tensor]
"""Loss items for the log, in the form of the installed release."""


class BalancedCrossEntropy:
    """Ultralytics' criterion of image classification with class weights, focal factor and logit adjustment."""

    hooks: ClassVar[tuple[str, ...]] = ("__call__",)

    def __init__(self, wrapped: Callable[[Logits, dict[str, Tensor]], tuple[Tensor, Items]], losses: RunLosses):
        self.called: set[str] = set()
        o = losses.options
        self.wrapped = wrapped
        self.weights = PerClass(losses.factors.scaled) if o.class_weights is not None else None
        self.gamma = None if o.focal is None else o.focal.beta if o.focal.form == "quality" else o.focal.gamma
        adjustment = o.logit_adjustment
        self.offsets = None if adjustment is None else PerClass(logit_offsets(losses.counts, tau=adjustment.tau))

    def __call__(self, preds: Logits, batch: dict[str, Tensor]) -> tuple[Tensor, Items]:
        """Return the loss, and Ultralytics' loss items in the form of the installed release."""
        self.called.add("__call__")
        _, items = self.wrapped(preds, batch)
        logits = preds[1] if isinstance(preds, (list, tuple)) else preds
        loss_of = partial(
            balanced_cross_entropy,
            logits,
            batch["cls"],
            class_weights=None if self.weights is None else self.weights.on(logits.device),
            offsets=None if self.offsets is None else self.offsets.on(logits.device),
        )
        loss = loss_of() if self.gamma is None else gradient_preserving(loss_of(gamma=self.gamma), loss_of(), logits)
        return loss, dict.fromkeys(items, loss.detach()) if isinstance(items, dict) else loss.detach()

    def missing(self) -> list[str]:
        """Return the hook if no batch has called it."""
        return [hook for hook in self.hooks if hook not in self.called]


class BalancedClassificationMixin(BalancedTrainerMixin):
    """Sampling and losses on image folders, where an image is one object: no partners, no boxes, no recall.

    Options that speak of boxes or of defect-free images are refused (`resolution.conflicts`).
    """

    def balance_losses(self, options: LossesConfig) -> None:
        """Put class weights, focal factor and logit adjustment into the cross-entropy of both models."""
        dropped = {key: reason for key, reason in WITHOUT_PART.items() if getattr(options, key)}
        kept = options.model_copy(update=dict.fromkeys(dropped))
        if options.focal is not None and "alpha" in options.focal.model_fields_set:
            dropped["focal.alpha"] = "a softmax has no negatives"
        self.losses = RunLosses(kept, self.resolved.statistics, self.resolved.names, self.resolved.shown)
        self.losses.check_heads([])
        for model in map(unwrap_model, (self.model, self.ema.ema)):
            criterion = getattr(model, "criterion", None) or model.init_criterion()
            model.criterion = BalancedCrossEntropy(criterion, self.losses)
        if RANK in (-1, 0):
            lines = [f"balance.losses.{k}: has no part in image classification, {why}" for k, why in dropped.items()]
            for line in (*lines, *self.losses.remarks()):
                LOGGER.warning(line)

    def balance_validator(self, validator: Validator) -> Validator:
        """Return Ultralytics' validator unchanged: it reads no boxes."""
        return validator

    def count(self, batch: Batch) -> None:
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
