"""Laws of the analysis: its measures against slow restatements, its page and its suggestion on hostile data."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from yolo_balance import BalanceConfig
from yolo_balance.analysis.analysis import DataAnalysis
from yolo_balance.analysis.duplicates import BLOCK, Copy, Duplicates, find_duplicates
from yolo_balance.analysis.findings import MEASURED_COST
from yolo_balance.analysis.imbalance import co_occurrence, effective_classes, gini, imbalance_ratio, most_in_one_image
from yolo_balance.analysis.split import Labels
from yolo_balance.analysis.suggest import suggest
from yolo_balance.analysis.val_needs import Need
from yolo_balance.errors import DataError
from yolo_balance.recall import interval
from yolo_balance.recall.evidence.needs import boxes_for_half_width, boxes_for_verdict, boxes_to_show
from yolo_balance.recipe import MOST_APPEARANCES, fill
from yolo_balance.sampling import ClassStatistics, SamplingSchedule
from yolo_balance.text import counted, listed, percent, plain
from yolo_balance.views.analysis import analysis_page
from yolo_balance.views.analysis.analysis_console import render

HOSTILE = (
    "<script>alert(1)</script>",
    "$x_1^{$",
    "=cmd|' /C calc'!A0",
    "two\nlines: [x",
    "\x1b[31mred",
    "日本",
    "a" * 90,
)


def random_images(seed, images=60, classes=5):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, classes, rng.integers(0, 4)) for _ in range(images)]


def labels(split, images, num_classes, *, size=0.25, shape=(480, 640), ignored=0):
    """Boxes of one size in images that do not exist as files."""
    statistics = ClassStatistics.of(images, num_classes)
    m = len(statistics.classes)
    files = [f"/nowhere/{split}/{i}.png" for i in range(len(images))]
    return Labels(split, statistics, files, np.full((m, 2), size), np.tile(shape, (len(images), 1)), ignored=ignored)


def analysis(train, val=None, names=("a", "b", "c"), **options):
    parts = [labels("train", train, len(names))]
    if val is not None:
        parts.append(labels("val", val, len(names)))
    return DataAnalysis.of(parts, names, data="data.yaml", **options)


def suggestion(result, train, num_classes=3, run=None, asked=None, **options):
    part = labels("train", train, num_classes, **options)
    origins = dict.fromkeys(run or {}, "as given")
    asked = BalanceConfig.load(asked)
    return suggest(result, part, data="data.yaml", run=run or {}, origins=origins, epochs=100, asked=asked)


# Measures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("c", [1, 2, 7])
def test_equal_classes_are_balanced_in_every_measure(c):
    counts = np.full(c, 13)
    assert gini(counts) == pytest.approx(0)
    assert effective_classes(counts) == pytest.approx(c)
    assert imbalance_ratio(counts) == 1


def test_one_class_alone_is_one_effective_class():
    assert effective_classes([0, 40, 0]) == pytest.approx(1)
    assert gini([0, 40, 0]) == 0


def test_gini_is_half_the_mean_difference_over_the_mean():
    x = np.random.default_rng(0).integers(1, 500, 9)
    differences = [abs(a - b) for a, b in itertools.product(x.tolist(), repeat=2)]
    assert gini(x) == pytest.approx(np.mean(differences) / (2 * x.mean()))


def test_effective_classes_is_the_product_form_of_the_entropy():
    x = np.array([400, 200, 60, 4])
    p = x / x.sum()
    assert effective_classes(x) == pytest.approx(1 / math.prod(q**q for q in p))


def test_measures_do_not_depend_on_order_or_on_scale():
    x = np.array([3, 9, 1, 40])
    for measure in (gini, effective_classes, imbalance_ratio):
        assert measure(x) == pytest.approx(measure(x[::-1] * 7))


def test_absent_classes_are_left_to_their_names():
    for measure in (gini, effective_classes, imbalance_ratio):
        assert measure([5, 0, 20]) == measure([5, 20])
        assert measure([0, 0]) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_co_occurrence_counts_images_with_both_classes(seed):
    images = random_images(seed)
    statistics = ClassStatistics.of(images, 6)
    together = co_occurrence(statistics)
    for a, b in itertools.product(range(6), repeat=2):
        assert together[a, b] == sum(a in image and b in image for image in images)
    np.testing.assert_array_equal(np.diag(together), statistics.images)


def test_the_most_boxes_of_one_image_are_counted():
    images = [[0, 0, 1], [0], [1, 1, 1, 0, 0, 0], []]
    most, where = most_in_one_image(ClassStatistics.of(images, 3))
    assert most.tolist() == [3, 3, 0]
    assert where.tolist() == [2, 2, -1]


# What val can show ---------------------------------------------------------------------------------------------------


def test_29_are_needed_to_show_a_recall_of_nine_tenths():
    assert boxes_to_show() == 29
    assert 0.9**29 < 0.05 < 0.9**28
    assert boxes_to_show(0.95) == next(n for n in range(1, 99) if 0.95**n < 0.05)


def test_the_interval_is_narrow_enough_from_there_on_and_not_one_before():
    n = boxes_for_half_width()

    def half(n):
        low, high = interval(math.floor(0.9 * n + 1e-9), n)
        return (high - low) / 2

    assert half(n - 1) > 0.1
    assert all(half(m) <= 0.1 for m in range(n, 400))


def test_the_verdict_takes_all_of_36():
    n = boxes_for_verdict()
    assert interval(n, n, method="exact")[0] >= 0.9 > interval(n - 1, n - 1, method="exact")[0]
    assert n == 36


def test_needs_end_where_there_is_enough():
    assert Need.of(boxes_for_half_width()).more_for_interval == 0
    assert Need.of(28).more_to_show == 1
    nothing = Need.of(0)
    assert (nothing.low, nothing.high, nothing.more_to_show) == (0, 1, 29)


# Figures of a split --------------------------------------------------------------------------------------------------


def test_figures_agree_with_counting_by_hand():
    images = random_images(3)
    figures = analysis(images, names=tuple("abcdefg")).splits["train"]
    assert figures.images == 60
    assert figures.background == sum(len(image) == 0 for image in images)
    assert figures.absent == ("f", "g")
    for c, name in enumerate("abcdefg"):
        here = figures.classes[name]
        assert here.boxes == sum(int((image == c).sum()) for image in images)
        assert here.images == sum(c in image for image in images)
        assert here.most_in_one_image == max(int((image == c).sum()) for image in images)
        assert (here.that_image is None) == (here.sizes is None) == (here.boxes == 0)
    for a, b, n in figures.together:
        x, y = "abcdefg".index(a), "abcdefg".index(b)
        assert x < y
        assert n == sum(x in image and y in image for image in images) > 0


def test_sizes_are_square_roots_of_areas_scaled_by_the_longer_side():
    part = labels("train", [[0]], 1, size=0.1, shape=(300, 1200))
    figures = DataAnalysis.of([part], ["a"], data="d", imgsz=640).splits["train"].classes["a"]
    assert figures.sizes.pixels.median == pytest.approx(math.sqrt(30 * 120))
    assert figures.sizes.relative.median == pytest.approx(0.1)
    assert figures.sizes.network.median == pytest.approx(math.sqrt(30 * 120) * 640 / 1200)
    assert (figures.sizes.small, figures.sizes.tiny) == (0, 0)


def test_the_blind_model_loses_what_its_class_holds():
    result = analysis([[0], [1], [2]], [[0, 0], [1], [], []])
    a, c = result.blind["a"], result.blind["c"]
    assert (a.split, a.boxes_found, a.mean_precision, a.images_right) == (
        "val",
        pytest.approx(1 / 3, abs=1e-5),
        0.5,
        0.75,
    )
    assert c.split == "train"
    assert c.images_right == pytest.approx(2 / 3, abs=1e-5)


def test_rare_classes_are_those_below_the_median():
    assert analysis([[0]] * 9 + [[1]] * 4 + [[2]]).rare == ["c"]
    assert analysis([[0]], names=("a",)).rare == []


# Duplicates ----------------------------------------------------------------------------------------------------------


def test_identical_files_are_grouped_by_content(tmp_path):
    contents = [b"one", b"two", b"one", b"", b"three", b"two", b"one"]
    files = []
    for i, content in enumerate(contents):
        files.append(str(tmp_path / str(i)))
        (tmp_path / str(i)).write_bytes(content)
    assert find_duplicates([*files, str(tmp_path / "gone")]) == [[0, 2, 6], [1, 5]]
    assert find_duplicates(files, of=1) == [[0, 2, 6]]
    assert find_duplicates(files[2:], of=4) == [[0, 4]]


def test_files_are_identical_where_every_byte_is(tmp_path):
    """Files of one size that differ in one byte, at the start, in the middle, where a block ends, and at the end."""
    size = 3 * BLOCK
    contents = [bytes(size)] * 2
    for place in (0, BLOCK - 1, size // 2, size - 1):
        contents += [bytes(place) + b"x" + bytes(size - place - 1)] * 2
    files = []
    for i, content in enumerate(contents):
        files.append(str(tmp_path / str(i)))
        Path(files[-1]).write_bytes(content)
    (tmp_path / "link").symlink_to(files[2])
    files += [str(tmp_path / "link"), f"{tmp_path}/../{tmp_path.name}/4"]
    groups = [[0, 1], [2, 3, 10], [4, 5, 11], [6, 7], [8, 9]]
    assert find_duplicates(files) == groups
    for of in range(len(files)):
        assert find_duplicates(files, of=of) == [group for group in groups if group[0] < of]


def test_one_file_under_several_paths_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"one")
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("read"))
    assert find_duplicates([str(tmp_path / "a")] * 3) == [[0, 1, 2]]


def test_copies_are_counted_across_and_within():
    group = [Copy("train", "1", ("a",)), Copy("val", "2", ("a",)), Copy("val", "3", ())]
    found = Duplicates.of(["train", "val", "test"], [group, [Copy("val", "4", ()), Copy("val", "5", ())]])
    assert found.across == {"train/val": 2, "train/test": 0, "val/test": 0}
    assert found.within == {"train": 0, "val": 2, "test": 0}
    assert found.labelled_otherwise() == 1


# Findings ------------------------------------------------------------------------------------------------------------


def kinds(result):
    return [finding.kind for finding in result.findings]


def test_a_sound_set_has_no_findings():
    half = [[0], [1], [2], []] * 40
    assert kinds(analysis(half, half)) == []
    assert "Findings: none." in render(analysis(half, half))


@pytest.mark.parametrize(
    ("train", "val", "kind", "classes"),
    [
        ([[0], [1]] * 10, [[0], [1], [2], []], "absent_in_train", ("c",)),
        ([[0], [1], [2]] * 10, [[0], [1], []], "absent_in_val", ("c",)),
        ([[0], [1], [2]] * 10, None, "no_val", ()),
        ([[0], [1], [2]] * 10, [[0, 1]] * 30 + [[2], []], "few_in_val", ("c",)),
        ([[0], [1]] * 10 + [[2]] * 9, [[]], "nearly_empty", ("c",)),
        ([[0]] * 38 + [[1]] * 2 + [[2]], [[]], "imbalance", ("c",)),
        ([[0], [1]] * 10 + [[2]] * 7 + [[2, 2, 2]], [[]], "one_image", ("c",)),
        ([[0], [1]] * 10 + [[2] * 12], [[]], "single_image", ("c",)),
        ([[0], [1]] * 10 + [[2, 0]] * 10, [[]], "always_together", ("c",)),
        ([[0], [1], [2]] + [[]] * 8, [[]], "background", ()),
        ([[0], [1], [2]], [[0]], "no_background_in_val", ()),
    ],
)
def test_findings_name_the_classes(train, val, kind, classes):
    result = analysis(train, val)
    found = {finding.kind: finding.classes for finding in result.findings}
    assert found.get(kind) == classes


def test_what_cannot_be_learnt_comes_first():
    assert kinds(analysis([[0]] * 3, [[0], [1]]))[:3] == ["absent_in_train", "absent_in_val", "few_in_val"]


@pytest.mark.parametrize(
    ("common", "rare", "found"), [(150, 15, True), (149, 15, False), (565, 15, True), (15, 15, False)]
)
def test_ten_objects_of_the_commonest_class_for_one_of_the_rarest_are_an_imbalance(common, rare, found):
    result = analysis([[0]] * common + [[1]] * rare + [[2]] * min(common, 60), [[0], [1], [2], []] * 40)
    assert kinds(result) == ["imbalance"] * found
    text = " ".join(finding.text for finding in result.findings)
    assert ("b is the rarest class with 15 examples" in text and f"a has {common}." in text) == found


def test_an_imbalance_comes_with_the_cost_that_the_results_page_measured():
    results = (Path(__file__).parents[2] / "examples" / "benchmarks" / "RESULTS.md").read_text()
    for arm in ("stock", "inverse_frequency"):
        (row,) = re.findall(rf"^\| `{arm}` \| 5 \| (\.\d+) \| (\.\d+) \|", results, re.MULTILINE)
        for recall in row:
            assert f"{float(recall):.2f}".removeprefix("0") in MEASURED_COST
    assert "505, 251, 100, 48, 30 and 11 boxes" in results
    assert f"{505 / 11:.0f}:1" in MEASURED_COST


def test_tiny_boxes_depend_on_the_image_size():
    part = labels("train", [[0]] * 20, 1, size=0.01, shape=(1000, 1000))
    for imgsz, tiny in ((640, True), (1280, False)):
        result = DataAnalysis.of([part], ["a"], data="d", imgsz=imgsz)
        assert ("tiny_boxes" in kinds(result)) == tiny


# Output --------------------------------------------------------------------------------------------------------------


def test_json_is_plain_and_says_its_schema():
    content = json.loads(analysis(random_images(0), [[0]], names=tuple("abcde")).to_json())
    assert content["schema"] == 1
    assert content["splits"]["train"]["classes"]["a"]["boxes"] > 0
    assert content["for_recall_0.9"]["boxes_to_show_it"] == 29
    assert "NaN" not in json.dumps(content)


@pytest.mark.parametrize("train", [[[]], [[0]], [[0], [1], [], [2, 3, 4, 5, 6]]], ids=["no box", "one box", "all"])
@pytest.mark.parametrize("val", [None, [[]], [[0], []]], ids=["no val", "empty val", "val"])
def test_page_and_tables_take_any_names_and_any_counts(train, val):
    result = analysis(train, val, names=HOSTILE)
    page = analysis_page.render(result)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?!#|data:)[^\s"'>)]+""", page) == []
    assert "http" not in page
    assert "@import" not in page
    assert page == analysis_page.render(result), "the same data give the same page"
    text = render(result)
    assert "\x1b" not in text
    assert all(len(line) <= 80 for line in render(analysis([[0], [1, 2]], [[0]])).splitlines())


