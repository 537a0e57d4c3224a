"""The comparison as console tables."""

from __future__ import annotations

from collections.abc import Sequence

from yolo_balance.comparison.comparison import STEP_TOLERANCE, Comparison
from yolo_balance.comparison.figures import GROUPS, Difference, Figure, Key
from yolo_balance.text import counted, listed, plain
from yolo_balance.views.recall.report_console import left_out
from yolo_balance.views.tables import class_table, rare_first, table

Rows = list[list[str]]
NULL = "no clear difference"
MEASURES = {"map50_95": "mAP50-95", "map50": "mAP50"}


def render(comparison: Comparison) -> str:
    """Return tables of the arms side by side, their differences, the exposure of each class, and notes."""
    parts = ["\n".join([title(comparison), *caveats(comparison), _table(*means(comparison))])]
    for arm in comparison.others:
        headings, rows = differences(comparison, arm.name)
        heading = f"{plain(arm.name)} against {plain(comparison.first)}"
        changes = f" ({'; '.join(map(plain, arm.changes))})" if arm.changes else ""
        parts.append(f"{heading}{changes}\n{_class_table(comparison, headings, rows)}")
    if comparison.oracle is not None:
        parts.append(f"{shares_title(comparison)}\n{_table(*shares(comparison))}")
    reached = _class_table(comparison, *exposure(comparison))
    parts.append(f"Shares of boxes that reached the network, mean over seeds\n{reached}")
    parts.append("\n".join(notes(comparison)))
    return "\n\n".join(parts)


def title(c: Comparison) -> str:
    """Return the title: seeds, images and weights of the comparison."""
    clean = f"{c.clean_images} of them defect-free" if c.clean_images else "none defect-free"
    seeds = f"seed{'' if len(c.seeds) == 1 else 's'} {', '.join(map(str, c.seeds))}"
    return f"Means over {seeds} on val ({counted(c.images, 'image')}, {clean}), best.pt of each run"


def caveats(c: Comparison) -> list[str]:
    """Return a line for each kind of images of val that were not read or say less, and for arms that share others."""
    lines = left_out(c, "val", c.images)
    if len({arm.in_train for arm in c.arms}) > 1:
        lines += [
            f"warning: {arm.in_train or 'no'} images of val are also in the train split of {plain(arm.name)}"
            for arm in c.arms
            if arm.in_train is not None
        ]
    return lines


def means(c: Comparison) -> tuple[list[str], Rows]:
    """Return headings, and a row per arm."""
    headings = ["arm", "seeds", "steps", "s/step", *MEASURES.values(), *(f"AP50 {group}" for group in GROUPS)]
    headings += [f"recall {group}\nat {budget:g}" for budget in c.budgets for group in GROUPS]
    keys = [Key("seconds_per_step"), Key("map50_95"), Key("map50"), *(Key("ap50", "group", group) for group in GROUPS)]
    keys += [Key("recall", "group", group, budget) for budget in c.budgets for group in GROUPS]
    rows = []
    for arm in c.arms:
        steps = [int(value) for value in arm.figure(Key("steps")).runs.values() if value is not None]
        least, most = min(steps), max(steps)
        range_of_steps = f"{least}" if least == most else f"{least} to {most}"
        rows.append([plain(arm.name), str(len(arm.seeds)), range_of_steps, *(_value(arm.figure(key)) for key in keys)])
    return headings, rows


def differences(c: Comparison, name: str) -> tuple[list[str], Rows]:
    """Return headings, and a row per group and class: recall of the first arm and of this arm, and the difference."""
    arm = next(arm for arm in c.arms if arm.name == name)
    first = next(arm for arm in c.arms if arm.name == c.first)
    headings = ["", "train", "n", *(f"recall at {budget:g} false boxes per {c.per}" for budget in c.budgets), "AP50"]
    rows = []
    for key, train, n in scopes(c):
        keys = [Key("recall", key.scope, key.name, budget) for budget in c.budgets] + [key]
        rows.append([label(key), str(train), str(n), *(pair(first.figure(k), arm.figure(k)) for k in keys)])
    for measure, text in MEASURES.items():
        figures = [a.figure(Key(measure)) for a in (first, arm)]  # type: ignore[arg-type]
        rows.append([text, "", "", *[""] * len(c.budgets), pair(*figures)])
    return headings, rows


def shares_title(c: Comparison) -> str:
    """Return the heading of the table of shares."""
    return f"Share of the gap between {plain(c.stock or '')} and {plain(c.oracle or '')} that an arm closes"


def shares(c: Comparison) -> tuple[list[str], Rows]:
    """Return headings, the row of the gap, and a row per arm between: share and interval in per cent of the gap."""
    words = {f"{group}_ap50": f"AP50 {group}" for group in GROUPS} | {"map50_95": MEASURES["map50_95"]}
    words |= {f"rare_recall_fa{budget}": f"recall rare\nat {budget:g}" for budget in c.budgets}
    rows = [["the gap itself", *("no data" if gap is None else difference_text(gap) for gap in c.gap.values())]]
    for arm in c.arms:
        if arm.name not in (c.stock, c.oracle):
            cells = [share_text(share, arm.share_interval[metric]) for metric, share in arm.share.items()]
            rows.append([plain(arm.name), *cells])
    return ["", *(words[metric] for metric in c.gap)], rows


def share_text(share: float | None, interval: tuple[float, float] | None) -> str:
    """Write a share with its interval: `83 % [70, 95]`."""
    if share is None or interval is None:
        return "no gap shown"
    return f"{share:.0%} [{interval[0]:.0%}, {interval[1]:.0%}]".replace("%", " %")


