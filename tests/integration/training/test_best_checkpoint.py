"""Whole runs that keep best.pt by recall: what it holds, what is kept beside, when they stop, and what resumes."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from helpers.checkpoints import state_dict
from helpers.training import Interrupted, rows, run
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER

from yolo_balance import BalancedClassificationTrainer, BalancedDetectionTrainer, RecallReport, train
from yolo_balance.config import RecallConfig
from yolo_balance.errors import ConfigError
from yolo_balance.integration.compat import mix_in
from yolo_balance.integration.training.best_checkpoint import RunSelection, rule_of
from yolo_balance.recall.decisions.selection import composite
from yolo_balance.run_folder.names import STATE
from yolo_balance.sampling import ClassStatistics

READ = {"worst_class_recall": ("scratch", "pit", "crack"), "rare_recall": ("crack",)}
FINDS = {"lr0": 0.01, "optimizer": "AdamW", "conf": 1e-4, "mosaic": 0.0, "imgsz": 64}  # a few epochs find something


def balance(best, **options):
    return {"recall": {"false_alarms": [5.0], "best": best, **options}}


@pytest.fixture(scope="module")
def found_data(make_data):
    """Large boxes, which a few epochs learn: 30, 14 and 6 in train, 8, 8 and 6 in val, some clean images in both."""
    return make_data([[0]] * 30 + [[1]] * 14 + [[2]] * 6 + [[]] * 10, [[0, 1]] * 8 + [[2]] * 6 + [[]] * 6, box=0.4)


@pytest.fixture
def said():
    """Lines the run prints, whatever level Ultralytics' logger has."""
    lines = []
    LOGGER.addFilter(note := lambda record: lines.append(record.getMessage()) or True)
    yield lines
    LOGGER.removeFilter(note)


def scores(folder, best, fitness=None):
    """Per epoch the score by the files that a run leaves; fitness is mAP50-95 unless given."""
    fitness = fitness or [float(row["metrics/mAP50-95(B)"]) for row in rows(folder)]
    low = {}
    for row in rows(folder, "recall.csv"):
        if row["class"] in READ[best] and row["budget"] == "5":
            low.setdefault(int(row["epoch"]), []).append(float(row["low"]))
    figure = min if best == "worst_class_recall" else lambda bounds: sum(bounds) / len(bounds)
    return {epoch: composite(figure(low[epoch]), fitness[epoch - 1], meets=True) for epoch in low}


def last_best(values):
    """Of equal ones the last, as Ultralytics keeps them."""
    return max(values, key=lambda epoch: (values[epoch], epoch))


def same_weights(folder, name, epoch):
    """Whether a checkpoint holds an epoch, by what `save_period: 1` leaves of each, numbered from 0."""
    return torch.equal(state_dict(folder / "weights" / name), state_dict(folder / "weights" / f"epoch{epoch - 1}.pt"))


class Scripted:
    """A validator of a user's with a fitness and an mAP50-95 of its own."""

    def get_stats(self):
        stats = super().get_stats()
        if not self.script:
            return stats
        fitness, map50_95 = self.script.pop(0)
        return {**stats, "fitness": fitness, "metrics/mAP50-95(B)": map50_95}


def scripted(fitness, map50_95=None):
    """A user's trainer that validates so; the values come in turn."""
    script = list(zip(fitness, map50_95 or fitness, strict=True))

    class ScriptedTrainer(DetectionTrainer):
        def get_validator(self):
            validator = super().get_validator()
            mix_in(validator, Scripted, script=list(script))
            return validator

    return ScriptedTrainer


@pytest.fixture(scope="module")
def runs(found_data, tmp_path_factory):
    """The same run by either rule and stock, each epoch kept."""
    folder = tmp_path_factory.mktemp("selection")
    run(found_data, folder, "first", way="stock", epochs=1)  # 8.4.0's first run of a process draws other numbers
    run(found_data, folder, "stock", way="stock", epochs=8, **FINDS)
    for best in READ:
        run(found_data, folder, best, way="class", balance=balance(best), epochs=8, save_period=1, **FINDS)
    return folder


@pytest.mark.parametrize("best", READ)
def test_best_pt_is_the_epoch_that_the_files_say(runs, best):
    folder = runs / best
    expected = last_best(scores(folder, best))
    assert same_weights(folder, "best.pt", expected)
    report = RecallReport.load(folder / "recall.json")  # of best.pt
    hits = {r["class"]: r["hits"] for r in rows(folder, "recall.csv") if r["epoch"] == str(expected)}
    assert {name: str(c.hits) for name, c in report.budgets[0].classes.items()} == hits


