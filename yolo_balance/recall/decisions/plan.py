"""Plan of a certificate in lines: the units that it takes, before any image is taken."""

from __future__ import annotations

from yolo_balance.recall.decisions.certificate import Terms
from yolo_balance.recall.evidence.betting import fewest_clean_units
from yolo_balance.recall.evidence.planning import fewest_units, units_to_show
from yolo_balance.text import plain

USED = (0.5, 0.7, 0.8)
"""Shares of the budget that the thresholds use up."""
POWER = 0.8
"""Chance to show a target."""


def plan_lines(terms: Terms) -> list[str]:
    """Return a line for the clean units of a budget, and one for each target."""
    unit, alpha = terms.unit, terms.side
    if terms.overkill is None:
        assert terms.budget is not None
        promise, fewest = terms.budget, fewest_clean_units(terms.budget, terms.cap, alpha)
    else:
        promise, fewest = terms.overkill, fewest_units(terms.overkill, alpha)
    lines = [f"{terms.budget_words}: {fewest:,} clean {unit}s at least, none with a false alarm"]
    share = min(promise, 0.5)
    using = [(used, units_to_show(share, used * share, alpha)) for used in USED]
    lines += [
        f"  to use {used:.0%} of the budget, at one alarm {terms.each}: {n:,} clean {unit}s" for used, n in using if n
    ]
    for name, target in terms.targets.items():
        if target == 1:
            lines.append(f"{plain(name)} of {target:g}: no number of {unit}s shows it")
            continue
        true = (1 + target) / 2
        fewest, likely = fewest_units(1 - target, alpha), units_to_show(1 - target, 1 - true, alpha, power=POWER)
        lines.append(
            f"{plain(name)} of {target:g}: {fewest:,} {unit}s with {plain(name)} at least, all found; "
            f"{likely:,} at a true recall of {true:g} (with a chance of {POWER:.0%})"
        )
    return lines
