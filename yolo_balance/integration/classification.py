"""The balanced trainer of image classification."""

from __future__ import annotations

from typing import Any

import numpy as np
from ultralytics.models.yolo.classify import ClassificationTrainer

from yolo_balance.errors import ConfigError
from yolo_balance.integration.trainer import BalancedTrainerMixin


class BalancedClassificationMixin(BalancedTrainerMixin):
    """Sampling on image folders, where an image is its own one object: no partners, no boxes, no false-alarm budget."""

    def balance_loader(self, loader: Any) -> None:
        """As for detection; sections and options that speak of boxes or of defect-free images are refused.

        Raises:
            ConfigError: With every such option.
        """
        s = self.balance.sampling
        asked = {
            "losses": self.balance.losses,
            "sampling.background": s and s.background,
            "sampling.foreground_mosaic": s and s.foreground_mosaic,
            "sampling.feedback": s and s.feedback,
        }
        if problems := [f"balance.{key}: not for task classify" for key, value in asked.items() if value]:
            raise ConfigError(problems)
        super().balance_loader(loader)

    def balance_validator(self, validator: Any) -> Any:
        """The host's own: it reads no boxes."""
        return validator

    def count(self, batch: dict[str, Any]) -> None:
        """Add a batch to the exposure; what was drawn is what arrives."""
        classes = batch["cls"].numpy()
        own = np.bincount(classes, minlength=len(self.exposure.names))
        self.exposure.add(np.stack([own, np.zeros_like(own)]), classes, len(classes))


class BalancedClassificationTrainer(BalancedClassificationMixin, ClassificationTrainer):
    """The host's classification trainer: `balance.sampling` on image folders, exposure recorded.

    Example:
        balance = {"sampling": {"strategy": "class_uniform"}}
        YOLO("yolo26n-cls.pt").train(trainer=BalancedClassificationTrainer.configured(balance), data="folders")
    """
