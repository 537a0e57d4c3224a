"""`recall.html`: recall per class at each budget, changes, plots, and pictures of the worst errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from markupsafe import Markup

from yolo_balance.recall.diagnosis.froc import froc
from yolo_balance.recall.diagnosis.prime_samples import PrimeSamples
from yolo_balance.recall.report import BudgetRecall, RecallReport
from yolo_balance.recall.split_reading import Reading
from yolo_balance.run_folder.history import ClassExposure, EpochRecall
from yolo_balance.text import percent
from yolo_balance.views.pages import environment
from yolo_balance.views.recall import crops, detail_sections, page_plots, worst_errors
from yolo_balance.views.recall.changes import Changes, against, same_budget, since_last_epoch
from yolo_balance.views.recall.report_console import left_out, sharing
from yolo_balance.views.recall.verdict_words import NO_DATA, NO_TARGET, WORDS, independent, needed, verdict

MOST_PLOTS = 24  # classes with plots; the tables have all


def render(
    reading: Reading,
    *,
    history: Sequence[EpochRecall] = (),
    exposure: Mapping[str, ClassExposure] | None = None,
    weights: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return the text of `recall.html`; names and paths are data and escaped.

    Args:
        reading: The reading of a finished model. Its image files are opened for the pictures of the worst errors.
        history: Rows of a run's `recall.csv`; none for a finished model.
        exposure: Shares of boxes that a run was shown, by class name.
        weights: The classes of `balance.yaml`'s resolved section, by name.
    """
    report, outcomes, names, baseline = reading.report, reading.outcomes, reading.names, reading.baseline
    exposure, weights = exposure or {}, weights or {}
    first = report.budgets[0]
    order = rarest_first(first, weights)
    shown = [name for name in order if first.classes[name].n][:MOST_PLOTS]
    budgets = [budget.false_alarms for budget in report.budgets]
    epochs = {budget: since_last_epoch(history, budget) for budget in budgets}
    baselines = {budget: against(baseline, report, budget) if baseline else {} for budget in budgets}
    factor = "product" if all("product" in row for row in weights.values()) else "factor"
    thresholds = [first.classes[name].threshold for name in names]
    ids = [names.index(name) for name in order]
    curve = froc(outcomes, [budget.threshold for budget in report.budgets])
    missed = worst_errors.missed(outcomes, thresholds, ids)
    alarms = worst_errors.false_alarms(outcomes, thresholds)
    return (
        environment()
        .get_template("recall.html")
        .render(
            report=report,
            title=reading.title,
            note=reading.note,
            per=report.per,
            left_out=left_out(report, report.split, report.images),
            verdict=verdict,
            needed=needed,
            independent=independent,
            epochs=epochs,
            baselines=baselines,
            shown_shares=exposure,
            sharing=[sharing(budget, report.per) for budget in report.budgets],
            tally=Counter(verdict(row) for row in first.classes.values()),
            verdicts=[*WORDS.values(), NO_TARGET, NO_DATA],
            targets=any(row.target is not None for row in first.classes.values()),
            epoch=max((row.epoch for row in history), default=None),
            baseline=baseline,
            like=baseline is None or _conditions(baseline) == _conditions(report),
            since=[comparison(budget, changes, order) for budget, changes in epochs.items() if changes],
            against=[comparison(budget, changes, order) for budget, changes in baselines.items() if changes],
            **detail_sections.context(report, shown),
            exposure=_exposure_rows(exposure, order),
            weights=weights,
            factor=factor,
            order=order,
            shown=shown,
            with_data=sum(row.n > 0 for row in first.classes.values()),
            over_epochs=_over_epochs(history, first, shown),
            froc={
                name: Markup(
                    page_plots.froc_of_class(
                        curve, names.index(name), budgets, report.per, first.classes[name].target, report.confidence
                    )
                )
                for name in shown
            },
            prime_samples=Markup(page_plots.prime_samples(PrimeSamples.of(outcomes), names, f"on {report.split}")),
            missed=[crops.of_object(outcomes, o, thresholds, names) for o in missed],
            all_missed=sum(row.n - row.hits for row in first.classes.values()),
            false_alarms=[crops.of_box(outcomes, b, thresholds, names) for b in alarms],
            all_false=int((~outcomes.hit & outcomes.counts(thresholds)).sum()),
            per_class=worst_errors.PER_CLASS,
        )
    )


def rarest_first(budget: BudgetRecall, weights: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sort class names by boxes in train, or by objects if train is not known: fewest first, without data last.

    Of equal ones the class that comes last by id is first, as class lists put the rare at their end.
    """
    names = list(budget.classes)
    in_train = all("boxes" in weights.get(name, {}) for name in names)
    boxes = {name: weights[name]["boxes"] if in_train else row.n for name, row in budget.classes.items()}
    return sorted(names, key=lambda name: (budget.classes[name].n == 0, boxes[name], -names.index(name)))


def comparison(budget: float, changes: Changes, order: Sequence[str]) -> dict[str, object]:
    """Sort the names of classes by their change at one budget: rose and fell with the difference, unclear, no data."""
    known = [(name, change) for name in order if (change := changes.get(name)) is not None]
    return {
        "budget": budget,
        "rose": [(name, change.difference) for name, change in known if change.verdict == "rose"],
        "fell": [(name, change.difference) for name, change in known if change.verdict == "fell"],
        "unclear": [name for name, change in known if change.verdict == "cannot conclude"],
        "unknown": [name for name in order if changes.get(name) is None],
    }


def _conditions(report: RecallReport) -> tuple[object, ...]:
    return report.split, report.iou, report.confidence, report.images, report.clean_images


def _exposure_rows(exposure: Mapping[str, ClassExposure], order: Sequence[str]) -> list[tuple[str, ...]]:
    found = [(name, exposure[name]) for name in order if name in exposure]
    return [(name, *map(percent, (*astuple(e.mean), e.last.drawn, e.last.reached))) for name, e in found]


def _over_epochs(history: Sequence[EpochRecall], first: BudgetRecall, shown: Sequence[str]) -> dict[str, Markup]:
    of = {
        name: [row for row in history if row.name == name and same_budget(row.budget, first.false_alarms)]
        for name in shown
    }
    return {
        name: Markup(page_plots.over_epochs(rows, first.classes[name].target))
        for name, rows in of.items()
        if any(row.recall is not None for row in rows)
    }
