"""Certify thresholds on a split that chose nothing: a scale that keeps the budget, and recall at that scale.

All thresholds move together: their logits plus one scale. On clean units false alarms only fall when the scale rises,
so scales are tried from the strictest on and the walk stops before the first that fails.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from yolo_balance.arrays import Bools, Floats, Ints
from yolo_balance.errors import ConfigError
from yolo_balance.recall.decisions.certificate import AlarmBound, Answer, Certificate, ClassBound, Needed, Terms
from yolo_balance.recall.decisions.thresholds import Thresholds
from yolo_balance.recall.evidence.betting import AlarmBets, fewest_clean_units
from yolo_balance.recall.evidence.intervals import exact_high
from yolo_balance.recall.evidence.planning import fewest_units, units_to_show
from yolo_balance.recall.evidence.several_tests import last_of_walk
from yolo_balance.recall.evidence.unit_recall import UnitHits, unit_hits
from yolo_balance.recall.outcomes import Outcomes
from yolo_balance.text import listed, plain

SCALES = np.linspace(10, -10, 2001)
"""Scales in logits, the strictest first, the same for every split."""
START = len(SCALES) // 2
"""Step of the thresholds as they were chosen, at which recall is described where no scale keeps the budget."""
MOST_LOGIT = 15.0
"""Logits beyond this are those of thresholds 0 and 1, which a scale has to be able to move."""
ONE_FOR_ALL = 300
"""Clean units below which one confidence for all classes is moved, and not one for each."""
POWER = 0.8
"""Chance to show a target with as many units as are asked for."""
SEED = 0


def certify_outcomes(
    outcomes: Outcomes, names: Sequence[str], thresholds: Floats, terms: Terms, *, floor: float = 0.0
) -> Certificate:
    """Certify thresholds that other images chose.

    Args:
        outcomes: Boxes and objects of a split that chose nothing, with units.
        names: C class names by class id.
        thresholds: (C,) thresholds chosen elsewhere.
        terms: Terms of the certificate.
        floor: Lowest confidence the boxes were collected at.

    Raises:
        ConfigError: With a line for each reason why the split says nothing of the terms.
    """
    if problems := _problems(outcomes, names, terms):
        raise ConfigError(problems)
    return _Sides(outcomes, names, thresholds, terms, floor).certificate()


def starting_thresholds(thresholds: Thresholds, promise: float, outcomes: Outcomes) -> Floats:
    """Return (C,) thresholds of the budget nearest to the promise: one for all below 300 clean units, else one each.

    Labels decide, and no box: the choice is made before any outcome is read.
    """
    nearest = min(thresholds.budgets, key=lambda budget: abs(budget.false_alarms - promise))
    clean = outcomes.units - len(np.unique(outcomes.object_unit))
    if clean < ONE_FOR_ALL:
        return np.full(len(nearest.classes), nearest.threshold)
    return np.array(list(nearest.classes.values()))


def _problems(outcomes: Outcomes, names: Sequence[str], terms: Terms) -> list[str]:
    """Return a line for each reason why the split says nothing of the terms."""
    if not outcomes.images:
        return ["split: expected images, got none"]
    problems = []
    if unknown := [name for name in terms.targets if name not in names]:
        known = listed([plain(name) for name in names])
        problems += [f"targets: expected classes of the model, {known}, got {plain(name)}" for name in unknown]
    absent = [name for name, n in zip(names, outcomes.objects.tolist(), strict=True) if not n]
    promised = [plain(name) for name in terms.targets if name in absent]
    problems += [f"targets.{name}: the split has no object of a promised class" for name in promised]
    if not np.isfinite(outcomes.confidence).all():
        problems.append("weights: expected finite confidences, got some that are not")
    if terms.hit == "objects":
        pairs = outcomes.object_class * outcomes.units + outcomes.object_unit
        if (most := int(np.bincount(pairs).max(initial=0))) > terms.cap:
            problems.append(
                f"--cap: expected at least {most}, the most objects of a class on a {terms.unit} of the split"
            )
    return problems


class _Sides:
    """Both sides of a certificate: the units that choose the scale by the budget, and those that show recall."""

    def __init__(self, outcomes: Outcomes, names: Sequence[str], thresholds: Floats, terms: Terms, floor: float):
        self.outcomes, self.names, self.thresholds, self.terms, self.floor = outcomes, names, thresholds, terms, floor
        clean = np.ones(outcomes.units, bool)
        clean[outcomes.object_unit] = False
        self.shared = not clean.any()
        budget_units, recall_units = clean, ~clean
        if self.shared:
            budget_units = recall_units = np.ones(outcomes.units, bool)
            if not terms.targets:
                budget_units = _half(outcomes.units)
                recall_units = ~budget_units
        self.number: Ints = np.cumsum(budget_units) - 1
        self.clean_units = int(budget_units.sum())
        self.false: Bools = ~outcomes.hit & budget_units[outcomes.unit[outcomes.image]]
        self.read: Bools = recall_units[outcomes.object_unit]
        self.recall_alpha = terms.side if terms.targets else terms.side / max(int((outcomes.objects > 0).sum()), 1)
        self.objects_cap = max(terms.cap, 1)
        self.bets = AlarmBets.of(self.promise, terms.cap, self.clean_units, terms.side) if self.boxes else None

    @property
    def boxes(self) -> bool:
        """Whether the budget counts boxes, and not rejected units."""
        return self.terms.overkill is None

    @property
    def promise(self) -> float:
        """Budget in boxes per unit, or the share of rejected units."""
        promise = self.terms.budget if self.boxes else self.terms.overkill
        assert promise is not None
        return promise

    def at(self, step: int) -> Floats:
        """Return (C,) thresholds at a scale; a class that is silenced stays silent."""
        middle = np.clip(logit(np.clip(self.thresholds, 0, 1)), -MOST_LOGIT, MOST_LOGIT)
        moved = np.maximum(expit(middle + SCALES[step]), self.floor)
        return np.where(self.thresholds > 1, self.thresholds, moved)

    def counts(self, step: int) -> Ints:
        """Count the false boxes on each unit that the budget is read on."""
        boxes = self.outcomes.counts(self.at(step)) & self.false
        units = self.number[self.outcomes.unit[self.outcomes.image[boxes]]]
        return np.bincount(units, minlength=self.clean_units)

    def bound(self, step: int) -> float:
        """Return the upper bound of false alarms at a scale."""
        counts, alpha = self.counts(step), self.terms.side
        if self.bets is not None:
            return self.bets.high(counts, alpha)
        return exact_high(int((counts > 0).sum()), len(counts), alpha)

    def keeps(self, step: int) -> bool:
        """Decide whether a scale is shown to keep the budget."""
        if self.bets is not None:
            return self.bets.keeps(self.counts(step), self.promise, self.terms.side)
        return self.bound(step) <= self.promise

    def hits(self, step: int) -> dict[str, UnitHits]:
        """Count what is found of each class at a scale, on the units that recall is read on."""
        outcomes, read = self.outcomes, self.read
        detected = outcomes.detected(self.at(step))[read]
        classes, units = outcomes.object_class[read], outcomes.object_unit[read]
        found = unit_hits(detected, classes, units, len(self.names), self.terms.hit)
        return dict(zip(self.names, found, strict=True))

    def shows_targets(self, step: int) -> bool:
        """Decide whether every promised recall is shown at a scale, each at the full level."""
        hits = self.hits(step)
        return all(
            hits[name].low(self.recall_alpha, self.objects_cap) >= target for name, target in self.terms.targets.items()
        )

    def certificate(self) -> Certificate:
        """Walk the scales and read recall at the loosest that keeps the budget."""
        loosest = last_of_walk(len(SCALES), self.keeps)
        step, terms = START if loosest is None else loosest, self.terms
        classes = self._classes(step)
        met = all(row.met is not False for row in classes.values())
        if self.shared and terms.targets and loosest is not None:
            back = last_of_walk(len(SCALES), lambda i: self.shows_targets(len(SCALES) - 1 - i))
            met = back is not None and len(SCALES) - 1 - back <= loosest
        fewest = (
            fewest_clean_units(self.promise, terms.cap, terms.side)
            if self.boxes
            else fewest_units(self.promise, terms.side)
        )
        clean = max(fewest - self.clean_units, 0) if loosest is None else 0
        too_low = any(row.target is not None and row.high < row.target for row in classes.values())
        answer: Answer = "certified" if met else "refuted" if too_low else "not yet"
        if loosest is None:
            answer = "not yet" if clean else "refuted"
        counts = self.counts(step)
        measured = (np.minimum(counts, terms.cap) if self.boxes else counts > 0).mean() if len(counts) else None
        unit = f"{'image' if self.shared else 'clean image'}".replace("image", terms.unit)
        alarms = AlarmBound(
            f"boxes per {unit}" if self.boxes else f"share of {unit}s rejected",
            terms.cap if self.boxes else None,
            self.promise,
            None if measured is None else float(measured),
            self.bound(step),
            self.clean_units,
            loosest is not None,
        )
        needed = Needed(clean, {name: self._more(classes[name]) for name in terms.targets})
        outcomes = self.outcomes
        return Certificate(
            terms, answer, self._method(), outcomes.images, outcomes.clean_images, alarms, classes, needed
        )

    def _classes(self, step: int) -> dict[str, ClassBound]:
        rows = {}
        for (name, hits), threshold in zip(self.hits(step).items(), self.at(step).tolist(), strict=True):
            low, high = (bound(self.recall_alpha, self.objects_cap) for bound in (hits.low, hits.high))
            target = self.terms.targets.get(name)
            met = None if target is None else bool(low >= target)
            recall = hits.hits / hits.n if hits.n else None
            rows[name] = ClassBound(hits.n, hits.hits, recall, low, high, target, met, threshold)
        return rows

    def _more(self, row: ClassBound) -> int | None:
        """Count further units that a target takes at the measured recall; None where no number does."""
        assert row.target is not None
        if row.met:
            return 0
        if row.target == 1:
            return None
        enough = units_to_show(1 - row.target, 1 - (row.recall or 0.0), self.recall_alpha, power=POWER)
        return None if enough is None else max(enough - row.n, 1)

    def _method(self) -> str:
        alarms = "order-free betting mixture over clean units" if self.boxes else "Clopper-Pearson over clean units"
        recall = "betting on objects of a unit" if self.terms.hit == "objects" else "Clopper-Pearson over units"
        return f"fixed sequence of scales; false alarms: {alarms}; recall: {recall}; half of the error on each side"


def _half(units: int) -> Bools:
    """Return (U,) a seeded half of the units."""
    half = np.zeros(units, bool)
    half[np.random.default_rng(SEED).permutation(units)[: units // 2]] = True
    return half