def test_dollars_are_drawn_as_they_are():
    assert "$x_1^{$" in analysis_page.render(analysis([[1]], names=HOSTILE))
    assert "$\\mathdefault" not in analysis_page.render(analysis([[1]], names=HOSTILE))


def test_very_many_classes_are_plotted_in_part():
    names = [f"class {i}" for i in range(300)]
    result = analysis([[i] for i in range(300)], names=names)
    assert "The plots show 40 of 300 classes" in analysis_page.render(result)


def test_words():
    assert plain("a\nb\x1b\ud800") == "a\\nb\\x1b\\ud800"
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert listed([str(i) for i in range(9)], 2) == "0, 1 and 7 more"
    assert (counted(1, "image"), counted(1200, "image")) == ("1 image", "1,200 images")
    assert (percent(0), percent(1), percent(0.99999), percent(0.00001)) == ("0.0%", "100.0%", "99.999%", "0.001%")


# Suggestion ----------------------------------------------------------------------------------------------------------


def loaded(text):
    content = yaml.safe_load(text)
    extra = (content["balance"]["sampling"] or {}).pop("foreground_mosaic", None)
    return content, BalanceConfig.load(content), extra


def test_every_number_has_its_rule_beside_it():
    train = [[0]] * 100 + [[1]] * 20 + [[2]] * 4
    text = suggestion(analysis(train, [[0]] * 5), train)
    for line in text.splitlines():
        if re.match(r" *\w+: [^{]", line):
            assert " # " in line, line


