"""The draw: seed, epoch and image alone fix it, and every cap holds."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from helpers.scenes import plan

from yolo_balance.synthesis import PastePolicy, Sources
from yolo_balance.synthesis.policy import PasteLimits
from yolo_balance.synthesis.surroundings import groups, images_of_group, nearest, similar_images

IMAGES = 400


def labels():
    """400 images: class 0 on half of them, class 1 on twelve, class 2 on two, the rest background."""
    box = np.array([[0.4, 0.5, 0.2, 0.1]])
    rows = [(np.array([0]), box)] * 200 + [(np.array([1]), box)] * 12 + [(np.array([2]), box)] * 2
    return rows + [(np.zeros(0, np.int64), np.zeros((0, 4)))] * (IMAGES - len(rows))


def policy(pasted=(0, 60, 20), *, seed=0, receivers=None, expectation=1.0, made=(), paste=True, **limits):
    sources = Sources.of(labels(), 3)
    anywhere = [np.arange(IMAGES)] * len(sources.image)
    background = np.arange(IMAGES) >= 214
    holding = [np.flatnonzero([c in classes for classes, _ in labels()]) for c in range(3)]
    wish = plan(IMAGES, pasted, expectation)
    return PastePolicy(
        sources,
        receivers or anywhere,
        background,
        PasteLimits(**limits),
        seed=seed,
        plan=wish,
        holding=holding,
        made=made,
        paste=paste,
    )


def pasted_classes(p, epoch=0):
    return Counter(int(p.sources.classes[s]) for chosen in p.table(epoch).values() for s in chosen)


def test_the_same_seed_epoch_and_image_draw_the_same_whoever_asks():
    one, other = policy(), pickle.loads(pickle.dumps(policy()))
    order = np.random.default_rng(0).permutation(IMAGES)
    there = {(int(i), e): other.draws(int(i), e) for e in (1, 0, 3, 1) for i in order}  # in any order
    assert all(one.draws(i, e) == there[i, e] for e in (0, 1, 3) for i in range(IMAGES))
    assert sum(len(d) for d in there.values()) > 200
    assert one.table(0) != one.table(1)
    assert one.table(0) != policy(seed=1).table(0)


def test_as_many_are_pasted_as_the_plan_wants():
    for epoch in range(5):
        found = pasted_classes(policy(), epoch)
        assert found == Counter({1: 60, 2: 20})
    fractions = [pasted_classes(policy((0, 10.4, 0)), epoch)[1] for epoch in range(200)]
    assert np.mean(fractions) == pytest.approx(10.4, abs=0.15)


@pytest.mark.parametrize("expectation", [0.5, 2.0])
def test_an_image_that_appears_more_often_counts_more(expectation):
    found = [pasted_classes(policy(expectation=expectation), epoch)[1] for epoch in range(40)]
    assert np.mean(found) * expectation == pytest.approx(60, rel=0.03)


def test_no_source_is_pasted_more_than_twenty_times_an_epoch():
    p = policy((0, 1000, 1000), p=1.0, max_objects=5, onto_background=1.0)
    uses = Counter(s for chosen in p.table(0).values() for s in chosen)
    assert max(uses.values()) == 20


def test_images_are_capped_by_p_and_max_objects():
    p = policy((0, 200, 0), p=0.1, max_objects=3, onto_background=1.0)
    assert len(p.table(0)) <= 0.1 * IMAGES
    assert max(map(len, p.table(0).values())) == 3
    assert not policy(p=0.0).table(0)


def test_few_clean_images_are_pasted_on():
    p = policy((0, 200, 0), p=1.0, onto_background=0.2)
    clean = [i for i in p.table(0) if p.background[i]]
    assert 0 < len(clean) <= 0.3 * p.background.sum()
    assert not any(p.background[i] for i in policy(onto_background=0.0).table(0))


def test_a_class_of_two_examples_is_never_twice_in_one_image():
    p = policy((0, 0, 40), p=1.0, max_objects=5)
    assert sum(map(len, p.table(0).values())) == 40
    for image, chosen in p.table(0).items():
        assert len(chosen) == 1
        assert 2 not in labels()[image][0]


def test_no_object_is_pasted_into_its_own_image_or_twice_into_one():
    p = policy((0, 200, 0), p=0.2, max_objects=4)
    for image, chosen in p.table(0).items():
        assert len(set(chosen)) == len(chosen)
        assert image not in p.sources.image[chosen]


def test_flips_are_those_of_the_run():
    for flips in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        p = policy(flips=flips)
        drawn = [d for i in range(IMAGES) for d in p.draws(i, 0)]
        assert {(d.flip_x, d.flip_y) for d in drawn} == {(flips[0] == 1, flips[1] == 1)}


def test_sizes_turns_centres_and_blends_vary_within_their_bounds():
    p = policy(blend="mixed", distractors=2)
    drawn = [d for e in range(2) for i in range(IMAGES) for d in p.draws(i, e)]
    assert 0.8 <= min(d.scale for d in drawn) < 0.85 < 1.2 < max(d.scale for d in drawn) <= 1.25
    assert 14 < max(abs(d.angle) for d in drawn) <= 15
    assert {d.blend for d in drawn} == {"feather", "poisson", "poisson_mixed", "residual"}
    near = [abs(d.centre[0] - 0.4) < 0.2 for d in drawn]  # all labels lie at 0.4
    assert 0.8 < np.mean(near) < 1
    assert {len(d.distractors) for d in drawn} == {2}
    assert {d.blend for d in [d for i in range(IMAGES) for d in policy(blend="feather").draws(i, 0)]} == {"feather"}


def test_hosts_are_kept_to():
    allowed = np.arange(0, IMAGES, 7)
    p = policy(receivers=[allowed] * 214, p=1.0, onto_background=1.0)
    assert set(p.table(0)) <= set(allowed.tolist())


def test_similar_is_the_nearest_fifth():
    rng = np.random.default_rng(0)
    images, ring = rng.normal(0, 1, (50, 5)) * [100, 1, 1, 1, 1], np.zeros(5)
    slow = sorted(range(50), key=lambda i: sum((images[i, k] / images[:, k].std()) ** 2 for k in range(5)))
    assert nearest(ring, images).tolist() == slow[:10]
    images[slow[0]] = np.nan  # not looked at
    (receivers,) = similar_images(ring[None], images)
    assert slow[0] not in receivers
    assert len(receivers) == 10


def test_groups_are_folders_or_else_first_words():
    folders = groups(["a/x_1.png", "a/y_2.png", "b/x_3.png"])
    assert folders[0] == folders[1] != folders[2]
    words = groups(["a/cam1_1.png", "a/cam2-1.png", "a/cam1.3.png"])
    assert words[0] == words[2] != words[1]
    receivers = images_of_group(np.array([0, 2]), folders)
    assert [h.tolist() for h in receivers] == [[0, 1], [2]]


def test_images_made_elsewhere_take_the_place_of_clean_ones_within_the_wish():
    made = [np.array([1]), np.array([1, 1]), np.array([2]), np.array([1, 2])] * 5
    p = policy(made=made, onto_background=1.0, p=1.0)
    table = p.table(0)
    replaced = {i: m for i in range(IMAGES) if (m := p.replacement(i, 0)) is not None}
    assert len(replaced) > 10
    assert all(p.background[i] and i not in table for i in replaced)
    shown = Counter(c for m in replaced.values() for c in made[m].tolist())
    total = shown + pasted_classes(p)
    assert shown[1] <= 60 * 20 / (12 + 20)
    assert total[1] <= 60
    assert total[2] <= 20
    assert total[1] > 55
    assert max(Counter(replaced.values()).values()) <= 20
    alone = policy(made=made, onto_background=1.0, p=1.0, paste=False)
    assert not alone.table(0)
    assert policy(made=made).replacement(0, 0) is None  # an image with an object
