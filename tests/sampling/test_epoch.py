"""Laws of an epoch's plan."""

from __future__ import annotations

import numpy as np
import pytest

from yolo_balance.sampling import SamplingPlan, plan_epoch
from yolo_balance.sampling.epoch import epoch_length

FACTORS = 1 + np.random.default_rng(0).exponential(2.0, 200)


def counts(plan):
    return np.bincount(plan, minlength=len(FACTORS))


@pytest.mark.parametrize("size", [1, 7, 200, 333, 1000])
def test_every_image_appears_floor_or_ceil_of_its_expectation(size):
    expected = size * FACTORS / FACTORS.sum()
    for epoch in range(20):
        seen = counts(plan_epoch(FACTORS, size, seed=3, epoch=epoch))
        assert seen.sum() == size
        assert ((seen == np.floor(expected)) | (seen == np.ceil(expected))).all()


def test_images_of_one_factor_together_appear_as_often_as_expected():
    factors = np.repeat([1.0, 3.3, 0.2], [150, 20, 30])[np.random.default_rng(1).permutation(200)]
    for epoch in range(20):
        seen = np.bincount(plan_epoch(factors, 170, seed=0, epoch=epoch), minlength=200)
        for factor in (1.0, 3.3, 0.2):
            expected = 170 * factors[factors == factor].sum() / factors.sum()
            assert abs(seen[factors == factor].sum() - expected) < 1


