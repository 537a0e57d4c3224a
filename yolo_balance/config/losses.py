"""`balance.losses`: what the gradient weighs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from yolo_balance.config.section import Section


class FocalConfig(Section):
    """Quality focal weights on the classification loss, Li et al., GFL (2020) (`balance.losses.focal`).

    Attributes:
        beta: Exponent of |target - score|; 0 is plain cross-entropy.
    """

    beta: Annotated[float, Field(ge=0)] = 2.0


class ISRConfig(Section):
    """Importance-based sample reweighting of the positives, Cao et al. (2019) (`balance.losses.isr`).

    Attributes:
        k: Exponent of the linear importance; 0 weighs all alike.
        bias: Importance of the last-ranked sample, in [0, 1].
    """

    k: Annotated[float, Field(ge=0)] = 2.0
    bias: Annotated[float, Field(ge=0, le=1)] = 0.0


class CARLConfig(Section):
    """Classification-aware regression loss, Cao et al. (2019) (`balance.losses.carl`).

    Attributes:
        k: Exponent of the score.
        bias: Importance at score zero, in [0, 1].
        gain: Size of the added box loss relative to the host's: each positive's box weight is 1 + gain * v.
    """

    k: Annotated[float, Field(ge=0)] = 1.0
    bias: Annotated[float, Field(ge=0, le=1)] = 0.2
    gain: Annotated[float, Field(ge=0)] = 0.5


class LossesConfig(Section):
    """What the gradient weighs (`balance.losses`)."""

    focal: FocalConfig | None = None
    isr: ISRConfig | None = None
    carl: CARLConfig | None = None
