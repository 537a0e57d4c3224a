"""Laws of `thresholds.yaml`: what is written loads to the same floats, and a bad file is told line by line."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from helpers.outcomes import pooled

from yolo_balance import RecallReport
from yolo_balance.errors import ConfigError
from yolo_balance.ranges import NEVER
from yolo_balance.recall import Thresholds
from yolo_balance.recall.class_thresholds import ROOM
from yolo_balance.recall.decisions.thresholds import BudgetThresholds, ZoneBudgets

NAMES = ("scratch", "裂缝", "1", "on", "a: b #c", "=x")


def made(budgets, **more):
    """Thresholds from {budget: {class: confidence}}."""
    return Thresholds(
        **{"split": "val", "iou": 0.5, "images": 20, "clean_images": 9, **more},
        zones=ZoneBudgets(review=max(budgets), reject=min(budgets)),
        budgets=[
            BudgetThresholds(false_alarms=b, threshold=max(classes.values()), classes=classes)
            for b, classes in budgets.items()
        ],
    )


def report(seed=0, false_alarms=(0.1, 1.0), confidence=None):
    """Of 20 images with three boxes each, every second one clean."""
    rng = np.random.default_rng(seed)
    score = rng.random((20, 3)).astype(np.float32) if confidence is None else np.full((20, 3), confidence, np.float32)
    outcomes = pooled(
        hit=[[i % 2 == 1, False, False] for i in range(20)],
        confidence=score,
        predicted=[[0, 1, 2]] * 20,
        objects=[[0] if i % 2 else [] for i in range(20)],
        num_classes=3,
    )
    return RecallReport.of(outcomes, NAMES[:3], false_alarms=false_alarms), score


def test_what_is_saved_loads_to_the_same_floats(tmp_path):
    rng = np.random.default_rng(0)
    for scale in (1.0, 1e-3, 1e-5, 1e-8):
        values = np.nextafter((rng.random((2, len(NAMES))) * scale).astype(np.float32), np.float32(np.inf))
        saved = made(
            {b: dict(zip(NAMES, map(float, row), strict=True)) for b, row in zip((0.1, 1.0), values, strict=True)}
        )
        saved.save(tmp_path / "t.yaml")
        assert Thresholds.load(tmp_path / "t.yaml") == saved
        assert list(Thresholds.load(tmp_path / "t.yaml").review) == list(NAMES)


@pytest.mark.parametrize("seed", range(10))
def test_a_false_box_that_the_budget_excludes_stays_excluded_after_saving(seed, tmp_path):
    told, score = report(seed)
    Thresholds.of(told).save(tmp_path / "t.yaml")
    loaded = Thresholds.load(tmp_path / "t.yaml")
    false = score[::2]  # of ten clean images, a column per class
    for budget, allowed in zip(loaded.budgets, (1, 10), strict=True):
        assert (false.astype(np.float64) >= list(budget.classes.values())).sum() <= allowed
        for threshold in budget.classes.values():
            below = false[false < threshold]
            assert threshold == 0 or threshold - below.max() <= ROOM + 1e-7  # lower, and a false box more would count


def test_where_false_boxes_are_certain_nothing_counts(tmp_path):
    told, _ = report(false_alarms=(0.1,), confidence=1.0)
    Thresholds.of(told).save(tmp_path / "t.yaml")
    loaded = Thresholds.load(tmp_path / "t.yaml")
    assert set(loaded.reject.values()) == {NEVER}
    assert loaded.zone(["scratch"], [1.0]) == "pass"


def test_the_loosest_budget_has_a_part_reviewed_and_the_strictest_rejects_it():
    told, _ = report(false_alarms=(0.5, 0.1, 1.0, 0.1))
    thresholds = Thresholds.of(told)
    assert (thresholds.zones.review, thresholds.zones.reject) == (1.0, 0.1)
    assert [b.false_alarms for b in thresholds.budgets] == [0.5, 0.1, 1.0]
    at = {b.false_alarms: b.per_class.classes["scratch"].threshold for b in told.budgets}
    assert (thresholds.review["scratch"], thresholds.reject["scratch"]) == (at[1.0], at[0.1])


def test_with_one_budget_nothing_is_reviewed():
    thresholds = made({0.1: {"a": 0.5}})
    assert [thresholds.zone(["a"], [c]) for c in (0.49, 0.5, 0.9)] == ["pass", "reject", "reject"]


@pytest.mark.parametrize("seed", range(10))
def test_the_zone_is_that_of_the_worst_box(seed):
    rng = np.random.default_rng(seed)
    budgets = {b: dict(zip("abc", (rng.integers(1, 9, 3) / 8).tolist(), strict=True)) for b in (1.0, 0.1)}
    thresholds = made(budgets)
    order = ["pass", "review", "reject"]
    for n in (0, 1, 1, 4):
        classes, confidence = rng.choice(list("abc"), n).tolist(), rng.integers(1, 9, n) / 8
        worst = 0
        for name, score in zip(classes, confidence, strict=True):
            both = budgets[1.0][name], budgets[0.1][name]  # they may cross
            worst = max(worst, 2 if score >= max(both) else 1 if score >= min(both) else 0)
        assert thresholds.zone(classes, confidence) == order[worst]
    assert all(thresholds.review[c] <= thresholds.reject[c] for c in "abc")


def test_the_head_says_what_was_measured(tmp_path):
    made({0.1: {"a": 0.5}}, split="test\n- evil: 1").save(tmp_path / "t.yaml")
    text = (tmp_path / "t.yaml").read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert "false boxes per clean image, on 9 clean of 20 images" in " ".join(head)
    assert text.index("schema: 1") > text.index(head[-1])
    assert Thresholds.load(tmp_path / "t.yaml").split == "test\n- evil: 1"
    made({0.1: {"a": 0.5}}, clean_images=0).save(tmp_path / "t.yaml")
    assert "no clean image, so false boxes per image, on 20 images" in (tmp_path / "t.yaml").read_text()


def good():
    return {
        **{"schema": 1, "split": "val", "iou": 0.5, "images": 20, "clean_images": 9},
        "zones": {"review": 1.0, "reject": 0.1},
        "budgets": [
            {"false_alarms": 0.1, "threshold": 0.5, "classes": {"a": 0.5, "b": 0.6}},
            {"false_alarms": 1, "threshold": 0.2, "classes": {"a": 0.1, "b": 0.3}},
        ],
    }


def problems(tmp_path, content):
    file = tmp_path / "t.yaml"
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as e:
        Thresholds.load(file)
    assert all(line.startswith(f"{file}: ") for line in e.value.problems)
    return [line.removeprefix(f"{file}: ") for line in e.value.problems]


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        ("schema", 2, ["schema: expected 1, got 2"]),
        ("schema", True, ["schema: expected 1, got true"]),
        ("schema", None, ["schema: expected 1, got null"]),
        ("split", 3, ["split: expected a valid string, got 3"]),
        ("imags", 3, ["imags: unknown key, the nearest valid one is images"]),
        ("budgets", [], ["budgets: expected at least one item, got []"]),
        ("budgets.1.threshold", 1.01, ["budgets.1.threshold: expected a confidence in [0, 1], got 1.01"]),
        ("budgets.1.classes.b", -0.1, ["budgets.1.classes.b: expected a confidence in [0, 1], got -0.1"]),
        ("budgets.1.classes.b", "half", ["budgets.1.classes.b: expected a valid number, got half"]),
        ("budgets.1.classes.b", float("nan"), ["budgets.1.classes.b: expected a finite number, got .nan"]),
        ("budgets.0.clases", {}, ["budgets.0.clases: unknown key, the nearest valid one is budgets.0.classes"]),
        ("budgets.1.classes.c", 0.2, ["budgets.1.classes.c: unknown class, those of budgets.0 are a and b"]),
        ("budgets.1.classes", {"a": 0.1}, ["budgets.1.classes.b: missing, expected the classes of budgets.0: a and b"]),
        ("budgets.1.false_alarms", 0.1, ["budgets.1.false_alarms: expected each budget once, got 0.1 again", "zones.review: expected one of the budgets 0.1, 0.1, got 1"]),
        ("clean_images", 21, ["clean_images: expected at most images, 20, got 21"]),
        ("budgets.1.classes.b", True, ["budgets.1.classes.b: expected a valid number, got true"]),
        ("budgets.1.classes.b", 10**400, ["budgets.1.classes.b: expected a valid number, got 1" + "0" * 56 + "..."]),
        ("budgets.1.classes", {"a": 0.1, "b": 0.3, "c\n[red]": 0.1}, ["budgets.1.classes.'c [red]': unknown class, those of budgets.0 are a and b"]),
        ("zones.review", 2.0, ["zones.review: expected one of the budgets 0.1, 1, got 2"]),
        ("zones", {"review": 0.1, "reject": 1.0}, ["zones.review: expected a budget no stricter than zones.reject, 1, got 0.1"]),
        ("zones.pass", 2.0, ["zones.pass: unknown key, the nearest valid one is zones.review"]),
    ],
)  # fmt: skip
def test_each_problem_of_a_file_is_a_line(tmp_path, path, value, lines):
    content = good()
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(content))
    Thresholds.load(tmp_path / "t.yaml")
    node = content
    *parents, last = path.split(".")
    for key in parents:
        node = node[int(key) if isinstance(node, list) else key]
    node[last] = value
    assert problems(tmp_path, content) == lines


def test_problems_are_told_together(tmp_path):
    content = good()
    del content["iou"], content["zones"]["reject"]
    content["budgets"][0]["threshold"] = 7.0
    assert problems(tmp_path, content) == [
        "iou: missing, expected a value",
        "zones.reject: missing, expected a value",
        "budgets.0.threshold: expected a confidence in [0, 1], got 7.0",
    ]


def test_a_file_that_is_not_there_is_a_line(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        Thresholds.load(tmp_path / "none.yaml")


def test_saving_over_a_file_leaves_it_whole_where_that_fails(tmp_path):
    (tmp_path / "t.yaml").mkdir()
    with pytest.raises(OSError, match=r"t\.yaml"):
        made({0.1: {"a": 0.5}}).save(tmp_path / "t.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["t.yaml"]