def test_the_expectation_is_exact():
    epochs = 4000
    mean = sum(counts(plan_epoch(FACTORS, 150, seed=0, epoch=e)) for e in range(epochs)) / epochs
    expected = 150 * FACTORS / FACTORS.sum()
    error = np.sqrt((expected % 1) * (1 - expected % 1) / epochs)
    assert (np.abs(mean - expected) <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("share", [0.5, 0.3, 0.18, 0.05])
def test_undersampling_visits_every_image_in_time(share):
    """An image of expectation f waits for less than 2 / f epochs, and its visits never fall behind by much."""
    images, epochs = 400, 300
    visits, waiting, longest = np.zeros(images), np.zeros(images), np.zeros(images)
    for epoch in range(epochs):
        seen = np.bincount(plan_epoch(np.ones(images), round(share * images), seed=5, epoch=epoch), minlength=images)
        visits += seen
        waiting = np.where(seen > 0, 0, waiting + 1)
        longest = np.maximum(longest, waiting)
    assert longest.max() < 2 / share
    assert np.abs(visits - share * epochs).max() < 3


def test_ones_as_factors_is_plain_shuffling():
    plan = plan_epoch(np.ones(50), 50, seed=1, epoch=0)
    assert sorted(plan) == list(range(50))
    assert plan.tolist() != list(range(50))


def test_same_arguments_same_plan_and_every_epoch_another():
    assert plan_epoch(FACTORS, 100, seed=1, epoch=2).tolist() == plan_epoch(FACTORS, 100, seed=1, epoch=2).tolist()
    assert plan_epoch(FACTORS, 100, seed=1, epoch=2).tolist() != plan_epoch(FACTORS, 100, seed=1, epoch=3).tolist()
    assert plan_epoch(FACTORS, 100, seed=2, epoch=2).tolist() != plan_epoch(FACTORS, 100, seed=1, epoch=2).tolist()


@pytest.mark.parametrize("world_size", [2, 3, 8])
@pytest.mark.parametrize("size", [5, 200, 1000])
def test_ranks_partition_one_global_plan(world_size, size):
    alone = counts(plan_epoch(FACTORS, size, seed=4, epoch=1))
    shares = [plan_epoch(FACTORS, size, seed=4, epoch=1, rank=r, world_size=world_size) for r in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    together = counts(np.concatenate(shares))
    assert (together >= alone).all()
    assert (together - alone).sum() == -size % world_size
    assert (together <= np.ceil(size * FACTORS / FACTORS.sum())).all()  # the padding stays within the law


def test_padding_has_to_repeat_someone_where_all_expectations_are_whole():
    shares = [plan_epoch(np.ones(4), 4, seed=0, epoch=0, rank=r, world_size=3) for r in range(3)]
    assert [len(share) for share in shares] == [2, 2, 2]
    assert set(np.concatenate(shares)) == {0, 1, 2, 3}


def test_an_image_of_factor_zero_never_appears():
    assert 1 not in plan_epoch([1.0, 0.0, 3.0], 100, seed=0, epoch=0)


def test_indices_are_int64():
    assert plan_epoch(FACTORS, 10, seed=0, epoch=0).dtype == np.int64


@pytest.mark.parametrize("world_size", [2, 3, 8])
def test_any_world_size_shows_the_same_images_where_padding_can_repeat_one(world_size):
    alone = set(plan_epoch(FACTORS, 331, seed=4, epoch=1))
    shares = [plan_epoch(FACTORS, 331, seed=4, epoch=1, rank=r, world_size=world_size) for r in range(world_size)]
    assert set(np.concatenate(shares)) == alone


@pytest.mark.parametrize(
    ("factors", "size", "options", "message"),
    [
        ([], 1, {}, "non-empty"),
        ([0.0], 1, {}, "at least one above 0"),
        ([-1.0, 2.0], 1, {}, "factors >= 0"),
        ([np.inf], 1, {}, "finite"),
        ([1.0], 0, {}, "size >= 1, got 0"),
        ([1.0], 1, {"rank": 2, "world_size": 2}, r"rank in \[0, 2\), got 2"),
    ],
)
def test_bad_arguments_are_refused(factors, size, options, message):
    with pytest.raises(ValueError, match=message):
        plan_epoch(factors, size, seed=0, epoch=0, **options)


@pytest.mark.parametrize(
    ("option", "length"),
    [(1.0, 200), (0.25, 50), (2.0, 400), (77, 77), ("full", int(np.ceil(FACTORS.sum()))), (1e-9, 1)],
)
def test_epoch_size_resolves_to_a_count(option, length):
    assert epoch_length(option, FACTORS) == length


def test_partners_are_another_stream_of_the_same_plan():
    plan = SamplingPlan(FACTORS, 100, seed=0)
    partners = plan.partners(opened=0)
    assert partners.epoch(0).tolist() != plan.epoch(0).tolist()
    assert partners.epoch(0).tolist() != plan.partners(opened=1).epoch(0).tolist()
    np.testing.assert_allclose(partners.expectation, plan.expectation)


def test_independent_draws_are_those_of_a_weighted_random_sampler():
    """Unlike the plan's, counts have the variance of a multinomial, and images of factor 1 are missed at e^-1."""
    epochs, size = 4000, 150
    p = FACTORS / FACTORS.sum()
    seen = np.stack([counts(plan_epoch(FACTORS, size, seed=0, epoch=e, draw="independent")) for e in range(epochs)])
    assert (seen.sum(1) == size).all()
    variance = size * p * (1 - p)
    assert (np.abs(seen.mean(0) - size * p) <= 5 * np.sqrt(variance / epochs)).all()
    assert seen.var(0) == pytest.approx(variance, rel=0.25)
    missed = np.mean(
        [np.unique(plan_epoch(np.ones(1000), 1000, seed=1, epoch=e, draw="independent")).size for e in range(50)]
    )
    assert 1 - missed / 1000 == pytest.approx(np.exp(-1), abs=0.01)


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_independent_draws(world_size):
    whole = SamplingPlan(FACTORS, 300, seed=4, draw="independent")
    parts = [whole.epoch(2, rank=r, world_size=world_size) for r in range(world_size)]
    assert np.array_equal(np.stack(parts, 1).ravel(), whole.epoch(2))
    assert not np.array_equal(whole.epoch(2), whole.epoch(3))
    assert not np.array_equal(whole.epoch(2), whole.partners(0).epoch(2))
