"""The bank: each object is cut once, within its memory."""

from __future__ import annotations

import pickle

import numpy as np
from helpers.scenes import bank_of, scene, sources_of

from yolo_balance.synthesis import Bank


class Reader:
    """Reads scenes and counts."""

    def __init__(self, scenes):
        self.scenes, self.read = scenes, []

    def __call__(self, image):
        self.read.append(image)
        return self.scenes[image]


def test_an_object_is_cut_when_first_wanted_and_once():
    scenes = [scene(2), scene(1, seed=1), scene(0, seed=2)]
    reader, sources = Reader(scenes), sources_of(scenes)
    bank = Bank(sources, reader, np.full(3, 2))
    assert reader.read == []
    first = bank[0]
    assert bank[0] is first
    assert reader.read == [0, 2]
    assert len(first.surfaces) == 3
    assert {surface.solid.shape for surface in first.surfaces} == {first.object.solid.shape}


def test_memory_is_bounded_by_the_budget():
    scenes = [*(scene(2, seed=i) for i in range(5)), scene(0)]
    one = bank_of(scenes)[0].nbytes
    reader, sources = Reader(scenes), sources_of(scenes)
    bank = Bank(sources, reader, np.full(10, 5), budget=int(3.5 * one))
    for source in range(10):
        bank[source]
    assert sum(entry.nbytes for entry in bank._entries.values()) <= 3.5 * one
    assert set(bank._entries) == {7, 8, 9}


def test_a_copy_for_another_process_starts_empty_and_cuts_the_same():
    scenes = [scene(2), scene(0)]
    bank = bank_of(scenes)
    bank[0]
    twin = pickle.loads(pickle.dumps(bank_of_pickle(scenes)))
    assert len(twin._entries) == 0
    np.testing.assert_array_equal(twin[0].object.pixels, bank[0].object.pixels)
    for a, b in zip(twin[0].surfaces, bank[0].surfaces, strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)


def bank_of_pickle(scenes):
    bank = Bank(sources_of(scenes), Reader(scenes), np.full(2, 1))
    bank[1]
    return bank


def test_an_image_without_a_free_place_gives_no_clean_patches():
    full = scene(1)
    full.objects.boxes[0] = (0, 0, 120, 120)
    scenes = [scene(1), full]
    bank = Bank(sources_of([scenes[0]]), scenes.__getitem__, np.array([1]))
    assert bank[0].surfaces == ()
