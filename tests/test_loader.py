"""The balanced loader on the host's own datasets: what it draws, and what it survives."""

from __future__ import annotations

import pickle
from collections import Counter
from copy import copy
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from ultralytics.data.augment import BaseMixTransform, Compose, CopyPaste, CutMix, MixUp, Mosaic
from ultralytics.data.dataset import YOLODataset

from yolo_balance import BalancedDetectionTrainer
from yolo_balance.integration.dataset import DRAWN, CountingMixin, PartnerIndexes
from yolo_balance.integration.loader import EpochBatches, start_epoch

SAMPLING = {"power": 1.0, "threshold": 0.3}


@pytest.fixture(scope="module")
def long_tail(make_data):
    """1,000 images of three classes 800/150/15 with one box each, boxes of one size, and 35 of background."""
    images = [[0]] * 800 + [[1]] * 150 + [[2]] * 15 + [[]] * 35
    order = np.random.default_rng(0).permutation(1000)
    return make_data([images[i] for i in order], [[0], [1], [2], []], size=32, box=0.5)


def trainer(data, tmp_path, sampling=SAMPLING, *, workers=0, **arguments):
    """A trainer of the host's with its loader built, nothing trained."""
    cls = BalancedDetectionTrainer.configured({"sampling": sampling})
    overrides = {"model": "yolo26n.yaml", "data": str(data), "imgsz": 32, "plots": False, "device": "cpu"}
    t = cls(overrides={**overrides, "project": str(tmp_path), "verbose": False, "batch": 50, **arguments})
    t.args.workers = workers  # the host allows none on a CPU
    t._setup_train()
    return t


def run_epochs(t, epochs, *, first=0, close=False):
    """Go through the loader as the host's training loop does, counting all epochs together.

    With `close` the loader is reset after the first epoch's start, as the host does on closing mosaic.
    """
    t.exposure.start_epoch(None if t.sampling is None else t.sampling.schedule.balanced)
    main = []
    for epoch in range(first, first + epochs):
        t.epoch = epoch
        start_epoch(t.train_loader, epoch, None if t.sampling is None else t.sampling.plan(t))
        if close and epoch == first:
            t.train_loader.reset()
        files = Counter()
        for batch in t.train_loader:
            t.exposure.add(t.statistics.picked(batch[DRAWN]), batch["cls"].numpy(), len(batch["img"]))
            files.update(batch["im_file"])
        main.append(files)
    return main


def planned(t, epoch):
    return Counter(t.train_loader.dataset.im_files[i] for i in t.sampling.schedule.balanced.epoch(epoch))


@pytest.mark.parametrize("cache", [False, "ram"])
@pytest.mark.parametrize("mixup", [0.0, 0.5])
def test_what_is_drawn_and_what_is_reached_is_what_was_requested(long_tail, tmp_path, cache, mixup):
    """The bar: within one percentage point over ten epochs of 1,000 images."""
    t = trainer(long_tail, tmp_path, cache=cache, mixup=mixup)
    assert t.exposure.natural.round(2).tolist() == [0.83, 0.16, 0.02]
    assert t.exposure.requested.min() > 0.15  # far from the natural shares
    main = run_epochs(t, 10)
    assert [sum(files.values()) for files in main] == [1000] * 10
    assert t.exposure.drawn.sum() == pytest.approx(10 * 1000 * 0.965 * 4 * (1 + mixup), rel=0.01)
    for counts in (t.exposure.drawn, t.exposure.reached):
        np.testing.assert_allclose(counts / counts.sum(), t.exposure.requested, atol=0.01)


class CountingList(list):
    """The host's list of images it holds, counting those it had to read."""

    appended = 0

    def append(self, item):
        self.appended += 1
        super().append(item)


def test_without_images_in_memory_partners_are_those_just_read(long_tail, tmp_path):
    """Else each tile of a Mosaic would be read from disk and decoded anew."""
    t = trainer(long_tail, tmp_path, batch=8, mixup=0.5)
    dataset = t.train_loader.dataset
    dataset.buffer = read = CountingList()
    main = t.sampling.schedule.balanced.epoch(0)[:400].tolist()
    for i, index in enumerate(main):
        dataset[index]
        assert set(dataset._picked) <= set(main[max(0, i - 63) : i + 1])  # the host keeps batch * 8 images
    assert read.appended <= len(main)


def test_with_images_in_memory_partners_are_of_the_whole_set(long_tail, tmp_path):
    t = trainer(long_tail, tmp_path, cache="ram")
    dataset = t.train_loader.dataset
    seen = {
        p for index in t.sampling.schedule.balanced.epoch(0)[:10] for p in (dataset[int(index)], dataset._picked)[1]
    }
    assert len(seen) > 30


def test_background_images_keep_their_share(long_tail, tmp_path):
    t = trainer(long_tail, tmp_path)
    background = t.statistics.background
    for epoch in range(3):
        assert background[t.sampling.schedule.balanced.epoch(epoch)].sum() == pytest.approx(35, abs=1.01)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_workers_follow_the_plan_together(long_tail, tmp_path, start_method):
    t = trainer(long_tail, tmp_path, workers=2, mixup=0.5)
    t.train_loader.multiprocessing_context = start_method
    main = run_epochs(t, 3)
    assert main == [planned(t, epoch) for epoch in range(3)]
    np.testing.assert_allclose(t.exposure.drawn / t.exposure.drawn.sum(), t.exposure.requested, atol=0.01)


