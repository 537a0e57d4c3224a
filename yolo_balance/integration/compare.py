"""`compare`: arms x seeds of runs, paired by seed and by optimiser steps, and what the arms differ by."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yolo_balance.comparison import Comparison, RunFigures, html
from yolo_balance.comparison.comparison import COLUMNS, STEP_TOLERANCE
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import write_whole
from yolo_balance.integration import arms as reading
from yolo_balance.integration import host
from yolo_balance.integration.arms import Arm
from yolo_balance.integration.matrix import Run, execute
from yolo_balance.integration.progress import MatrixProgress
from yolo_balance.words import counted, plain

FIGURES, ROWS, PAGE = "compare.json", "compare.csv", "compare.html"


def compare(
    config: str | Path,
    arms: Sequence[str | Path] = (),
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    jobs: int = 1,
    out: str | Path | None = None,
    say: Callable[[str], None] = print,
    **overrides: Any,
) -> tuple[Comparison, list[Path]]:
    """Train every arm at every seed and compare them with the first.

    Each run is a process of its own and has the folder `<out>/<arm>/seed<seed>`, its YAML in `run.yaml` and what it
    prints in `log.txt`. A run that is finished there, of the same YAML, is not run again; one that was interrupted is
    run anew. All arms are checked before the first run.

    Args:
        config: YAML of a run.
        arms: YAML of what each arm changes (`arms`); without any the configuration is the only arm.
        seeds: Each arm is trained with each.
        jobs: Runs side by side, on the device that the YAML names.
        out: Folder of the runs and the results; `<stem of config>_compare` when left out.
        say: Takes a line of what people read.
        **overrides: Keys that replace those of the configuration; dotted ones reach into sections.

    Returns:
        The comparison, and the files written. Runs that failed are in `Comparison.failed`.

    Raises:
        ConfigError: With every problem of every arm; nothing was run.
        DataError: No run finished.
        KeyboardInterrupt: After the runs under way were ended; what is finished stays.
    """
    problems = []
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        problems.append(
            f"--seeds: expected different whole numbers from 0 on, got {', '.join(map(str, seeds)) or 'none'}"
        )
    if jobs < 1:
        problems.append(f"--jobs: expected at least 1, got {jobs}")
    if problems:
        raise ConfigError(problems)
    with host.quiet():
        found = reading.read(config, arms, overrides)
    for line in planned(found):
        say(line)
    folder = Path(f"{Path(config).stem}_compare" if out is None else out)
    runs = [Run(arm.name, seed, folder / arm.name / f"seed{seed}", arm.text(seed)) for seed in seeds for arm in found]
    waiting = [run for run in runs if not run.finished]
    try:
        with MatrixProgress(len(runs), len(runs) - len(waiting), jobs, say) as progress:
            failed = execute(waiting, jobs, progress.event)
    except KeyboardInterrupt:
        say(f"interrupted: {progress.done} of {len(runs)} runs finished are kept; the same command takes it up again")
        raise
    except OSError as e:
        raise ConfigError(f"--out: {folder} cannot be written ({host.one_line(e)})") from e
    comparison, files = _results(found, runs, failed, seeds, folder)
    return comparison, files


def planned(arms: Sequence[Arm]) -> list[str]:
    """One line per arm: its epochs, their length and the optimiser steps, and what it trains otherwise."""
    first, lines = arms[0], []
    for arm in arms:
        epochs, images = counted(arm.value("epochs"), "epoch"), counted(arm.found.images_per_epoch, "image")
        line = f"{plain(arm.name)}: {epochs} of {images}, about {arm.steps:.0f} optimiser steps"
        if arm is not first and (changes := arm.changes(first)):
            line += f"; {'; '.join(map(plain, changes))}"
        lines.append(line)
    off = [arm for arm in arms if abs(arm.steps / first.steps - 1) > STEP_TOLERANCE]
    return lines + [
        f"warning: {plain(arm.name)} will make {arm.steps / first.steps - 1:+.1%} of {plain(first.name)}'s steps"
        for arm in off
    ]


def _results(
    arms: Sequence[Arm], runs: Sequence[Run], failed: Sequence[Run], seeds: Sequence[int], folder: Path
) -> tuple[Comparison, list[Path]]:
    figures: dict[str, list[RunFigures]] = {arm.name: [] for arm in arms}
    missing = {run: run.failure() for run in failed}
    for run in runs:
        if run in missing:
            continue
        try:
            figures[run.arm].append(RunFigures.load(run.folder, run.seed))
        except DataError as e:
            missing[run] = f"{run.name}: {e}"
    if not any(figures.values()):
        raise DataError("\n".join([*missing.values(), "compare: no run finished, there is nothing to compare"]))
    comparison = Comparison.of(
        figures,
        [int(n) for n in arms[0].found.train.boxes],
        first=arms[0].name,
        seeds=seeds,
        changes={arm.name: arm.changes(arms[0]) for arm in arms},
        failed=list(missing.values()),
        confidence=arms[0].balance.recall.confidence,
    )
    table = io.StringIO()
    csv.writer(table).writerows([COLUMNS, *comparison.rows()])
    texts = {FIGURES: comparison.to_json(), ROWS: table.getvalue(), PAGE: html.render(comparison)}
    try:
        for name, text in texts.items():
            write_whole(folder / name, text)
    except OSError as e:
        raise ConfigError(f"--out: {folder} cannot be written ({host.one_line(e)})") from e
    return comparison, [folder / name for name in texts]
