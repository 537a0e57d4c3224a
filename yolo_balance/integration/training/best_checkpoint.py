"""best.pt by another rule than Ultralytics' fitness: the rule's choice, with Ultralytics' choice kept beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ultralytics.cfg import TASK2METRIC
from ultralytics.utils import LOGGER, RANK

from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import copy_whole
from yolo_balance.integration.compat import strip_whole
from yolo_balance.integration.data import box_classes
from yolo_balance.integration.training.resolved_trainer import ResolvedTrainer
from yolo_balance.recall.decisions.selection import Score, Selection
from yolo_balance.run_folder.names import BEST_FITNESS, STATE
from yolo_balance.run_folder.state import RunState
from yolo_balance.sampling import ClassStatistics
from yolo_balance.text import plain

FITNESS = "fitness"
Validated = tuple[dict[str, float] | None, float | None]
"""Metrics and fitness, as a trainer's `validate` returns them."""


def rule_of(options: RecallConfig, names: Sequence[str], train: ClassStatistics, val: ClassStatistics) -> Selection:
    """Return the rule on a data set's labels. Raises as `Selection.of` does."""
    return Selection.of(options, names, train=train.boxes, val=val.boxes, clean_images=int(val.background.sum()))


class RunSelection:
    """`balance.recall.best` while a run lasts.

    Ultralytics keeps best.pt, stops early and resumes by two numbers: the fitness that `validate` returns, and the
    trainer's `best_fitness`. Both are replaced by the rule's score. The stock numbers are kept here.

    Attributes:
        rule: Rule by which an epoch is scored.
        best: Epoch of best.pt, from 1, and its score; None before the first.
        fitness: Best stock fitness so far, None before the first.
        fitness_epoch: Epoch of best_fitness.pt, None before the first.
    """

    def __init__(self, rule: Selection):
        self.rule = rule
        self.best: tuple[int, Score] | None = None
        self.fitness: float | None = None
        self.fitness_epoch: int | None = None
        self._saved: float | None = None
        self._now: tuple[float, Score] | None = None

    @classmethod
    def of(cls, trainer: ResolvedTrainer) -> RunSelection | None:
        """Return the selection of a trainer that is set up, or None where Ultralytics' fitness decides."""
        options, train = trainer.resolved.config.recall, trainer.resolved.statistics
        if options.best == FITNESS:
            return None
        val = ClassStatistics.of(box_classes(trainer.test_loader.dataset), train.num_classes)
        rule = rule_of(options, trainer.resolved.names, train, val)
        if RANK in (-1, 0):
            for line in rule.remarks:
                LOGGER.warning(line)
        return cls(rule)

    def start_again(self) -> None:
        """Return to the best fitness of the last checkpoint, as Ultralytics does when it takes an epoch back."""
        self.fitness = self._saved

    def validate(self, trainer: ResolvedTrainer, stock: Callable[[], Validated]) -> Validated:
        """Run the stock validation, note its fitness, and put the rule's score in its place.

        Returns:
            Metrics and the score; None and None on ranks that gather nothing.
        """
        best, trainer.best_fitness = trainer.best_fitness, self.fitness
        metrics, fitness = stock()
        stocks_best, trainer.best_fitness = trainer.best_fitness, best
        if metrics is None or fitness is None or stocks_best is None:
            return None, None
        self.fitness = float(stocks_best)
        report = trainer.validator.recall_report
        assert report is not None  # checked by the watch
        images = report.budgets[0].images
        map50_95 = TASK2METRIC[trainer.args.task]
        score = self.rule.score(
            report,
            fitness=float(fitness),
            map50_95=float(metrics[map50_95]),
            map50=float(metrics[map50_95.replace("mAP50-95", "mAP50")]),
            overkill=None if images is None else images.overkill.rate,
        )
        self._now = float(fitness), score
        if not math.isnan(score.value) and (best is None or best < score.value):
            trainer.best_fitness = score.value
        return metrics, score.value

    def save(self, trainer: ResolvedTrainer) -> None:
        """Note which checkpoint Ultralytics has kept, and keep the stock choice beside it; call after each save."""
        assert self._now is not None  # every epoch is validated: `val: false` is refused
        fitness, score = self._now
        self._saved = self.fitness
        epoch = trainer.epoch + 1
        if trainer.best_fitness == score.value:
            self.best = epoch, score
            LOGGER.info(self._best_line())
        if self.fitness == fitness:  # of equal ones the last, as in Ultralytics
            self.fitness_epoch = epoch
            copy_whole(trainer.last, trainer.wdir / BEST_FITNESS)

    def finish(self, trainer: ResolvedTrainer) -> None:
        """Strip best_fitness.pt as Ultralytics strips best.pt, and log the epochs of both; call at the end of a run."""
        lines = [] if self.best is None else [self._best_line()]
        if self.fitness_epoch is not None:
            updates = {"train_results": trainer.read_results_csv()}
            strip_whole(trainer.wdir / BEST_FITNESS, updates=updates)
            lines.append(f"{BEST_FITNESS}: epoch {self.fitness_epoch}, fitness {self.fitness:.5f}")
        LOGGER.info("; ".join(lines))

    def _best_line(self) -> str:
        assert self.best is not None
        epoch, s = self.best
        options = self.rule.options
        least = "at least" if isinstance(options.best, str) else "is"
        recall = f"{least} {s.recall:.3f} (lowest: {plain(s.lowest)}, {s.hits} of {s.n} found)"
        missed = f", floors missed: {', '.join(s.missed)}" if s.missed else ""
        return f"best.pt: epoch {epoch}, {options.best_words} {recall}{missed}"

    def state(self) -> dict[str, object]:
        """Return the rule, the best epoch and the stock choice; Ultralytics' checkpoint holds the best score."""
        best = None if self.best is None else {"epoch": self.best[0], **asdict(self.best[1])}
        kept = {"by": self.rule.by, "best": best, "fitness": self.fitness, "fitness_epoch": self.fitness_epoch}
        return {"selection": kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the best epoch and the stock choice from a saved state."""
        kept = state["selection"]
        if best := dict(kept["best"] or {}):
            self.best = best.pop("epoch"), Score(**{**best, "missed": tuple(best["missed"])})
        self.fitness, self.fitness_epoch = kept["fitness"], kept["fitness_epoch"]
        self._saved = self.fitness


def check_rule(folder: Path, selection: RunSelection | None) -> None:
    """Raise ConfigError where a run to resume kept best.pt by another rule. A state that cannot be read passes."""
    before = FITNESS
    if (folder / STATE).exists():
        try:
            before = RunState.load(folder).learnt.get("selection", {"by": FITNESS})["by"]
        except DataError:
            return
    rule = FITNESS if selection is None else selection.rule.by
    if before != rule:
        raise ConfigError(
            f"balance.recall.best: expected {before}, by which the run to resume kept best.pt, got {rule}; "
            "scores of two rules cannot be compared"
        )
