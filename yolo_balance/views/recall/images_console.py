"""Image rates and zones as console tables."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from yolo_balance.recall.images import (
    FALSE_ALARM_LINE,
    MISS_LINE,
    Escape,
    ImageRates,
    Overkill,
    Share,
    Zones,
    ZoneShares,
    images_needed,
)
from yolo_balance.recall.matching import BACKGROUND_IOU
from yolo_balance.text import plain
from yolo_balance.views.tables import plain_text

NO_DATA = "-  no data"


def render_rates(rates: ImageRates, at: str) -> str:
    """Plain text, one line per class and one for all: escape and overkill with intervals and verdicts.

    Args:
        rates: What to show.
        at: The operating point in words, "0.1 false boxes per clean image".
    """
    clean = rates.overkill.n
    of = f"{clean} defect-free of {clean + rates.escape.n} images"
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("\nclass")
    table.add_column("\nconf", justify="right")
    table.add_column("images\nn", justify="right")
    table.add_column("escape\npassed")
    table.add_column(f"at most\n{MISS_LINE:.0%}")
    table.add_column("rejected, no hit\n(by luck)")
    table.add_column("overkill\nrejected")
    table.add_column(f"at most\n{FALSE_ALARM_LINE:.0%}")
    for name, row in rates.classes.items():
        conf = Text(f"{rates.thresholds[name]:.3f}")
        table.add_row(Text(plain(name)), conf, *_escape(row.escape), *_overkill(row.overkill))
    table.add_row("all images", "", *_escape(rates.escape), *_overkill(rates.overkill))
    needed = [images_needed(line, confidence=rates.confidence) for line in (MISS_LINE, FALSE_ALARM_LINE)]
    return "\n".join(
        [
            f"Images at {at} ({rates.confidence:.0%} Wilson interval; {of})",
            plain_text(table),
            f"At most: AIAG MSA, 4th ed.; showing it takes {needed[0]} defective and {needed[1]} clean images or more.",
            f"No hit: no counted box found an object; by luck: none overlaps one by {BACKGROUND_IOU:g} or more.",
        ]
    )


def render_zones(zones: Zones) -> str:
    """Plain text: how many clean images, defective images and images of each class are passed, reviewed, rejected."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for column in ("images", "n", "pass", "review", "reject", "conf"):
        table.add_column(column, justify="right" if column == "n" else "left")
    table.add_row("clean", *_zones(zones.clean))
    table.add_row("defective", *_zones(zones.defective))
    for name, row in zones.classes.items():
        conf = f"{zones.pass_below[name]:.3f} to {zones.reject_from[name]:.3f}"
        table.add_row(Text(f"with {plain(name)}"), *_zones(row), Text(conf))
    return f"Images over three zones ({zones.confidence:.0%} Wilson interval)\n{plain_text(table)}"


def _escape(escape: Escape) -> tuple[Text, ...]:
    passed = _rate(escape.passed, escape.rate, escape.low, escape.high)
    reasons = f"{escape.without_hit:>3} ({escape.by_luck})" if escape.n else ""
    return Text(str(escape.n)), Text(passed), Text(escape.verdict or ""), Text(reasons)


def _overkill(overkill: Overkill) -> tuple[Text, ...]:
    rejected = _rate(overkill.rejected, overkill.rate, overkill.low, overkill.high)
    return Text(rejected), Text(overkill.verdict or "")


def _zones(zones: ZoneShares) -> tuple[Text, ...]:
    return Text(str(zones.n)), *(Text(_share(zone)) for zone in (zones.passed, zones.reviewed, zones.rejected))


def _share(zone: Share) -> str:
    return _rate(zone.count, zone.share, zone.low, zone.high)


def _rate(count: int, rate: float | None, low: float | None, high: float | None) -> str:
    return f"{count:>4}  {rate:.2f} [{low:.2f}, {high:.2f}]" if rate is not None else f"   {NO_DATA}"