def test_every_epoch_gets_its_own_plan_whatever_was_prefetched(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, workers=2, batch=4)
    assert run_epochs(t, 2) == [planned(t, 0), planned(t, 1)]
    assert run_epochs(t, 2, first=2, close=True) == [planned(t, 2), planned(t, 3)]
    assert run_epochs(t, 1, first=3) == [planned(t, 3)]  # the host repeats an epoch after a NaN
    assert run_epochs(t, 1, first=9) == [planned(t, 9)]  # and resumes at any


@pytest.mark.parametrize(("epoch_size", "images"), [(1.0, 24), (0.5, 12), (2.0, 48), (30, 30)])
def test_epoch_size_sets_the_length_the_host_sees(tiny_data, tmp_path, epoch_size, images):
    t = trainer(tiny_data, tmp_path, {"epoch_size": epoch_size}, batch=8)
    assert len(t.train_loader) == -(-images // 8)
    assert sum(run_epochs(t, 1)[0].values()) == images


def test_full_shows_every_image_at_least_once(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, {"epoch_size": "full", "power": 1.0, "threshold": 1.0})
    assert min(planned(t, 0).values()) >= 1
    assert len(planned(t, 0)) == 24


def mixers(transform):
    inner = transform.transforms if isinstance(transform, Compose) else [getattr(transform, "pre_transform", None)]
    found = [m for t in inner if isinstance(t, (Compose, BaseMixTransform)) for m in mixers(t)]
    return [transform, *found] if isinstance(transform, BaseMixTransform) else found


@pytest.mark.parametrize("mode", ["flip", "mixup"])
def test_all_mix_transforms_follow_also_when_mosaic_is_closed(tiny_data, tmp_path, mode):
    t = trainer(tiny_data, tmp_path, copy_paste_mode=mode)
    dataset = t.train_loader.dataset
    for close in (False, True):
        if close:
            dataset.close_mosaic(hyp=copy(t.args))
        found = mixers(dataset.transforms)
        assert {type(m) for m in found} == {Mosaic, MixUp, CutMix, CopyPaste}
        for m in found:
            assert isinstance(m.get_indexes, PartnerIndexes)
            assert m.get_indexes.stream is dataset.partners
            assert np.size(m.get_indexes()) == (3 if isinstance(m, Mosaic) else 1)


def test_partners_can_be_left_to_the_host(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, {"partners": False})
    assert all("get_indexes" not in vars(m) for m in mixers(t.train_loader.dataset.transforms))
    assert isinstance(t.train_loader.batch_sampler, EpochBatches)


def test_without_sampling_the_loader_only_counts(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, None)
    assert not isinstance(t.train_loader.batch_sampler, EpochBatches)
    assert t.train_loader.dataset.partners is None
    run_epochs(t, 1)
    np.testing.assert_array_equal(t.exposure.requested, t.exposure.natural)
    assert t.exposure.drawn.sum() > 0


class OwnDataset(YOLODataset):
    """A dataset class of a user's."""


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_datasets_survive_pickling_whoever_s_class_they_are(tiny_data, tmp_path, pickler):
    t = trainer(tiny_data, tmp_path)
    dataset = t.train_loader.dataset
    for base in (YOLODataset, OwnDataset):
        dataset.__class__ = type(base.__name__, (CountingMixin, base), {})
        twin = pickle.loads(pickler.dumps(dataset))
        assert isinstance(twin, base)
        assert len(twin[0][DRAWN]) >= 4  # the image and the tiles of its Mosaic
        assert mixers(twin.transforms)[0].get_indexes.stream is twin.partners  # one stream, as before


def test_drawn_counts_every_image_picked(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, mosaic=0.0)
    dataset = t.train_loader.dataset
    for index in range(len(dataset)):
        own = np.bincount(dataset.labels[index]["cls"].ravel().astype(int), minlength=3)
        assert dataset[index][DRAWN] == [index]
        np.testing.assert_array_equal(t.statistics.picked([[index]]), [own, np.zeros(3)])


def test_the_seed_fixes_every_draw(tiny_data, tmp_path):
    def images(seed):
        t = trainer(tiny_data, tmp_path, seed=seed)
        files = run_epochs(t, 2)
        return files, [t.train_loader.dataset.partners.draw() for _ in range(50)]

    assert images(0) == images(0)
    assert images(0) != images(1)
    assert Path(tmp_path).exists()


def one_rank(rank, data, folder):
    """One of two processes that train together, as far as loader and records go."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    t = trainer(data, folder / str(rank), mixup=0.5)
    (files,) = run_epochs(t, 1)
    alone = t.exposure.drawn.copy()
    t.run_callbacks("on_train_epoch_end")
    np.savez(folder / f"{rank}.npz", files=sorted(files.elements()), alone=alone, summed=t.exposure.drawn)
    dist.destroy_process_group()


def test_ranks_share_one_plan_and_one_record(long_tail, tmp_path):
    mp.spawn(one_rank, args=(long_tail, tmp_path), nprocs=2)
    one, two = (np.load(tmp_path / f"{rank}.npz") for rank in (0, 1))
    together = Counter([*one["files"], *two["files"]])
    assert together == planned(trainer(long_tail, tmp_path), 0)
    for rank in (one, two):
        np.testing.assert_array_equal(rank["summed"], one["alone"] + two["alone"])
    requested = trainer(long_tail, tmp_path).exposure.requested
    np.testing.assert_allclose(one["summed"] / one["summed"].sum(), requested, atol=0.02)  # one epoch only