def exposure(c: Comparison) -> tuple[list[str], Rows]:
    """Return headings, and a row per group and class with a column per arm."""
    rows = [
        [label(key), *(_value(arm.figure(Key("reached", key.scope, key.name)), ".2%") for arm in c.arms)]
        for key, _, _ in scopes(c)
    ]
    return ["", *(plain(arm.name) for arm in c.arms)], rows


def scopes(c: Comparison) -> list[tuple[Key, int, int]]:
    """Return, for each group and class, the key of its AP50, boxes in train and objects in val."""
    found = []
    for group in GROUPS:
        members = [c.classes[name] for name in c.members(group)]
        found.append((Key("ap50", "group", group), sum(m.train for m in members), sum(m.val for m in members)))
    return found + [(Key("ap50", "class", name), counts.train, counts.val) for name, counts in c.classes.items()]


def label(key: Key) -> str:
    """Return the name of a class, or of a group marked as such."""
    return f"{key.name} classes" if key.scope == "group" else plain(key.name)


def pair(first: Figure, own: Figure) -> str:
    """Write two means and their difference: `.21 -> .35  +.14 [+.02, +.25] gain`."""
    if own.mean is None or first.mean is None:
        return "no data"
    text = f"{first.mean:.3f} -> {own.mean:.3f}"
    return f"{text}  {difference_text(own.difference)}" if own.difference else text


def difference_text(d: Difference) -> str:
    """Write a difference with its interval: `+.14 [+.02, +.25] gain`."""
    if d.low is None or d.high is None:
        return f"{d.value:+.3f} (one seed)"
    return f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}] {verdict(d)}"


def verdict(d: Difference) -> str:
    """Return what an interval shows, in words."""
    return NULL if d.verdict == "null" else d.verdict or ""


def notes(c: Comparison) -> list[str]:
    """Return notes on how to read the tables, on their limits, and on failed runs."""
    lines = []
    for group in GROUPS:
        members = c.members(group)
        rule = "fewer boxes in train than the median class" if group == "rare" else "the others"
        lines.append(f"{group} classes ({rule}): {listed([plain(m) for m in members], 12) or 'none'}")
    if untrained := [plain(name) for name, counts in c.classes.items() if counts.group is None]:
        lines.append(f"in neither group, without boxes in train: {listed(untrained, 12)}")
    if c.others:
        lines.append(interval_note(c))
        by_chance = c.verdicts * (1 - c.confidence)
        lines.append(
            f"With {counted(c.verdicts, 'comparison')}, {by_chance:.1f} would look different by chance on average. Do "
            "not rely on a single one."
        )
    lines += share_notes(c)
    lines.append("s/step: seconds of training over optimiser steps, longer where runs share a device")
    lines += step_warnings(c)
    lines += [f"failed: {plain(line)}" for line in c.failed]
    return lines


def interval_note(c: Comparison) -> str:
    """Return the note on how the intervals were computed."""
    level = f"{c.confidence:.0%} intervals"
    most = max(f.difference.seeds for arm in c.others for f in arm.figures if f.difference)
    if most == 1:
        return (
            f"{level} of recall by bootstrap over images ({c.resamples:,} resamples), with one seed: they say nothing "
            "of what another seed would give. No clear difference: the interval holds 0"
        )
    return (
        f"{level}: recall by paired bootstrap over seeds and images ({c.resamples:,} resamples, thresholds chosen anew "
        "in each), AP by Student's t over paired seeds. No clear difference: the interval holds 0"
    )


def share_notes(c: Comparison) -> list[str]:
    """Return notes on the shares of the gap; none without an oracle."""
    if c.stock is None or c.oracle is None:
        return []
    stock, oracle = plain(c.stock), plain(c.oracle)
    lines = [
        f"Share: (arm - {stock}) / ({oracle} - {stock}) over the seeds of all three, {c.confidence:.0%} intervals by "
        f"the same bootstrap, of AP over seeds alone. No gap shown: the interval of {oracle} - {stock} holds 0, too "
        "few images hold the classes, or one seed gives no interval"
    ]
    lines += [
        f"warning: no gap can be read without a finished run of {plain(name)}"
        for name in (c.stock, c.oracle)
        if name not in [arm.name for arm in c.arms]
    ]
    lines += [
        f"warning: {oracle} has a lower {metric} than {stock}, so a share there says how much of that is lost"
        for metric, gap in c.gap.items()
        if gap is not None and gap.verdict == "loss"
    ]
    return lines


def step_warnings(c: Comparison) -> list[str]:
    """Return a line per arm whose optimiser steps differ from the first arm's by more than 2 %."""
    steps = {arm.name: arm.figure(Key("steps")).mean or 0.0 for arm in c.arms}
    first = steps.get(c.first)
    if not first:
        return []
    return [
        f"warning: {plain(name)} made {own:.0f} optimiser steps, {own / first - 1:+.1%} of {plain(c.first)}'s"
        for name, own in steps.items()
        if abs(own / first - 1) > STEP_TOLERANCE
    ]


def _value(figure: Figure, form: str = ".3f") -> str:
    return "no data" if figure.mean is None else f"{figure.mean:{form}}"


def _class_table(c: Comparison, headings: Sequence[str], rows: Rows) -> str:
    first, last = len(GROUPS), len(GROUPS) + len(c.classes)
    return class_table(
        headings,
        rows[first:last],
        rare_first(counts.train for counts in c.classes.values()),
        _align(headings, rows),
        which="those with the fewest boxes in train",
        file="compare.json",
        before=rows[:first],
        after=rows[last:],
    )


def _table(headings: Sequence[str], rows: Rows) -> str:
    return table(headings, rows, _align(headings, rows))


def _align(headings: Sequence[str], rows: Rows) -> str:
    text = ["->" in "".join(row[i] for row in rows) for i in range(1, len(headings))]
    return "l" + "".join("l" if words else "r" for words in text)
