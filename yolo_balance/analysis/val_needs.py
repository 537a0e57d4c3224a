"""Recall that the objects of a split can show of a class, before any training."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from yolo_balance.recall.evidence.intervals import interval
from yolo_balance.recall.evidence.needs import CONFIDENCE, RECALL, boxes_for_half_width, boxes_to_show


@dataclass(frozen=True)
class Need:
    """Recall that the objects of one class in a split can show.

    Attributes:
        n: Objects of the class.
        low: Lower end of the 95 % Wilson interval of a measured recall of .9 (hits rounded down); 0 without objects.
        high: Upper end of that interval; 1 without objects.
        more_for_interval: Further objects until the interval is within +-0.1.
        more_to_show: Further objects until a recall of .9 can be shown if every object is found.
    """

    n: int
    low: float
    high: float
    more_for_interval: int
    more_to_show: int

    @classmethod
    def of(cls, n: int) -> Need:
        """Compute the recall that n objects can show."""
        low, high = interval(floor(RECALL * n + 1e-9), n, confidence=CONFIDENCE)
        return cls(n, round(low, 4), round(high, 4), max(boxes_for_half_width() - n, 0), max(boxes_to_show() - n, 0))
