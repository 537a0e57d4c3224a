"""`compare.html`: one file that opens anywhere, without a network."""

from __future__ import annotations

from yolo_balance.comparison.comparison import ArmFigures, Comparison
from yolo_balance.comparison.figures import Difference, Key
from yolo_balance.views.comparison import comparison_console
from yolo_balance.views.pages import environment


def render(comparison: Comparison) -> str:
    """Return the text of `compare.html`; names and paths are data and escaped."""
    return (
        environment()
        .get_template("compare.html")
        .render(
            c=comparison,
            title=comparison_console.title(comparison),
            caveats=comparison_console.caveats(comparison),
            means=comparison_console.means(comparison),
            shares=None if comparison.oracle is None else comparison_console.shares(comparison),
            shares_title=comparison_console.shares_title(comparison),
            exposure=comparison_console.exposure(comparison),
            verdict=comparison_console.verdict,
            notes=comparison_console.notes(comparison),
            arms=[(arm, sections(comparison, arm)) for arm in comparison.others],
        )
    )


Row = tuple[str, int, int, float | None, float | None, Difference | None]
"""Name of a group or class, boxes in train, objects in val, the first arm's mean, this arm's, the difference."""


def sections(c: Comparison, arm: ArmFigures) -> list[tuple[str, list[Row]]]:
    """Return a heading with rows per budget, then for average precision."""
    first = next(other for other in c.arms if other.name == c.first)
    found = []
    headings = [(f"Recall at {budget:g} false boxes per {c.per}", budget) for budget in c.budgets]
    for heading, budget in [*headings, ("Average precision: AP50, and the means over all classes", None)]:
        rows = []
        for key, train, n in comparison_console.scopes(c):
            asked = key if budget is None else Key("recall", key.scope, key.name, budget)
            own = arm.figure(asked)
            rows.append((comparison_console.label(key), train, n, first.figure(asked).mean, own.mean, own.difference))
        if budget is None:
            for measure in ("map50", "map50_95"):
                own, name = arm.figure(Key(measure)), comparison_console.MEASURES[measure]
                rows.append((name, 0, 0, first.figure(Key(measure)).mean, own.mean, own.difference))
        found.append((heading, rows))
    return found
