"""Image rates and zones as console tables."""

from __future__ import annotations

import math

from yolo_balance.recall.images import (
    FALSE_ALARM_LINE,
    MISS_LINE,
    Escape,
    ImageRates,
    Overkill,
    Zones,
    ZoneShares,
    images_needed,
)
from yolo_balance.recall.matching import BACKGROUND_IOU
from yolo_balance.run_folder.names import RECALL
from yolo_balance.views.tables import class_table


def render_rates(rates: ImageRates, at: str) -> str:
    """Return a line per class and one for all images: escape and overkill with intervals and verdicts.

    Args:
        rates: Escapes and overkill at an operating point.
        at: The operating point in words, "0.1 false boxes per clean image".
    """
    clean = rates.overkill.n
    headings = [
        *("\nclass", "\nconf", "images\nn", "escape\npassed", f"at most\n{MISS_LINE:.0%}"),
        *("rejected for a wrong reason\n(of these, box on nothing)", "overkill\nrejected"),
        f"at most\n{FALSE_ALARM_LINE:.0%}",
    ]
    rows = [
        (name, f"{rates.thresholds[name]:.3f}", *_decided(row.escape, row.overkill))
        for name, row in rates.classes.items()
    ]
    drawn = class_table(
        headings,
        rows,
        [(-(row.escape.rate or 0.0), row.escape.n or math.inf) for row in rates.classes.values()],
        "lrrl",
        which="those with the highest escape",
        file=RECALL,
        after=[("all images", "", *_decided(rates.escape, rates.overkill))],
    )
    needed = [images_needed(line, confidence=rates.confidence) for line in (MISS_LINE, FALSE_ALARM_LINE)]
    return "\n".join(
        [
            f"Images at {at} ({rates.confidence:.0%} Wilson interval; {clean} defect-free of "
            f"{clean + rates.escape.n} images)",
            drawn,
            f"Limits {MISS_LINE:.0%} and {FALSE_ALARM_LINE:.0%} are those of AIAG MSA (4th edition). To show them you "
            f"need at least {needed[0]} defective and {needed[1]} clean images.",
            "Escape: a defective image that passes. Overkill: a clean image that is rejected.",
            "Wrong reason: no counted box found an object. Box on nothing: no counted box overlaps an object by "
            f"{BACKGROUND_IOU:g} or more.",
        ]
    )


def render_zones(zones: Zones) -> str:
    """Return a line each for clean images, defective images and images of each class: passed, reviewed, rejected."""
    rows = []
    for name, shares in zones.classes.items():
        conf = f"{zones.pass_below[name]:.3f} to {zones.reject_from[name]:.3f}"
        rows.append((f"with {name}", *_zones(shares), conf))
    drawn = class_table(
        ("images", "n", "pass", "review", "reject", "conf"),
        rows,
        [(-(shares.passed.share or 0.0), shares.n or math.inf) for shares in zones.classes.values()],
        "lrl",
        which="those that pass most",
        file=RECALL,
        before=[("clean", *_zones(zones.clean)), ("defective", *_zones(zones.defective))],
    )
    return f"Images over three zones ({zones.confidence:.0%} Wilson interval)\n{drawn}"


def _decided(escape: Escape, overkill: Overkill) -> tuple[str, ...]:
    passed = _rate(escape.passed, escape.rate, escape.low, escape.high)
    rejected = _rate(overkill.rejected, overkill.rate, overkill.low, overkill.high)
    reasons = f"{escape.without_hit:>3} ({escape.by_luck})" if escape.n else ""
    return str(escape.n), passed, escape.verdict or "", reasons, rejected, overkill.verdict or ""


def _zones(shares: ZoneShares) -> tuple[str, ...]:
    zones = (shares.passed, shares.reviewed, shares.rejected)
    return str(shares.n), *(_rate(zone.count, zone.share, zone.low, zone.high) for zone in zones)


def _rate(count: int, rate: float | None, low: float | None, high: float | None) -> str:
    return "   -  no data" if rate is None else f"{count:>4}  {rate:.2f} [{low:.2f}, {high:.2f}]"