@pytest.mark.parametrize("best", READ)
def test_best_fitness_pt_is_stocks_best_pt(runs, best):
    assert torch.equal(
        state_dict(runs / best / "weights" / "best_fitness.pt"), state_dict(runs / "stock" / "weights" / "best.pt")
    )
    kept = {file: torch.load(runs / best / "weights" / file, weights_only=False) for file in ("best.pt", "last.pt")}
    beside = torch.load(runs / best / "weights" / "best_fitness.pt", weights_only=False)
    assert beside["optimizer"] is None
    assert beside["epoch"] == -1
    assert beside.keys() == kept["best.pt"].keys()
    assert beside["train_results"] == kept["best.pt"]["train_results"] == kept["last.pt"]["train_results"]


def test_the_runs_train_as_stock_does(runs):
    for best in READ:
        assert torch.equal(
            state_dict(runs / best / "weights" / "last.pt"), state_dict(runs / "stock" / "weights" / "last.pt")
        )
    assert {file.name for file in (runs / "stock" / "weights").iterdir()} == {"best.pt", "last.pt"}


def test_best_fitness_pt_predicts_where_the_package_cannot_be_imported(runs, tmp_path):
    import subprocess
    import sys

    script = f"""
import sys
sys.modules["yolo_balance"] = None
import numpy as np
from ultralytics import YOLO
model = YOLO({str(runs / "rare_recall" / "weights" / "best_fitness.pt")!r})
print(len(model.predict(np.zeros((32, 32, 3), np.uint8), imgsz=32, verbose=False, save=False)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split()[-1:] == ["1"], done.stderr


@pytest.mark.parametrize("way", ["class", "attach"])
def test_off_leaves_no_file(tiny_data, tmp_path, way):
    run(tiny_data, tmp_path, way, way=way, balance={"recall": {"best": "fitness"}}, epochs=1)
    assert {file.name for file in (tmp_path / way / "weights").iterdir()} == {"best.pt", "last.pt", STATE}


def test_early_stopping_follows_the_rule(found_data, tmp_path):
    """Fitness falls from the first epoch on; the fourth alone meets the floor."""
    falling, met = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], [0.1, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1, 0.1]
    options = {"epochs": 8, "patience": 3, "save_period": 1, **FINDS}
    run(found_data, tmp_path, "stock", way="stock", trainer=scripted(falling, met), **options)
    assert len(rows(tmp_path / "stock")) == 4
    rule = balance("worst_class_recall", floors={"map50_95": 0.3})
    run(found_data, tmp_path, "rule", way="attach", balance=rule, trainer=scripted(falling, met), **options)
    folder = tmp_path / "rule"
    assert len(rows(folder)) == 7
    assert same_weights(folder, "best.pt", 4)
    assert same_weights(folder, "best_fitness.pt", 1)


def test_an_epoch_below_the_floor_is_best_only_until_one_meets_it(found_data, tmp_path, said):
    """All miss the floor until the third, the fourth again: fitness decides among those."""
    fitness, map50_95 = [0.1, 0.3, 0.2, 0.9], [0.2, 0.2, 0.6, 0.2]
    rule = balance("rare_recall", floors={"map50_95": 0.5})
    options = {"way": "attach", "epochs": 4, "save_period": 1, **FINDS}
    run(found_data, tmp_path, "run", balance=rule, trainer=scripted(fitness, map50_95), **options)
    assert same_weights(tmp_path / "run", "best.pt", 3)
    assert same_weights(tmp_path / "run", "best_fitness.pt", 4)
    lines = [line for line in said if line.startswith("best.pt: ")]
    assert [line.split(",")[0] for line in lines] == [f"best.pt: epoch {epoch}" for epoch in (1, 2, 3, 3)]
    missed = ", floors missed: mAP50-95 0.2000 under 0.5"
    assert [line.endswith(missed) for line in lines] == [True, True, False, False]
    assert lines[-1].endswith("; best_fitness.pt: epoch 4, fitness 0.90000")


def test_weights_choose_the_epoch_that_their_sum_restated_from_the_files_chooses(found_data, tmp_path, said):
    """Two figures that disagree: the third epoch has the best mAP, whatever is found."""
    weights, map50_95 = {"worst_class_recall": 1, "map50_95": 9}, [0.1, 0.2, 0.6, 0.3]
    options = {"way": "attach", "epochs": 4, "save_period": 1, **FINDS}
    trainer = scripted([0.4, 0.3, 0.2, 0.1], map50_95)
    run(found_data, tmp_path, "run", balance=balance(weights), trainer=trainer, **options)
    low: dict[int, list[float]] = {}
    for row in rows(tmp_path / "run", "recall.csv"):
        low.setdefault(int(row["epoch"]), []).append(float(row["low"]))
    figures = [(min(low[e]) + 9 * map50_95[e - 1]) / 10 for e in (1, 2, 3, 4)]
    assert max(figures) == figures[2]
    assert same_weights(tmp_path / "run", "best.pt", 3)
    assert same_weights(tmp_path / "run", "best_fitness.pt", 1)
    last = [line for line in said if line.startswith("best.pt: ")][-1]
    assert last.startswith(f"best.pt: epoch 3, 1 worst_class_recall + 9 map50_95 is {figures[2]:.3f} (lowest: ")


def test_one_line_per_new_best_and_one_at_the_end(found_data, tmp_path, said):
    run(found_data, tmp_path, "said", way="attach", balance=balance("worst_class_recall"), epochs=4, **FINDS)
    folder = tmp_path / "said"
    values, expected = scores(folder, "worst_class_recall"), []
    for epoch, value in values.items():
        if value == max(list(values.values())[:epoch]):
            expected.append(epoch)
    lines = [line for line in said if line.startswith("best.pt: ")]
    assert [int(line.split()[2].rstrip(",")) for line in lines] == [*expected, expected[-1]]
    of = {r["class"]: r for r in rows(folder, "recall.csv") if r["epoch"] == str(expected[-1])}
    lowest = min(of, key=lambda name: float(of[name]["low"]))
    low, hits, n = (of[lowest][key] for key in ("low", "hits", "n"))
    assert lines[-1].startswith(
        f"best.pt: epoch {expected[-1]}, worst_class_recall at least {float(low):.3f} "
        f"(lowest: {lowest}, {hits} of {n} found); best_fitness.pt: epoch "
    )


SCRIPT = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5]


def cut(trainer):
    if trainer.epoch == 3:
        raise Interrupted


def interrupted(data, folder, rule, name="run"):
    options = {"way": "attach", "epochs": 6, "save_period": 1, **FINDS}
    hook = {"on_train_epoch_start": cut}
    with pytest.raises(Interrupted):
        run(data, folder, name, balance=rule, callbacks=hook, trainer=scripted(SCRIPT), **options)
    return {**options, "model": str(folder / name / "weights" / "last.pt"), "resume": True}


def test_resume_keeps_both(found_data, tmp_path):
    rule = balance("worst_class_recall")
    options = interrupted(found_data, tmp_path, rule)
    folder, seen = tmp_path / "run", {}
    before = json.loads((folder / "weights" / STATE).read_text())["selection"]
    assert (before["fitness"], before["fitness_epoch"]) == (0.9, 2)
    hook = {"on_train_start": lambda t: seen.update(best=t.best_fitness, restored=t.selection.state()["selection"])}
    run(found_data, tmp_path, "run", balance=rule, callbacks=hook, trainer=scripted(SCRIPT[3:]), **options)
    assert json.loads(json.dumps(seen["restored"])) == before
    assert seen["best"] == before["best"]["value"]
    values = scores(folder, "worst_class_recall", SCRIPT)
    assert len(values) == 6
    assert same_weights(folder, "best.pt", last_best(values))
    assert same_weights(folder, "best_fitness.pt", 2)


def test_resume_by_another_rule_is_refused(found_data, tmp_path):
    options = interrupted(found_data, tmp_path, balance("worst_class_recall"))
    before = {file: file.read_bytes() for file in (tmp_path / "run" / "weights").iterdir()}
    expected = r"balance\.recall\.best: expected worst_class_recall at 5 false boxes, IoU 0.5, 0.95 intervals, by which"
    for other in (balance("rare_recall"), balance("fitness"), balance("worst_class_recall", iou=0.75)):
        with pytest.raises(ConfigError, match=expected) as caught:
            run(found_data, tmp_path, "run", balance=other, **options)
        assert "\n" not in str(caught.value)
    assert {file: file.read_bytes() for file in (tmp_path / "run" / "weights").iterdir()} == before


def test_a_run_by_fitness_does_not_resume_by_recall(found_data, tmp_path):
    options = interrupted(found_data, tmp_path, {})
    with pytest.raises(ConfigError, match=r"balance\.recall\.best: expected fitness, by which the run to resume kept"):
        run(found_data, tmp_path, "run", balance=balance("rare_recall"), **options)


def test_resume_without_the_state_says_so_and_keeps_best_pt(found_data, tmp_path, said):
    rule, seen = balance("worst_class_recall"), {}
    options = interrupted(found_data, tmp_path, rule)
    file = tmp_path / "run" / "weights" / STATE
    best = json.loads(file.read_text())["selection"]["best"]["value"]
    file.write_text("{")

    def look(trainer):
        seen.update(best=trainer.best_fitness, stock=trainer.selection.fitness)
        raise Interrupted

    with pytest.raises(Interrupted):
        run(found_data, tmp_path, "run", balance=rule, callbacks={"on_train_start": look}, **options)
    assert any(f"{file}: expected" in line and "these start anew: selection" in line for line in said)
    assert seen == {"best": best, "stock": None}


def test_a_fresh_run_in_the_same_folder_starts_clean(found_data, tmp_path):
    options = {"way": "attach", "epochs": 1, "exist_ok": True, **FINDS}
    run(found_data, tmp_path, "run", balance=balance("rare_recall"), **options)
    assert (tmp_path / "run" / "weights" / "best_fitness.pt").exists()
    run(found_data, tmp_path, "run", balance={}, **options)
    assert {file.name for file in (tmp_path / "run" / "weights").iterdir()} == {"best.pt", "last.pt", STATE}


@pytest.mark.parametrize("bad", [math.nan, 0.95])
def test_an_epoch_that_ultralytics_takes_back_is_taken_back_here(found_data, tmp_path, bad):
    """After a loss that is no number some releases go back to the last checkpoint, others with the fitness only."""
    script = [0.5, bad, 0.6, 0.3, 0.2]

    def spoil(trainer):
        if trainer.epoch == 1 and not trainer.nan_recovery_attempts:
            trainer.loss = trainer.loss * float("nan")

    options = {"epochs": 4, "callbacks": {"on_train_epoch_end": spoil}, **FINDS}
    run(found_data, tmp_path, "stock", way="stock", trainer=scripted(script), **options)
    rule = balance("rare_recall")
    run(found_data, tmp_path, "rule", way="attach", balance=rule, trainer=scripted(script), save_period=1, **options)
    folder = tmp_path / "rule"
    assert [r["epoch"] for r in rows(folder)] == [r["epoch"] for r in rows(tmp_path / "stock")]
    assert torch.equal(
        state_dict(folder / "weights" / "best_fitness.pt"), state_dict(tmp_path / "stock" / "weights" / "best.pt")
    )


def test_a_process_that_gathers_nothing_has_no_score():
    statistics = ClassStatistics.of([[0], [0, 1], []], 2)
    selection = RunSelection(rule_of(RecallConfig(best="worst_class_recall"), ["a", "b"], statistics, statistics))
    trainer = SimpleNamespace(best_fitness=None)
    assert selection.validate(trainer, lambda: (None, None)) == (None, None)
    assert trainer.best_fitness is None
    assert selection.fitness is None


@pytest.mark.parametrize("way", ["train", "class", "attach"])
@pytest.mark.parametrize(
    ("options", "more", "lines"),
    [
        (
            {"best": "worst_class_recall"},
            {"val": False, "save": False},
            [
                "balance.recall.best: expected val: true, which worst_class_recall follows, got false",
                "balance.recall.best: expected save: true, or there is no best.pt to choose, got false",
            ],
        ),
        (
            {"best": "rare_recall"},
            {},
            ["balance.recall.best: rare_recall needs objects of a rare class in val, without: crack"],
        ),
    ],
)
def test_what_a_rule_cannot_work_with_is_refused_before_the_first_epoch(tiny_data, tmp_path, way, options, more, lines):
    content = {"recall": options}
    arguments = {"data": str(tiny_data), "project": str(tmp_path), "epochs": 1, "imgsz": 32, "device": "cpu", **more}
    ways = {
        "train": lambda: train({"model": "yolo11n.yaml", **arguments, "balance": content}),
        "class": lambda: run(tiny_data, tmp_path, "run", way="class", balance=content, **more),
        "attach": lambda: run(tiny_data, tmp_path, "run", way="attach", balance=content, **more),
    }
    with pytest.raises(ConfigError) as caught:
        ways[way]()
    assert caught.value.problems == lines
    assert way != "train" or not list(tmp_path.iterdir())
    assert not list(tmp_path.rglob("*.pt"))


def test_image_folders_have_no_recall_to_choose_by(tmp_path):
    import cv2
    import numpy as np

    for split in ("train", "val"):
        for name in ("good", "pit"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(2):
                cv2.imwrite(str(tmp_path / "data" / split / name / f"{i}.png"), np.zeros((32, 32, 3), np.uint8))
    trainer = BalancedClassificationTrainer.configured({"recall": {"best": "rare_recall"}})
    with pytest.raises(ConfigError, match=r"^balance\.recall\.best: not for task classify$"):
        YOLO("yolo11n-cls.yaml").train(
            trainer=trainer,
            **{"data": str(tmp_path / "data"), "project": str(tmp_path), "epochs": 1, "imgsz": 32, "device": "cpu"},
        )


def test_a_rule_travels_with_the_class():
    assert BalancedDetectionTrainer.configured(balance("rare_recall")).asked.recall.best == "rare_recall"
