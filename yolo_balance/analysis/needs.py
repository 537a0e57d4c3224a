"""How many objects a split needs before a recall read on it says something."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, floor, log

from yolo_balance.recall.intervals import interval

RECALL, HALF_WIDTH, CONFIDENCE = 0.9, 0.1, 0.95


@cache
def boxes_for_half_width(half_width: float = HALF_WIDTH, recall: float = RECALL, confidence: float = CONFIDENCE) -> int:
    """Fewest objects n from which on the Wilson interval of floor(recall * n) hits is at most 2 * half_width wide.

    Hits come in whole numbers, so the width is not quite monotone in n: the next 20 sizes have to keep to it as well.
    """

    def fits(n: int) -> bool:
        low, high = interval(floor(recall * n + 1e-9), n, confidence=confidence)
        return high - low <= 2 * half_width

    n, held = 0, 0
    while held < 20:
        n += 1
        held = held + 1 if fits(n) else 0
    return n - held + 1


@cache
def boxes_to_show(recall: float = RECALL, confidence: float = CONFIDENCE) -> int:
    """Fewest objects that can show a recall of at least `recall` at a one-sided level, every one of them being found.

    A detector that finds just `recall` of all objects finds n of n by luck with probability recall^n; this has to be
    below 1 - confidence. With 0.9 at 95 %: 0.9^28 = .052, 0.9^29 = .047, hence 29.
    """
    n = ceil(log(1 - confidence) / log(recall))
    return n if recall**n < 1 - confidence else n + 1


@cache
def boxes_for_verdict(recall: float = RECALL, confidence: float = CONFIDENCE) -> int:
    """Fewest objects at which the recall report can call a target `shown`, every one of them being found.

    Its verdict asks the lower end of the two-sided Wilson interval, which is stricter than `boxes_to_show`.
    """
    n = 1
    while interval(n, n, confidence=confidence)[0] < recall:
        n += 1
    return n


@dataclass(frozen=True)
class Need:
    """What the objects of one class in a split can show.

    Attributes:
        n: Objects of the class.
        low: Lower end of the 95 % Wilson interval if a recall of .9 were read (hits rounded down); 0 without objects.
        high: Its upper end; 1 without objects.
        more_for_interval: Further objects until that interval is within +-0.1.
        more_to_show: Further objects until a recall of .9 can be shown at all, every one being found.
    """

    n: int
    low: float
    high: float
    more_for_interval: int
    more_to_show: int

    @classmethod
    def of(cls, n: int) -> Need:
        """What n objects can show."""
        low, high = interval(floor(RECALL * n + 1e-9), n, confidence=CONFIDENCE)
        return cls(n, round(low, 4), round(high, 4), max(boxes_for_half_width() - n, 0), max(boxes_to_show() - n, 0))
