"""`compare` as a user runs it: one experiment on tiny data, taken up again, and every mistake before the first run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.experiments import RUN, base, fails, stamps, write

from yolo_balance.cli import main, parse_seeds
from yolo_balance.comparison.resampling import resampled_recall
from yolo_balance.errors import ConfigError
from yolo_balance.integration.arms import lay_over, read
from yolo_balance.integration.oracle_arm import oracle_arm, stock_of
from yolo_balance.recall import RecallReport
from yolo_balance.run_folder.detections import Detections

__all__ = ["base", "write"]  # fixtures
RUN |= {"workers": 0, "warmup_epochs": 1.0}


def calibrated(rule, **given):
    return {**given, "balance": {"recall": {"calibration": {"rule": rule}}}}


# ---------------------------------------------------------------------------------------------------------------------
# One experiment
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def oracle(tiny_data, make_data, write):
    """A data YAML with 40 train images and the val of the tiny data."""
    train = make_data([[0], [1], [2], [2, 1], []] * 8, [[0]]).parent / "images" / "train"
    content = yaml.safe_load(tiny_data.read_text())
    (file,) = write(whole={**content, "train": str(train), "val": str(tiny_data.parent / content["val"])})
    return file


def test_an_experiment_is_run_reported_taken_up_again_and_extended(base, oracle, write, tmp_path, capsys):
    arms = write(
        stock={"balance": None}, drawn={"balance": {"sampling": {"strategy": "class_uniform", "epoch_size": 16}}}
    )
    out = tmp_path / "out"
    words = ["compare", base, "--arms", *arms, "epochs=1", "--seeds", "2", "--jobs", "2", "--out", str(out)]
    words += ["--oracle", oracle]

    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "stock: 1 epoch of 24 images, about 3 optimiser steps" in printed
    assert "drawn: 2 epochs of 16 images, about 4 optimiser steps; epochs 2 instead of 1" in printed
    assert "oracle: 1 epoch of 24 images, about 3 optimiser steps; data " in printed
    assert "warning: --oracle has fewer boxes in train than stock, of scratch 8 of " in printed
    assert "6 of 6 runs finished" in printed
    assert "drawn against stock" in printed
    assert "Share of the gap between stock and oracle that an arm closes" in printed
    names = {"stock", "drawn", "oracle"}
    assert {p.name for p in out.iterdir()} == names | {"compare.json", "compare.csv", "compare.html"}
    content = json.loads((out / "compare.json").read_text())
    assert [arm["name"] for arm in content["arms"]] == ["stock", "drawn", "oracle"]
    metrics = ["rare_recall_fa0.5", "rare_recall_fa1.0", "rare_ap50", "common_ap50", "map50_95"]
    for arm in content["arms"]:
        assert list(arm["share"]) == list(arm["share_interval"]) == metrics
    figures = [{(f["measure"], f["name"]): f["runs"] for f in arm["figures"]} for arm in content["arms"]]
    assert figures[2]["steps", ""] == figures[0]["steps", ""] == {"0": 3, "1": 3}
    assert sum(
        runs["0"]
        for (measure, name), runs in figures[2].items()
        if measure == "reached" and name in {"scratch", "pit", "crack"}
    ) == pytest.approx(1)
    assert content["budgets"] == [0.5, 1.0]
    steps = next(figure for figure in content["arms"][1]["figures"] if figure["measure"] == "steps")
    assert steps["runs"] == {"0": 4, "1": 4}
    with (out / "compare.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert {row["verdict"] for row in rows if row["arm"] == "drawn"} <= {"", "gain", "loss", "null", "too few images"}
    for folder in out.glob("*/*"):
        report = RecallReport.load(folder / "recall.json")
        read = resampled_recall(Detections.load(folder), np.ones((1, report.images), np.int64))[0]
        recalls = [[c.recall for c in budget.classes.values()] for budget in report.budgets]
        np.testing.assert_array_equal(read, np.array(recalls, float))
    assert yaml.safe_load((out / "drawn" / "seed1" / "run.yaml").read_text()) == {
        **RUN,
        "data": yaml.safe_load(Path(base).read_text())["data"],
        "epochs": 2,
        "warmup_epochs": 2.0,
        "close_mosaic": 20,
        "seed": 1,
        "balance": {
            "sampling": {"strategy": "class_uniform", "epoch_size": 16},
            "recall": {"false_alarms": [0.5, 1.0]},
        },
    }

    before, page = stamps(out), (out / "compare.html").read_text()
    assert main(words) == 0
    assert "started" not in capsys.readouterr().out
    assert stamps(out) == before
    assert json.loads((out / "compare.json").read_text())["arms"] == content["arms"]
    assert (out / "compare.html").read_text() == page

    # Another arm is calibrated on what is trained, another breaks when its optimiser is built
    more = write(prior=calibrated("logit_adjustment"), broken={"optimizer": "Nonsense", "balance": {}})
    words[words.index("--seeds") + 1] = "1,"
    words[words.index(arms[0]) : words.index(arms[1]) + 1] = [more[0], arms[0], more[1]]
    assert main(words) == 1
    printed = capsys.readouterr().out
    assert "prior: trained as stock is, calibrated after" in printed
    assert "stock, seed 1" not in printed
    assert printed.index("broken, seed 1: started") < printed.index("prior, seed 1: started")
    assert printed.count("failed: broken, seed 1: ") == 2  # as it happens, and below the table
    assert str(out / "broken" / "seed1" / "log.txt") in printed
    after = stamps(out)
    assert {path: after[path] for path in before} == before
    prior, stock, _ = json.loads((out / "compare.json").read_text())["arms"]
    assert [arm["name"] for arm in (prior, stock)] == ["prior", "stock"]
    runs = [{f["measure"]: f["runs"] for f in arm["figures"]} for arm in (prior, stock)]
    assert runs[0]["steps"] == runs[1]["steps"]
    log = (out / "prior" / "seed1" / "log.txt").read_text()
    assert "Calibration: logit_adjustment" in log
    assert "epochs completed" not in log
    weights = [out / arm / "seed1" / "weights" for arm in ("prior", "stock")]
    assert (weights[0] / "best_uncalibrated.pt").read_bytes() == (weights[1] / "best.pt").read_bytes()


# ---------------------------------------------------------------------------------------------------------------------
# Arms
# ---------------------------------------------------------------------------------------------------------------------


def test_an_arm_s_balance_is_its_method_in_full_and_what_is_read_stays():
    base = {"epochs": 5, "balance": {"sampling": {"power": 1.0}, "recall": {"iou": 0.6, "false_alarms": [1.0]}}}
    assert lay_over(base, {"imgsz": 64}) == {**base, "imgsz": 64}
    assert lay_over(base, {"balance": None})["balance"] == {"recall": {"iou": 0.6, "false_alarms": [1.0]}}
    arm = {"balance": {"losses": {"isr": {}}, "recall": {"best": "rare_recall"}}}
    assert lay_over(base, arm)["balance"] == {
        "losses": {"isr": {}},
        "recall": {"iou": 0.6, "false_alarms": [1.0], "best": "rare_recall"},
    }
    assert lay_over({"epochs": 5}, arm) == {"epochs": 5, **arm}
    assert base["balance"]["recall"] == {"iou": 0.6, "false_alarms": [1.0]}


def planned(base, files, **overrides):
    return read(base, files, overrides)


def test_without_arms_the_configuration_is_the_only_one(base):
    (arm,) = planned(base, [], epochs=3, seed=7, name="elsewhere")
    assert (arm.name, arm.value("epochs"), arm.steps) == ("base", 3, 9.0)
    assert "name" not in arm.content


@pytest.mark.parametrize(
    ("arm", "epochs", "steps"),
    [
        ({"balance": {"sampling": {"epoch_size": 0.5}}}, 20, 40),  # 2 batches of 8 for 12 images
        ({"balance": {"sampling": {"epoch_size": 2.0}}}, 6, 36),
        ({"balance": {"sampling": {"epoch_size": 2.0}}, "epochs": 10}, 10, 60),
        ({"batch": 4, "nbs": 4}, 6, 36),
        ({"nbs": 16}, 26, 39),
        ({"imgsz": 64}, 13, 39),
    ],
)
def test_epochs_follow_the_first_arm_s_steps(base, write, arm, epochs, steps):
    first, other = planned(base, write(stock={"balance": {}}, other=arm), epochs=13)
    assert (first.value("epochs"), first.steps) == (13, 39)
    assert (other.value("epochs"), other.steps) == (epochs, steps)
    if "epochs" not in arm:
        assert other.value("warmup_epochs") == pytest.approx(epochs / 13, abs=1e-3)
        assert other.value("close_mosaic") == round(10 * epochs / 13)
    else:
        assert (other.value("warmup_epochs"), other.value("close_mosaic")) == (1.0, 10)


def test_a_schedule_that_an_arm_states_stays(base, write):
    arm = {"balance": {"sampling": {"epoch_size": 2.0}}, "close_mosaic": 3, "warmup_epochs": 0}
    _, other = planned(base, write(stock={"balance": {}}, other=arm), epochs=12)
    assert [other.value(key) for key in ("epochs", "close_mosaic", "warmup_epochs")] == [6, 3, 0]


def test_arms_that_differ_in_calibration_are_trained_once(base, write):
    files = write(
        fitted=calibrated("fitted"),
        stock={"balance": None, "mosaic": 1.0},
        prior=calibrated("logit_adjustment"),
        again={"balance": {}},
        flipped=calibrated("fitted", flipud=0.5),
        flipped_prior=calibrated("logit_adjustment", flipud=0.5),
    )
    arms = planned(base, files)
    shared = {arm.name: trained.name for arm in arms if (trained := arm.trained_as(arms))}
    assert shared == {"fitted": "stock", "prior": "stock", "flipped_prior": "flipped"}


def test_what_an_arm_trains_otherwise_is_said(base, write):
    first, other = planned(base, write(stock={"balance": {}}, other={"imgsz": 64, "balance": {"losses": {}}}))
    assert other.changes(first) == ("imgsz 64 instead of 32",)
    assert first.changes(first) == ()


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes
# ---------------------------------------------------------------------------------------------------------------------


def test_every_problem_of_every_arm_is_said_at_once(base, write, tmp_path, capsys):
    good, a, b = write(
        good={"balance": {}},
        a={"epoch": 5, "seed": 1, "balance": {"losses": {"isrr": {}}}},
        b={"balance": {"sampling": {"classes": {"dent": 2.0}}}},
    )
    lines = fails(capsys, tmp_path, base, "--arms", good, a, b, str(tmp_path / "none.yaml"), "imgsz=64")
    assert lines == [
        f"{a}: seed: expected none in an arm, the comparison sets it for each run",
        f"{a}: balance.losses.isrr: unknown key, the nearest valid one is balance.losses.isr",
        f"{a}: epoch: unknown key, the nearest valid one is epochs",
        f"{b}: balance.sampling.classes.dent: the data has no class dent, its classes are scratch, pit, crack",
        f"{tmp_path / 'none.yaml'}: no such file",
    ]


def test_a_problem_of_the_configuration_is_said_once(base, write, tmp_path, capsys):
    arms = write(a={"balance": {}}, b={"balance": {}})
    assert fails(capsys, tmp_path, base, "epoch=5", "--arms", *arms) == [
        f"{base}: epoch: unknown key, the nearest valid one is epochs"
    ]


@pytest.mark.parametrize(
    ("arm", "line"),
    [
        ({"batch": -1}, "batch: expected a whole number above 0 in a comparison, got -1"),
        ({"time": 1.0}, "time: expected none in a comparison, which pairs whole runs by their steps"),
        ({"resume": True}, "resume: expected none in a comparison, which pairs whole runs by their steps"),
        ({"save": False}, "save: expected true in a comparison, which reads best.pt, got false"),
        ({"project": "here"}, "project: expected none in an arm, the comparison sets it for each run"),
        ({"balance": {"recall": {"iou": 0.7}}}, "balance.recall.iou: expected 0.5 as in stock, got 0.7"),
        ({"balance": {"recall": {"false_alarms": [2.0]}}}, "balance.recall.false_alarms: expected [0.5, 1.0] as in stock"),
        ({"split": "train"}, "expected to be validated on the images of stock, which arms are paired by; got 24 images, of 12"),
        ({"single_cls": True}, "expected the classes of stock, got item"),
        ({"balance": {"sampling": {"epoch_size": 2.0, "open": 2}}}, "balance.sampling: open 2 and close 0 leave none of 2 epochs balanced"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_arm_is_one_line(base, write, tmp_path, capsys, arm, line):
    arms = write(stock={"balance": {}}, other=arm)
    lines = fails(capsys, tmp_path, base, "--arms", *arms)
    assert len(lines) == 1
    assert lines[0].startswith(f"{arms[1]}: {line}")


@pytest.mark.parametrize(
    ("arms", "change", "line"),
    [
        ({"stock": {}}, {"names": ["scratch", "crack", "pit"]}, "{data}: expected the classes of stock, scratch, pit and crack, got scratch, crack and pit"),
        ({"stock": {}}, {"val": "train"}, "{data}: expected the val images of stock, which arms are paired by; got 40 images, of 12"),
        ({"stock": {}}, {"val": "nowhere"}, "{data} cannot be used ("),
        ({"stock": {}}, {"names": None}, "{data} cannot be used ("),
        ({"stock": {}, "Oracle": {"imgsz": 64}}, {}, "{folder}/Oracle.yaml: expected another name, oracle is that of the arm of --oracle"),
        ({"drawn": {"balance": {"sampling": {}}}, "calibrated": calibrated("fitted"), "cls_pw": {"cls_pw": 0.5}, "flip": {"flipud": 0.5}}, {}, "expected a stock arm among the arms, with `balance: {{}}` and no train argument of its own, as cfg/arms/stock.yaml is; got drawn, calibrated, cls_pw and flip"),
    ],
)  # fmt: skip
def test_an_oracle_that_does_not_fit_is_one_line(base, oracle, write, tmp_path, capsys, arms, change, line):
    content = yaml.safe_load(Path(oracle).read_text())
    (data,) = write(unfit={**content, **change, **({"val": content["train"]} if change.get("val") == "train" else {})})
    (found,) = fails(capsys, tmp_path, base, "--arms", *write(**arms), "--oracle", data)
    assert found.removeprefix("--oracle: ").startswith(line.format(data=data, folder=tmp_path))


def test_an_oracle_that_is_not_there_is_one_line(base, tmp_path, capsys):
    data = tmp_path / "none.yaml"
    (line,) = fails(capsys, tmp_path, base, "--oracle", str(data))
    assert line.startswith(f"--oracle: {data}")


def test_the_oracle_is_stock_on_other_data_for_as_many_steps(base, oracle, write):
    files = write(drawn={"balance": {"sampling": {"epoch_size": 0.5}}}, stock={"balance": None, "mosaic": 1.0})
    arms = planned(base, files, epochs=5)
    found = oracle_arm(oracle, arms)
    stock = arms[1]
    assert stock_of(arms) is stock
    assert (found.name, found.epochs, found.steps) == ("oracle", stock.epochs, stock.steps)
    assert found.data.resolved.images_per_epoch == 24
    np.testing.assert_array_equal(found.data.resolved.schedule.balanced.factors, np.ones(40))
    assert [change.split()[0] for change in found.changes(stock)] == ["data"]
    assert found.value("data") == oracle
    same = {k: v for k, v in found.content.items() if k not in ("data", "balance")}
    assert same == {k: v for k, v in stock.content.items() if k not in ("data", "balance")}
    assert found.balance.recall == stock.balance.recall


def test_an_oracle_of_as_many_images_is_stock_to_the_bit(base, write):
    arms = planned(base, write(stock={"balance": {}}))
    found = oracle_arm(arms[0].value("data"), arms)
    assert found.content == arms[0].content


def test_epochs_that_steps_shorten_are_checked_again(base, write, tmp_path, capsys):
    arms = write(stock={"balance": {}}, other={"balance": {"sampling": {"epoch_size": 2.0, "open": 3}}})
    assert fails(capsys, tmp_path, base, "epochs=6", "--arms", *arms) == [
        f"{arms[1]}: balance.sampling: open 3 and close 0 leave none of 3 epochs balanced"
    ]


def test_arms_of_one_name_are_refused(base, write, tmp_path, capsys):
    (one,) = write(arm={"balance": {}})
    (tmp_path / "more").mkdir()
    other = tmp_path / "more" / "Arm.yaml"
    other.write_text("imgsz: 64\n")
    assert fails(capsys, tmp_path, base, "--arms", one, str(other)) == [
        f"{other}: expected arms of different names, Arm is already that of {one}"
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seeds", "five"], "--seeds: expected a number of seeds or a list such as 0,3,7, got five"),
        (["--seeds", "0"], "--seeds: expected different whole numbers from 0 on, got none"),
        (["--seeds", "1,1"], "--seeds: expected different whole numbers from 0 on, got 1, 1"),
        (["--jobs", "0"], "--jobs: expected at least 1, got 0"),
        (["--cpus", "2"], "--cpus: expected none without --ray, got 2"),
        (["--cpus", "0", "--ray"], "--cpus: expected at least 1, got 0"),
    ],
)
def test_a_mistake_in_an_option_is_one_line(base, tmp_path, capsys, words, line):
    assert fails(capsys, tmp_path, base, *words) == [line]


def test_a_folder_that_cannot_be_written_is_one_line(base, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["compare", base, "--out", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith(f"error: --out: {tmp_path / 'file'} cannot be written")


def test_seeds_are_a_number_or_a_list():
    assert [parse_seeds(text) for text in ("3", "0,3,7", "7,")] == [[0, 1, 2], [0, 3, 7], [7]]
    with pytest.raises(ConfigError):
        parse_seeds("1,x")