@pytest.mark.parametrize("stated", [{}, {"power": 0.5}, {"strategy": "class_uniform", "background": 0.2}], ids=str)
@pytest.mark.parametrize("background", [9, 900])
def test_what_is_suggested_is_what_auto_stands_for(background, stated):
    train = [[0]] * 200 + [[1]] * 180 + [[2]] * 3 + [[]] * background
    asked = {"auto": True, "sampling": stated}
    text = suggestion(analysis(train), train, asked=asked)
    suggested = BalanceConfig.load(yaml.safe_load(text))
    counts = ClassStatistics.of(train, 3)
    auto, _ = fill(BalanceConfig.load(asked), counts, ["a", "b", "c"])
    assert suggested.sampling == auto.sampling
    assert suggested.losses == auto.losses
    plan = SamplingSchedule(suggested.sampling, counts, ["a", "b", "c"], seed=0).balanced
    assert plan.expectation.max() <= MOST_APPEARANCES


@pytest.mark.parametrize("train", [[[0]] * 9, [[0], [1], [2]] * 3], ids=["one class", "equal classes"])
def test_nothing_to_balance_is_off(train):
    assert loaded(suggestion(analysis(train), train))[1].sampling is None


@pytest.mark.parametrize(("background", "asked"), [(240, None), (250, True)])
def test_mosaics_keep_a_foreground_where_too_many_would_be_empty(background, asked):
    train = [[0]] * 80 + [[1]] * 20 + [[]] * background  # 240 of 340: .706, 250 of 350: .714
    assert loaded(suggestion(analysis(train), train))[2] is asked


