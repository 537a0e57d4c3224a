"""Laws of the weights that a user gives to images: factors multiply, groups have their shares, off changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.config import BalanceConfig, SamplingConfig
from yolo_balance.errors import ConfigError
from yolo_balance.run_folder.balance_file import resolved
from yolo_balance.sampling import ClassStatistics, SamplingSchedule
from yolo_balance.sampling.group_exposure import GroupExposure
from yolo_balance.sampling.image_weights import ImageWeights
from yolo_balance.views.training_console import groups_table, plan_table, remarks

NAMES = ["scratch", "pit"]
IMAGES = [[0]] * 30 + [[1]] * 6 + [[0, 1]] * 4 + [[]] * 40
FILES = [f"/data/cam{1 + (i % 4 == 0)}/{i:03d}.png" for i in range(80)]  # a quarter is of the second camera
STATISTICS = ClassStatistics.of(IMAGES, 2)


def schedule(folder=None, **options):
    section = SamplingConfig.model_validate(options)
    return SamplingSchedule(section, STATISTICS, NAMES, 0, ImageWeights.read(section, FILES, folder))


def shares(plan):
    second = np.array(["cam2" in file for file in FILES])
    return plan.expectation[second].sum() / plan.size, plan.expectation[STATISTICS.background].sum() / plan.size


@pytest.mark.parametrize("background", [None, 0.2])
def test_groups_and_background_both_have_their_shares(background):
    plan = schedule(groups={"shares": {"cam2": 0.6, "cam1": 0.4}}, background=background).balanced
    assert shares(plan) == pytest.approx((0.6, 0.5 if background is None else background), abs=1e-6)
    counted = [np.bincount(plan.epoch(e), minlength=80) for e in range(10)]
    drawn = np.mean([c[["cam2" in file for file in FILES]].sum() / plan.size for c in counted])
    assert drawn == pytest.approx(0.6, abs=0.03)


def test_within_a_group_and_kind_images_keep_their_class_factors():
    plain_factors = schedule(power=1.0).balanced.factors
    factors = schedule(power=1.0, groups={"shares": {"cam2": 0.7}}).balanced.factors
    for camera in ("cam1", "cam2"):
        for clean in (True, False):
            kind = np.array([camera in f for f in FILES]) & (STATISTICS.background == clean)
            ratio = factors[kind] / plain_factors[kind]
            np.testing.assert_allclose(ratio, ratio[0])


def test_groups_that_are_left_out_share_the_rest_as_the_data_does():
    files = [f"{'abc'[i % 3]}{i}.png" for i in range(80)]  # 27, 27 and 26
    section = SamplingConfig.model_validate({"groups": {"by": "^([abc])", "shares": {"b": 0.5}}})
    weights = ImageWeights.read(section, files)
    assert weights.names == ("a", "b", "c")
    np.testing.assert_allclose(weights.shares, [0.5 * 27 / 53, 0.5, 0.5 * 26 / 53])


def test_factors_of_single_images_multiply_those_of_their_classes(tmp_path):
    (tmp_path / "factors.csv").write_text("image,factor\n000.png,3\n001,0\ncam1/002.png,0.5\n")
    before = schedule(power=1.0, background=None).balanced.factors
    plan = schedule(tmp_path, power=1.0, images="factors.csv").balanced
    held = ~STATISTICS.background
    np.testing.assert_allclose(plan.factors[held], before[held] * np.r_[3, 0, 0.5, np.ones(37)])
    assert plan.expectation[STATISTICS.background].sum() == pytest.approx(plan.size / 2)
    assert 1 not in np.concatenate([plan.epoch(e) for e in range(5)])


def test_off_and_factors_of_one_give_the_same_plan_bit_for_bit(tmp_path):
    (tmp_path / "ones.csv").write_text("image,factor\n000.png,1\n")
    stock = SamplingSchedule(SamplingConfig(), STATISTICS, NAMES, 0).balanced
    for plan in (
        schedule().balanced,
        schedule(groups={"by": "(x)"}).balanced,
        schedule(tmp_path, images="ones.csv").balanced,
    ):
        np.testing.assert_array_equal(plan.factors, stock.factors)
        np.testing.assert_array_equal(plan.epoch(3), stock.epoch(3))


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({"images": "f.csv"}, None, "balance.sampling.images: f.csv does not exist"),
        ({"images": "f.csv"}, "image,weight\n000,1\n", "balance.sampling.images: f.csv has no column factor"),
        ({"images": "f.csv"}, "image,factor\n000,1\nnobody.png,2\n", "f.csv, line 3: nobody.png is no image of train"),
        ({"images": "f.csv"}, "image,factor\n000,-1\n", "f.csv, line 2: expected a factor from 0 to 1000000, got -1"),
        (
            {"images": "f.csv"},
            "image,factor\n000,\n",
            "f.csv, line 2: expected a factor from 0 to 1000000, got nothing",
        ),
        ({"images": "f.csv"}, "image,factor\n000,inf\n", "f.csv, line 2: expected a factor from 0 to 1000000, got inf"),
        ({"images": "f.csv"}, "image,factor\n000,1\n000,2\n", "gives 000.png more than one factor: 1 in line 2"),
        (
            {"groups": {"by": "(x)", "shares": {"a": 1}}},
            None,
            "balance.sampling.groups.by: (x) gives no key to 000.png",
        ),
        (
            {"groups": {"shares": {"cam9": 0.5}}},
            None,
            "balance.sampling.groups.shares.cam9: no train image is of this group, there are cam2 (20 images) and cam1",
        ),
        ({"groups": {"shares": {"cam1": 1.0}}}, None, "expected a sum below 1 that leaves a share for cam2, got 1"),
        (
            {"groups": {"shares": {"cam1": 0.5, "cam2": 0.2}}},
            None,
            "expected the sum 1, as every group is named, got 0.7",
        ),
    ],
)
def test_every_mistake_is_one_line(options, rows, message, tmp_path):
    if rows is not None:
        (tmp_path / "f.csv").write_text(rows)
    with pytest.raises(ConfigError) as caught:
        schedule(tmp_path, **options)
    (line,) = caught.value.problems
    assert line.startswith("balance.sampling.")
    assert message in line


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"shares": {"a": 0.7, "b": 0.6}}, "balance.sampling.groups.shares: expected a sum of at most 1, got 1.3"),
        ({"by": "part", "shares": {"a": 1}}, "balance.sampling.groups.by: expected folder, FILE.csv:COLUMN or"),
        ({"shares": {"a": 0}}, "balance.sampling.groups.shares.a: expected greater than 0"),
    ],
)
def test_the_schema_refuses_what_no_data_could_mend(groups, message):
    with pytest.raises(ConfigError) as caught:
        BalanceConfig.load({"sampling": {"groups": groups}})
    (line,) = caught.value.problems
    assert line.startswith(message)


def test_groups_without_a_share_are_remarked_on():
    lines = remarks(schedule(groups={}, max_image_share=1.0), NAMES, FILES)
    assert lines == ["balance.sampling.groups: no shares, so nothing is grouped"]


def test_what_is_asked_for_and_what_is_drawn_is_written():
    plan = schedule(groups={"shares": {"cam2": 0.6}})
    resolution = resolved(BalanceConfig(sampling=plan.options), STATISTICS, NAMES, plan, None)
    assert resolution["groups"] == {
        "cam2": {"images": 20, "requested": 0.6},
        "cam1": {"images": 60, "requested": 0.4},
    }
    assert [line.split() for line in plan_table(resolution).splitlines()[-2:]] == [
        ["cam2", "20", "25.00%", "60.00%"],
        ["cam1", "60", "75.00%", "40.00%"],
    ]
    exposure = GroupExposure(plan.weights)
    for epoch in range(2):
        exposure.start_epoch(plan.balanced)
        exposure.add([1, 2, 3])
        exposure.start_epoch(plan.balanced, again=True)  # the first pass is not counted
        exposure.add([0, 4, 8, epoch + 1])
    assert exposure.total.tolist() == [6, 2]
    assert [line.split() for line in groups_table(exposure).splitlines()[-2:]] == [
        ["cam2", "25.00%", "60.00%", "75.00%"],
        ["cam1", "75.00%", "40.00%", "25.00%"],
    ]
