"""A run's best.pt by another rule than the host's fitness: its choice, the host's beside it, and what resumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ultralytics.cfg import TASK2METRIC
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import strip_optimizer

from yolo_balance.config import RecallConfig
from yolo_balance.files import copy_whole
from yolo_balance.integration.data import box_classes
from yolo_balance.recall import RecallReport
from yolo_balance.recall.decisions.selection import Score, Selection
from yolo_balance.sampling import ClassStatistics
from yolo_balance.text import plain

BEST_FITNESS = "best_fitness.pt"


def rule_of(options: RecallConfig, names: Sequence[str], train: ClassStatistics, val: ClassStatistics) -> Selection:
    """The rule on a data set's labels; raises as `Selection.of` does."""
    return Selection.of(options, names, train=train.boxes, val=val.boxes, clean_images=int(val.background.sum()))


class RunSelection:
    """What `balance.recall.best` is while a run lasts.

    The host keeps best.pt, stops early and resumes by the fitness that `validate` returns and its own `best_fitness`:
    it is given the rule's score as both. Stock's two are kept here.

    Attributes:
        rule: How an epoch is scored.
        best: Epoch of best.pt, from 1, and its score; None before the first.
        fitness: Stock's best fitness so far, None before the first.
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
    def of(cls, trainer: Any) -> RunSelection | None:
        """That of a trainer that is set up; None where the rule is the host's."""
        options, train = trainer.resolved.config.recall, trainer.resolved.statistics
        if options.best == "fitness":
            return None
        val = ClassStatistics.of(box_classes(trainer.test_loader.dataset), train.num_classes)
        rule = rule_of(options, trainer.resolved.names, train, val)
        if RANK in (-1, 0):
            for line in rule.remarks:
                LOGGER.warning(line)
        return cls(rule)

    def start_again(self) -> None:
        """Forget what the host took back: it reads its own best fitness from the last checkpoint."""
        self.fitness = self._saved

    def validate(self, trainer: Any, stock: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
        """The host's validation, its fitness compared with stock's best, then the score in the place of both.

        Returns:
            Metrics and the score; None and None on ranks that gather nothing.
        """
        best, trainer.best_fitness = trainer.best_fitness, self.fitness
        metrics, fitness = stock()
        stocks_best, trainer.best_fitness = trainer.best_fitness, best
        if metrics is None:
            return None, None
        self.fitness = float(stocks_best)
        report: RecallReport = trainer.validator.recall_report
        images = report.budgets[0].images
        score = self.rule.score(
            report,
            fitness=float(fitness),
            map50_95=float(metrics[TASK2METRIC[trainer.args.task]]),
            overkill=None if images is None else images.overkill.rate,
        )
        self._now = float(fitness), score
        if not math.isnan(score.value) and (best is None or best < score.value):
            trainer.best_fitness = score.value
        return metrics, score.value

    def save(self, trainer: Any) -> None:
        """After the host has saved an epoch: note what it kept, and keep stock's choice beside."""
        assert self._now is not None  # every epoch is validated: `val: false` is refused
        fitness, score = self._now
        self._saved = self.fitness
        epoch = trainer.epoch + 1
        if trainer.best_fitness == score.value:
            self.best = epoch, score
            LOGGER.info(self._best_line())
        if self.fitness == fitness:  # of equal ones the last, as in the host
            self.fitness_epoch = epoch
            copy_whole(trainer.last, trainer.wdir / BEST_FITNESS)

    def finish(self, trainer: Any) -> None:
        """At the end of a run: strip best_fitness.pt as the host does best.pt, and say which epochs the two are."""
        lines = [] if self.best is None else [self._best_line()]
        if self.fitness_epoch is not None:
            updates = {"train_results": trainer.read_results_csv()}
            strip_optimizer(trainer.wdir / BEST_FITNESS, updates=updates)
            lines.append(f"{BEST_FITNESS}: epoch {self.fitness_epoch}, fitness {self.fitness:.5f}")
        LOGGER.info("; ".join(lines))

    def _best_line(self) -> str:
        assert self.best is not None
        epoch, s = self.best
        found = f"at least {s.recall:.3f} (lowest: {plain(s.lowest)}, {s.hits} of {s.n} found)"
        missed = f", floors missed: {', '.join(s.missed)}" if s.missed else ""
        return f"best.pt: epoch {epoch}, {self.rule.options.best} {found}{missed}"

    def state(self) -> dict[str, Any]:
        """What `resume` takes up again; the host's checkpoint holds the best score."""
        best = None if self.best is None else {"epoch": self.best[0], **asdict(self.best[1])}
        return {"by": self.rule.by, "best": best, "fitness": self.fitness, "fitness_epoch": self.fitness_epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the state up again; raises KeyError or TypeError where it does not fit."""
        best = dict(state["best"] or {})
        if best:
            self.best = best.pop("epoch"), Score(**{**best, "missed": tuple(best["missed"])})
        self.fitness, self.fitness_epoch = state["fitness"], state["fitness_epoch"]
        self._saved = self.fitness
