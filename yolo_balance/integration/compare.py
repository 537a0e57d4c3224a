"""`compare`: arms x seeds of runs, paired by seed and by optimiser steps, and the differences between the arms."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from yolo_balance.comparison import Comparison, RunFigures
from yolo_balance.comparison.comparison import COLUMNS, STEP_TOLERANCE
from yolo_balance.comparison.execution.runs import Run, Submit, execute_runs, local_queue
from yolo_balance.config.reading import shown
from yolo_balance.errors import ConfigError, DataError
from yolo_balance.files import write_whole, written_together
from yolo_balance.integration.arms import Arm
from yolo_balance.integration.arms import read as read_arms
from yolo_balance.integration.compat import one_line, quiet
from yolo_balance.integration.oracle_arm import fewer, oracle_arm, stock_of
from yolo_balance.text import counted, plain
from yolo_balance.views.comparison import comparison_page
from yolo_balance.views.comparison.runs_progress import RunsProgress

FIGURES, ROWS, PAGE = "compare.json", "compare.csv", "compare.html"


def compare(
    config: str | Path,
    arms: Sequence[str | Path] = (),
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    jobs: int = 1,
    ray: bool | str = False,
    cpus: int | None = None,
    out: str | Path | None = None,
    oracle: str | Path | None = None,
    say: Callable[[str], None] = print,
    **overrides: object,
) -> tuple[Comparison, list[Path]]:
    """Train every arm at every seed and compare the arms with the first.

    Each run is a process of its own and has the folder `<out>/<arm>/seed<seed>`, with its YAML in `run.yaml` and its
    output in `log.txt`. A finished run of the same YAML is not run again; an interrupted run starts anew. Of arms that
    differ only in their calibration one is trained, and the others calibrate its runs. All arms are checked before the
    first run.

    Args:
        config: YAML of a run.
        arms: A YAML per arm, with the keys that the arm changes; without any the configuration is the only arm.
        seeds: Seeds that each arm is trained with.
        jobs: Runs side by side, on the device that the YAML names; with `ray`, on each GPU.
        ray: Run on a Ray cluster: its address, or True for the address in RAY_ADDRESS, else a cluster on this machine.
            Every machine has this package, and this folder, the data and `out` at the same paths.
        cpus: CPUs of a run on the cluster, 1 when left out.
        out: Folder of the runs and the results; `<stem of config>_compare` when left out.
        oracle: A data YAML with the same val and nothing removed from train. One more arm, `oracle`, trains the stock
            arm on it for as many steps, and of each arm's figures the share of the gap between stock and the oracle is
            read that the arm closes.
        say: Called with each line of progress.
        **overrides: Keys that replace those of the configuration; dotted keys reach into sections.

    Returns:
        The comparison, and the files written. Runs that failed are in `Comparison.failed`.

    Raises:
        ConfigError: With every problem of every arm; nothing was run.
        DataError: No run finished, or a disk is full.
        KeyboardInterrupt: After the running processes were ended; finished runs stay.
    """
    _check_options(seeds, jobs, ray, cpus)
    with quiet():
        found = read_arms(config, arms, overrides)
    if ray:
        _check_devices(found, config)
    stock, remarks = None, []
    if oracle is not None:
        stock = stock_of(found)
        with quiet():
            found.append(oracle_arm(oracle, found))
        remarks = fewer(found[-1], found[0])
    for line in planned(found) + remarks:
        say(line)
    folder = Path(f"{Path(config).stem}_compare" if out is None else out)
    runs = _runs(found, seeds, folder)
    unfinished = [run for run in runs if not run.finished]
    progress = RunsProgress(len(runs), len(runs) - len(unfinished), say)
    failed: dict[Run, str] = {}
    try:
        with _queue(found, jobs, ray if unfinished else False, cpus or 1, say) as submit, progress:
            for calibrated in (False, True):  # after the training that a calibration starts from
                batch = [run for run in unfinished if (run.trained is not None) == calibrated]
                failed |= execute_runs(batch, submit, progress.event)
    except (KeyboardInterrupt, DataError, OSError) as e:
        say(f"interrupted: {progress.done} of {len(runs)} runs are finished and kept; repeat the command to continue")
        if isinstance(e, OSError):
            raise ConfigError(f"--out: {folder} cannot be written ({one_line(e)})") from e
        raise
    return _results(found, runs, failed, seeds, folder, None if stock is None else (stock.name, found[-1].name))


def _check_options(seeds: Sequence[int], jobs: int, ray: bool | str, cpus: int | None) -> None:
    problems = []
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        problems.append(
            f"--seeds: expected different whole numbers from 0 on, got {', '.join(map(str, seeds)) or 'none'}"
        )
    if jobs < 1:
        problems.append(f"--jobs: expected at least 1, got {jobs}")
    if cpus is not None and (cpus < 1 or not ray):
        problems.append(f"--cpus: expected {'at least 1' if ray else 'none without --ray'}, got {cpus}")
    if problems:
        raise ConfigError(problems)


def _runs(arms: Sequence[Arm], seeds: Sequence[int], folder: Path) -> list[Run]:
    def place(arm: Arm, seed: int) -> Path:
        return folder / arm.name / f"seed{seed}"

    return [
        Run(arm.name, seed, place(arm, seed), arm.text(seed), None if trained is None else place(trained, seed))
        for seed in seeds
        for arm, trained in zip(arms, [arm.trained_as(arms) for arm in arms], strict=True)
    ]


def planned(arms: Sequence[Arm]) -> list[str]:
    """Return a line per arm: epochs, their length, optimiser steps, and differences from the first arm."""
    first, lines = arms[0], []
    for arm in arms:
        epochs, images = counted(arm.epochs, "epoch"), counted(arm.data.resolved.images_per_epoch, "image")
        line = f"{plain(arm.name)}: {epochs} of {images}, about {arm.steps:.0f} optimiser steps"
        if trained := arm.trained_as(arms):
            line = f"{plain(arm.name)}: trained as {plain(trained.name)} is, calibrated after"
        if arm is not first and (changes := arm.changes(first)):
            line += f"; {'; '.join(map(plain, changes))}"
        lines.append(line)
    off = [arm for arm in arms if abs(arm.steps / first.steps - 1) > STEP_TOLERANCE]
    return lines + [
        f"warning: {plain(arm.name)} will make {arm.steps / first.steps - 1:+.1%} of {plain(first.name)}'s steps"
        for arm in off
    ]


def _check_devices(arms: Sequence[Arm], config: str | Path) -> None:
    """Raise ConfigError for arms that name a GPU, which would replace the one that Ray gives a run."""
    if all(arm.value("device") == "cpu" for arm in arms):
        return
    given = {
        (arm.file if "device" in arm.stated else config): arm.value("device")
        for arm in arms
        if arm.value("device") not in (None, "")
    }
    if given:
        raise ConfigError(
            [
                f"{file}: device: expected none with --ray, which gives each run its GPU, or cpu in every arm, "
                f"got {shown(device)}"
                for file, device in given.items()
            ]
        )


@contextmanager
def _queue(arms: Sequence[Arm], jobs: int, ray: bool | str, cpus: int, say: Callable[[str], None]) -> Iterator[Submit]:
    """Yield the queue of this machine, or of a Ray cluster that stays connected meanwhile."""
    if not ray:
        with local_queue(jobs) as submit:
            yield submit
        return
    try:
        from yolo_balance.comparison.execution.ray_queue import connected, ray_queue, reservation
    except ImportError as e:
        raise ConfigError(f"--ray: expected Ray, which cannot be imported ({e}); pip install ray") from e
    with connected(None if ray is True else ray) as machines:
        reserved = reservation(machines, jobs, cpus, gpu=any(arm.value("device") != "cpu" for arm in arms))
        share = f"{reserved['num_gpus']:g} GPU and " if reserved["num_gpus"] else ""
        say(f"Ray: {counted(len(machines), 'machine')}; each run takes {share}{counted(cpus, 'CPU')}")
        with ray_queue(reserved) as submit:
            yield submit


def _results(
    arms: Sequence[Arm],
    runs: Sequence[Run],
    failed: Mapping[Run, str],
    seeds: Sequence[int],
    folder: Path,
    gap: tuple[str, str] | None,
) -> tuple[Comparison, list[Path]]:
    figures: dict[str, list[RunFigures]] = {arm.name: [] for arm in arms}
    missing = {run: run.failure(reason) for run, reason in failed.items()}
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
        [int(n) for n in arms[0].data.resolved.statistics.boxes],
        first=arms[0].name,
        seeds=seeds,
        changes={arm.name: arm.changes(arms[0]) for arm in arms},
        failed=list(missing.values()),
        confidence=arms[0].balance.recall.level,
        gap=gap,
    )
    table = io.StringIO()
    csv.writer(table).writerows([COLUMNS, *comparison.rows()])
    texts = {FIGURES: comparison.to_json(), ROWS: table.getvalue(), PAGE: comparison_page.render(comparison)}
    try:
        with written_together(folder) as together:
            for name, text in texts.items():
                write_whole(together / name, text)
    except OSError as e:
        raise ConfigError(f"--out: {folder} cannot be written ({one_line(e)})") from e
    return comparison, [folder / name for name in texts]
