"""Loss terms of a run: resolved on the data, one set per head, with a state beside the checkpoint."""

from __future__ import annotations

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
from yolo_balance.losses.magnitude import RunningScale
from yolo_balance.losses.ohem import HardNegatives
from yolo_balance.losses.trim import Trim
from yolo_balance.sampling import ClassStatistics
from yolo_balance.text import listed, plain

BOTH_HEADS = "both"


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
            stated=[weights is not None and name in (weights.values or {}) for name in self.names],
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
        if (factors.weight != 1).any():  # asked for, or needed to keep ISR-P within the cap
            terms.append(ClassWeights(factors.scaled, on=o.class_weights.on if o.class_weights else "positives"))
        if o.logit_adjustment is not None:
            terms.append(LogitAdjustment(logit_offsets(self.counts, tau=o.logit_adjustment.tau)))
        if o.focal is not None:
            quality = o.focal.form == "quality"
            terms.append(
                QualityFocal(beta=o.focal.beta) if quality else ClassicFocal(gamma=o.focal.gamma, alpha=o.focal.alpha)
            )
        if o.efl is not None:
            terms.append(EqualizedFocal(gradients, gamma=o.efl.gamma, scale=o.efl.scale))
        if o.eqlv2 is not None:
            terms.append(EQLv2(gradients, alpha=o.eqlv2.alpha, gamma=o.eqlv2.gamma, mu=o.eqlv2.mu, room=factors.room))
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
                n = isr.negatives
                by_class = n.clusters == "by_class"
                terms.append(ISRNegative(k=n.k, bias=n.bias, min_score=n.min_score, by_class=by_class))
        if o.noise is not None:  # after all terms that prefer hard entries
            terms.append(Trim(share=o.noise.trim))
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
        """Return what terms have learnt by head: gradient ratios, and the scale of class weights; empty if nothing."""
        state: dict[str, object] = {}
        if self.gradients and (self.options.efl is not None or self.options.eqlv2 is not None):
            state["gradients"] = {head: ratio.state() for head, ratio in self.gradients.items()}
        if scales := self._scales():
            state["class_weights"] = {head: scale.state() for head, scale in scales.items()}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take what terms had learnt from a saved state."""
        saved = state.get("gradients", {})
        if saved and self.gradients and set(saved) != set(self.gradients):
            raise ValueError(f"gradients: expected the heads {', '.join(self.gradients)}, got {plain(str([*saved]))}")
        for head, ratio in saved.items():
            self.gradients.setdefault(head, GradientRatio(len(self.names))).restore(ratio)
        for head, averages in state.get("class_weights", {}).items():
            if (scale := self._scales().get(head)) is not None:
                scale.restore(averages)

    def _scales(self) -> dict[str, RunningScale]:
        running = {head: [t.running for t in terms if t.running is not None] for head, terms in self._terms.items()}
        return {head: scales[0] for head, scales in running.items() if scales}

    def remarks(self) -> list[str]:
        """Return lines for a user to read before training starts: each cap of `max_weight` that acts or would."""
        f, cap = self.factors, self.options.max_weight
        by_class = [(c, name) for c, name in enumerate(self.names)]
        lowered = [
            f"{name} from {f.asked[c]:.3g} to {f.weight[c]:.3g}"
            for c, name in by_class
            if f.weight[c] < f.asked[c] - 1e-9
        ]
        stated = [
            f"{name} {f.product[c]:.3g}"
            for c, name in by_class
            if f.product[c] > cap + 1e-9 and f.sampling[c] <= cap and f.weight[c] > 1
        ]
        acts = f.by_loss or self.options.eqlv2 is not None
        beyond = [f"{name} {f.sampling[c]:.3g}" for c, name in by_class if acts and f.sampling[c] > cap]
        q = 1 + (0.0 if self.options.eqlv2 is None else self.options.eqlv2.alpha)
        capped = [f"{name} at {f.room[c]:.3g}" for c, name in by_class if f.room[c] < q]
        prefix = f"{SECTION}.losses: "
        lines = []
        if lowered:
            lines.append(f"{prefix}max_weight {cap:g} lowers the class weight of {listed(lowered)}")
        if stated:
            lines.append(
                f"{prefix}stated class weights go beyond max_weight {cap:g} and stay: an object counts "
                f"{listed(stated)} times one of the commonest class"
            )
        if capped:
            lines.append(
                f"{prefix}max_weight {cap:g} caps the weight of positives in eqlv2, up to {q:.3g}: {listed(capped)}"
            )
        if beyond:
            lines.append(
                f"{prefix}sampling alone goes beyond max_weight {cap:g} ({listed(beyond)} times as often as "
                f"the commonest class); {SECTION}.sampling.max_repeat caps it"
            )
        return lines