@pytest.mark.parametrize(
    ("val", "budgets"),
    [([[0]] + [[]] * 10, [0.1, 1.0]), ([[0]] + [[]] * 5, [0.2, 1.0]), ([[0], []], [1.0]), ([[0]] * 3, [0.34, 1.0])],
)
def test_budgets_are_those_that_val_can_measure(val, budgets):
    train = [[0], [0], [1]]
    text = suggestion(analysis(train, val), train)
    assert loaded(text)[1].recall.false_alarms == budgets


@pytest.mark.parametrize(("size", "imgsz"), [(0.5, 320), (0.02, 640), (0.01, 960), (0.007, 1280), (0.001, 1280)])
def test_image_size_shows_nine_of_ten_boxes(size, imgsz):
    train = [[0], [1], [1]]
    content, _, _ = loaded(suggestion(analysis(train), train, size=size, shape=(1000, 1000)))
    assert content["imgsz"] == imgsz


def test_what_the_run_says_is_carried_over():
    train = [[0], [0], [1]]
    run = {"model": "yolo11s.pt", "imgsz": 224, "classes": [0, 1], "batch": 4, "cache": None}
    content, _, _ = loaded(suggestion(analysis(train), train, run=run))
    assert content["model"] == "yolo11s.pt"
    assert (content["imgsz"], content["epochs"], content["classes"], content["batch"]) == (224, 100, [0, 1], 4)
    assert "cache" not in content


def test_a_suggestion_takes_any_names():
    train = [[i] * (i + 1) for i in range(7)] + [[0]] * 20
    result = analysis(train, [[6]], names=HOSTILE)
    content, config, _ = loaded(suggestion(result, train, 7, run={"name": "a # b: c"}))
    assert config.sampling is not None
    assert content["name"] == "a # b: c"


def test_nothing_can_be_suggested_without_boxes():
    with pytest.raises(DataError, match="has no object"):
        suggestion(analysis([[]]), [[]])
    with pytest.raises(DataError, match="classify"):
        suggestion(analysis([[0]], task="classify"), [[0]])
