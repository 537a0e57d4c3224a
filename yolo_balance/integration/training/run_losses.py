"""Loss terms of a run: resolved on the data, one set per head, with a state beside the checkpoint."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from yolo_balance.arrays import Floats
from yolo_balance.config import SECTION, LossesConfig
from yolo_balance.errors import ConfigError
from yolo_balance.losses.assignment import Term
from yolo_balance.losses.carl import CARL
from yolo_balance.losses.class_weights import ClassWeights, effective_number_weights, inverse_frequency_weights
from yolo_balance.losses.composition import ClassFactors, isr_class_factors
from yolo_balance.losses.efl import EqualizedFocal
from yolo_balance.losses.eqlv2 import EQLv2
from yolo_balance.losses.focal import ClassicFocal, QualityFocal
from yolo_balance.losses.gradient_ratio import GradientRatio
from yolo_balance.losses.instance_balance import InstanceBalanced
from yolo_balance.losses.iou_balance import IoUBalancedNegatives
from yolo_balance.losses.isr import ISRPositive
from yolo_balance.losses.isr_negative import ISRNegative
from yolo_balance.losses.logit_adjustment import LogitAdjustment, logit_offsets
from yolo_balance.losses.ohem import HardNegatives
from yolo_balance.run_folder.state import checked_list, checked_mapping, checked_number
from yolo_balance.sampling import ClassStatistics
from yolo_balance.text import listed, plain

BOTH_HEADS = "both"
SIGNS = ("positive", "negative")


class RunLosses:
    """`balance.losses` while a run lasts.

    Args:
        options: The section, presets resolved.
        statistics: The train split's labels.
        names: C class names by class id.
        shown: (C,) share of an epoch's boxes by class.
        gain_ratio: Ultralytics' classification gain / box gain.

    Attributes:
        factors: Weight of an object of each class, sampling included.
        gradients: By head, the gradient ratios that `efl` and `eqlv2` follow.
    """

    def __init__(
        self,
        options: LossesConfig,
        statistics: ClassStatistics,
        names: Sequence[str],
        shown: Floats,
        gain_ratio: float = 1.0,
    ):
        self.gain_ratio = gain_ratio
        self.options, self.names, self.counts = options, list(names), statistics.boxes
        weights, isr = options.class_weights, options.isr
        self.factors = ClassFactors.of(
            statistics.box_shares(),
            shown,
            self._asked(),
            np.ones(len(names)) if isr is None else isr_class_factors(shown, k=isr.k, bias=isr.bias),
            max_weight=options.max_weight,
            columns=weights is not None and weights.on == "column",
        )
        self.gradients: dict[str, GradientRatio] = {}
        self._terms: dict[str, list[Term]] = {}

    def _asked(self) -> Floats:
        asked, o = np.ones(len(self.names)), self.options.class_weights
        if o is None:
            return asked
        if o.rule == "inverse_frequency":
            asked = inverse_frequency_weights(self.counts, power=o.power)
        elif o.rule is not None:
            asked = effective_number_weights(self.counts, beta=o.beta)
        for name, value in (o.values or {}).items():
            asked[self.names.index(name)] = value
        return asked

    def terms(self, head: str) -> list[Term]:
        """Return a head's terms in the order in which weights are applied; the same objects at every call."""
        if self.options.heads not in (BOTH_HEADS, head):
            return []
        if head not in self._terms:
            self._terms[head] = self._build(self.gradients.setdefault(head, GradientRatio(len(self.names))))
        return self._terms[head]

    def _build(self, gradients: GradientRatio) -> list[Term]:
        o, factors, terms = self.options, self.factors, list[Term]()
        if o.logit_adjustment is not None:
            terms.append(LogitAdjustment(logit_offsets(self.counts, tau=o.logit_adjustment.tau)))
        if o.focal is not None:
            quality = o.focal.form == "quality"
            terms.append(
                QualityFocal(beta=o.focal.beta) if quality else ClassicFocal(gamma=o.focal.gamma, alpha=o.focal.alpha)
            )
        if o.efl is not None:
            terms.append(EqualizedFocal(gradients, gamma=o.efl.gamma, scale=o.efl.scale, room=factors.room))
        if o.eqlv2 is not None:
            terms.append(EQLv2(gradients, alpha=o.eqlv2.alpha, gamma=o.eqlv2.gamma, mu=o.eqlv2.mu, room=factors.room))
        if (factors.weight != 1).any():  # asked for, or needed to keep ISR-P within the cap
            terms.append(ClassWeights(factors.scaled, on=o.class_weights.on if o.class_weights else "positives"))
        if (negatives := o.negatives) is not None:
            terms.append(
                HardNegatives(ratio=negatives.ratio)
                if negatives.rule == "ohem"
                else IoUBalancedNegatives(ratio=negatives.ratio, bins=negatives.bins, draw=negatives.draw)
            )
        if o.positives is not None:
            terms.append(InstanceBalanced())
        if (isr := o.isr) is not None:
            terms.append(ISRPositive(k=isr.k, bias=isr.bias))
            if isr.negatives is not None:
                terms.append(ISRNegative(k=isr.negatives.k, bias=isr.negatives.bias))
        if (carl := o.carl) is not None:
            gradient = self.gain_ratio if carl.gradient is None else carl.gradient
            terms.append(CARL(k=carl.k, bias=carl.bias, gain=carl.gain, gradient=gradient, published=carl.published))
        return terms

    def check_heads(self, heads: Collection[str]) -> None:
        """Raise ConfigError if the option names a head that the model does not have."""
        if self.options.heads != BOTH_HEADS and self.options.heads not in heads:
            raise ConfigError(
                f"{SECTION}.losses.heads: expected both, the model has one head, got {self.options.heads}"
            )

    def state(self) -> dict[str, object]:
        """Return the gradient ratios by head; empty if no term follows them."""
        following = self.gradients and (self.options.efl is not None or self.options.eqlv2 is not None)
        return {"gradients": {head: ratio.state() for head, ratio in self.gradients.items()}} if following else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the gradient ratios from a saved state."""
        saved = checked_mapping(state["gradients"], "gradients")
        if set(saved) != set(self.gradients):
            raise ValueError(f"gradients: expected the heads {', '.join(self.gradients)}, got {plain(str([*saved]))}")
        sums: dict[str, dict[str, list[float]]] = {}
        for head, signs in saved.items():
            place = ".".join(filter(None, ("gradients", head)))
            sums[head] = {
                sign: [checked_number(value, f"{place}.{sign}", 0, math.inf) for value in checked_list(values, place)]
                for sign, values in checked_mapping(signs, place).items()
            }
            if wrong := [sign for sign in SIGNS if len(sums[head].get(sign, ())) != len(self.names)]:
                got = len(sums[head].get(wrong[0], ()))
                raise ValueError(f"{place}.{wrong[0]}: expected {len(self.names)} numbers, got {got}")
        for head, ratio in self.gradients.items():
            ratio.restore(sums[head])

    def remarks(self) -> list[str]:
        """Return lines for a user to read before training starts, on class weights and sampling beyond `max_weight`."""
        f, cap = self.factors, self.options.max_weight
        lowered = [
            f"{name} from {f.asked[c]:.3g} to {f.weight[c]:.3g}"
            for c, name in enumerate(self.names)
            if f.weight[c] < f.asked[c] - 1e-9
        ]
        beyond = [
            f"{name} {f.sampling[c]:.3g}" for c, name in enumerate(self.names) if f.by_loss and f.sampling[c] > cap
        ]
        lines = []
        if lowered:
            lines.append(f"{SECTION}.losses: max_weight {cap:g} lowers the class weight of {listed(lowered)}")
        if beyond:
            lines.append(
                f"{SECTION}.losses: sampling alone goes beyond max_weight {cap:g} ({listed(beyond)} times as often as "
                f"the commonest class); {SECTION}.sampling.max_repeat caps it"
            )
        return lines
