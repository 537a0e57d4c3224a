"""Certificate of a model: bounds that hold on the next parts, the answer in one sentence, and `certificate.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from yolo_balance.errors import ConfigError
from yolo_balance.files import write_whole
from yolo_balance.recall.evidence.several_tests import look_alpha, spent
from yolo_balance.recall.evidence.unit_recall import Hit
from yolo_balance.text import plain

SCHEMA = 1
CERTIFIED, REFUTED, NOT_YET = 0, 1, 2
Answer: TypeAlias = Literal["certified", "refuted", "not yet"]
NOT_VALID_FOR = (
    "another file of the model, image size or camera; parts unlike those of the split; thresholds below these"
)


@dataclass(frozen=True)
class Terms:
    """Terms of a certificate, fixed before any outcome of the split is read.

    Attributes:
        targets: Recall promised by class name; without any, every class gets a bound.
        budget: False boxes per clean unit at most, each unit counted with `cap` at most; None with `overkill`.
        overkill: Share of clean units rejected at most; None with `budget`.
        cap: False boxes, or objects, that a unit is counted with at most.
        hit: Share that recall means.
        level: Probability that the statement is right.
        number: Number of this look at the same data, from 1 on.
        grows: Whether the data was planned to be looked at again, so that the first look leaves level for others.
        unit: Name of a unit.
    """

    targets: Mapping[str, float] = field(default_factory=dict)
    budget: float | None = 0.1
    overkill: float | None = None
    cap: int = 3
    hit: Hit = "all"
    level: float = 0.95
    number: int = 1
    grows: bool = False
    unit: str = "image"

    def __post_init__(self) -> None:
        """Refuse terms that cannot be; raises ConfigError with a line for each."""
        problems = []
        if self.budget is not None and self.overkill is not None:
            problems.append("--overkill: expected no --budget beside it")
        if self.budget is not None and not 0 < self.budget < self.cap:
            problems.append(f"--budget: expected false boxes above 0 and below --cap, {self.cap}, got {self.budget:g}")
        if self.overkill is not None and not 0 < self.overkill < 1:
            problems.append(f"--overkill: expected a share above 0 and below 1, got {self.overkill:g}")
        if self.cap < 1:
            problems.append(f"--cap: expected 1 or more, got {self.cap}")
        if not 0 < self.level < 1:
            problems.append(f"--level: expected a level above 0 and below 1, got {self.level:g}")
        if problems:
            raise ConfigError(problems)

    @property
    def side(self) -> float:
        """Probability of error that the budget may spend, and recall again: half of that of this look."""
        return look_alpha(self.level, self.number, grows=self.grows) / 2

    @property
    def level_of_looks(self) -> float:
        """Level of all looks up to this one together."""
        return min(self.level, 1 - spent(self.level, self.number, grows=self.grows))

    @property
    def budget_words(self) -> str:
        """Name the budget."""
        if self.overkill is not None:
            return f"at most {self.overkill:.2%} of clean {self.unit}s rejected"
        return f"at most {self.budget:g} false boxes per clean {self.unit} (counting at most {self.cap} {self.each})"

    @property
    def each(self) -> str:
        """Name of a unit with its article."""
        return f"an {self.unit}" if self.unit[0] in "aeiou" else f"a {self.unit}"


@dataclass(frozen=True)
class AlarmBound:
    """False alarms at the thresholds of a certificate.

    Attributes:
        unit: Name of the measure.
        cap: False boxes counted on a unit at most; None for a share of units.
        budget: Promise.
        measured: Measure on the split.
        bound: Upper bound of the measure on other parts.
        n: Units that were counted.
        met: Whether a scale keeps the budget.
    """

    unit: str
    cap: int | None
    budget: float
    measured: float | None
    bound: float
    n: int
    met: bool


@dataclass(frozen=True)
class ClassBound:
    """Recall of one class at the thresholds of a certificate.

    Attributes:
        n: Units with the class; objects where the share is that of objects.
        hits: Number of them found.
        recall: hits / n, None without any.
        low, high: One-sided bounds on other parts.
        target: Recall promised, None without a promise.
        met: Whether the lower bound reaches the target; None without a promise.
        threshold: Confidence from which on a box of the class counts.
    """

    n: int
    hits: int
    recall: float | None
    low: float
    high: float
    target: float | None
    met: bool | None
    threshold: float


@dataclass(frozen=True)
class Needed:
    """Units that a certificate still takes.

    Attributes:
        clean_images: Clean units.
        objects: By promised class, further units with the class; None where no number shows the target.
    """

    clean_images: int
    objects: Mapping[str, int | None]


@dataclass(frozen=True)
class Certificate:
    """Answer of `certify`.

    Attributes:
        terms: Terms of the certificate.
        answer: `certified`, `refuted`, or `not yet` where more units could decide.
        method: Bounds that were used.
        images: Images of the split.
        clean_images: Images without objects.
        false_alarms: Side of the budget.
        classes: Side of recall, by class name.
        needed: Units that are missing.
        about: Origin: hashes, names, date, conditions.
    """

    terms: Terms
    answer: Answer
    method: str
    images: int
    clean_images: int
    false_alarms: AlarmBound
    classes: Mapping[str, ClassBound]
    needed: Needed
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """Exit code: 0 certified, 1 refuted, 2 not yet."""
        return {"certified": CERTIFIED, "refuted": REFUTED, "not yet": NOT_YET}[self.answer]

    @property
    def statement(self) -> str:
        """Answer in one sentence."""
        unit = self.terms.unit
        if self.answer == "certified":
            shown = "; ".join([self.terms.budget_words, *self._recalls()])
            return f"With {level_words(self.terms.level_of_looks)} confidence, on {unit}s like these: {shown}."
        if self.answer == "refuted":
            return f"Refuted: {'; '.join(self._refuted())}."
        return f"Cannot be certified: {self._needed()}."

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `certificate.json`."""
        terms = self.terms
        return {
            "schema": SCHEMA,
            "level": terms.level,
            "level_of_looks": terms.level_of_looks,
            "certified": self.answer == "certified",
            "answer": self.answer,
            "statement": self.statement,
            "method": self.method,
            "images": self.images,
            "clean_images": self.clean_images,
            "unit": terms.unit,
            "hit": terms.hit,
            "look": terms.number,
            "false_alarms": asdict(self.false_alarms),
            "classes": {name: asdict(row) for name, row in self.classes.items()},
            "needed": asdict(self.needed),
            "not_valid_for": NOT_VALID_FOR,
            **self.about,
        }

    def save(self, path: Path) -> None:
        """Write `certificate.json`, whole or not at all."""
        write_whole(path, json.dumps(self.to_dict(), indent=1) + "\n")

    def _recalls(self) -> list[str]:
        words = []
        for name, row in self.classes.items():
            share = row.low if row.target is None else row.target
            if row.n and (row.target is not None or not self.terms.targets):
                words.append(_recall_words(plain(name), share, self.terms))
        return words

    def _refuted(self) -> list[str]:
        words = [
            f"{plain(name)} is found on at most {row.high:.1%} of {self.terms.unit}s, promised were {row.target:.1%}"
            for name, row in self.classes.items()
            if row.target is not None and row.high < row.target
        ]
        return words or [f"no thresholds keep {self.terms.budget_words}"]

    def _needed(self) -> str:
        unit, needed = self.terms.unit, self.needed
        of = "objects" if self.terms.hit == "objects" else f"{unit}s with"
        more = [f"{n} more {of} {plain(name)}" for name, n in needed.objects.items() if n]
        more += [f"{needed.clean_images} more clean {unit}s"] if needed.clean_images else []
        never = [plain(name) for name, n in needed.objects.items() if n is None]
        lines = [f"it takes {' and '.join(more)}"] if more else []
        lines += [f"measured recall of {' and '.join(never)} is not above the target"] if never else []
        return "; ".join(lines) or "no thresholds keep the budget and the targets at once"


def _recall_words(name: str, share: float, terms: Terms) -> str:
    percent = level_words(share)
    if terms.hit == "objects":
        return f"at least {percent} of {name} objects found"
    found = f"every {name} found" if terms.hit == "all" else f"a {name} found"
    return f"{found} on at least {percent} of {terms.unit}s with {name}"


def level_words(share: float) -> str:
    """Write a share such as 0.9375 as 93.7 %, rounded down: nothing is claimed that was not shown."""
    return f"{int(share * 1000 + 1e-6) / 10:g} %"
