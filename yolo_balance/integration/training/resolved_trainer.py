"""The trainer of a balanced run, as the parts of the run see it."""

from __future__ import annotations

from typing import Protocol

from yolo_balance.integration import protocols
from yolo_balance.integration.hooks.validator import RecallValidatorMixin
from yolo_balance.resolution import ResolvedBalance


class ResolvedTrainer(protocols.Trainer, Protocol):
    """A trainer whose configuration is resolved and whose validator reports recall."""

    resolved: ResolvedBalance
    validator: RecallValidatorMixin
