"""The balanced loader on Ultralytics' data sets: the images it draws, and the events it survives."""

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
from helpers.loading import SAMPLING, leave, planned, run_epochs, trainer
from helpers.matrices import sampled
from ultralytics.data.augment import BaseMixTransform, Compose, CopyPaste, CutMix, MixUp, Mosaic
from ultralytics.data.dataset import YOLODataset

from yolo_balance.integration.hooks.dataset import DRAWN, CountingMixin, PartnerIndexes
from yolo_balance.integration.hooks.loader import EpochBatches
from yolo_balance.integration.training.run_sampling import false_alarms


@pytest.fixture(scope="module")
def long_tail(make_data):
    """1,000 images of three classes 800/150/15 with one box each, boxes of one size, and 35 of background."""
    images = [[0]] * 800 + [[1]] * 150 + [[2]] * 15 + [[]] * 35
    order = np.random.default_rng(0).permutation(1000)
    return make_data([images[i] for i in order], [[0], [1], [2], []], size=32, box=0.5)


@pytest.mark.parametrize("cache", sampled([False, "ram"], [False]))
@pytest.mark.parametrize("mixup", sampled([0.0, 0.5], [0.5]))
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
    """Ultralytics' list of decoded images, counting those it had to read."""

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
        assert set(dataset._picked) <= set(main[max(0, i - 63) : i + 1])  # Ultralytics keeps batch * 8 images
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
    background = t.resolved.statistics.background
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
    assert run_epochs(t, 1, first=3) == [planned(t, 3)]  # Ultralytics repeats an epoch after a NaN
    assert run_epochs(t, 1, first=9) == [planned(t, 9)]  # and resumes at any


@pytest.mark.parametrize(("epoch_size", "images"), [(1.0, 24), (0.5, 12), (2.0, 48), (30, 30)])
def test_epoch_size_sets_the_length_ultralytics_sees(tiny_data, tmp_path, epoch_size, images):
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


def test_partners_can_be_left_to_ultralytics(tiny_data, tmp_path):
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
        np.testing.assert_array_equal(t.resolved.statistics.picked([[index]]), [own, np.zeros(3)])


def test_the_seed_fixes_every_draw(tiny_data, tmp_path):
    def images(seed):
        t = trainer(tiny_data, tmp_path, seed=seed)
        files = run_epochs(t, 2)
        return files, [t.train_loader.dataset.partners.draw() for _ in range(50)]

    assert images(0) == images(0)
    assert images(0) != images(1)
    assert Path(tmp_path).exists()


def one_rank(rank, world_size, data, folder):
    """One of several processes that train together, as far as sampler, loader and records go."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world_size)
    t = trainer(data, folder / str(rank), {**SAMPLING, "feedback": {}}, mixup=0.5)
    if rank == 0:  # what only the first rank knows, for the second epoch
        t.sampling.feedback.recall = np.array([0.8, 0.4, 0.2])
    multipliers = t.sampling.feedback.multipliers()
    first, second = run_epochs(t, 2)
    alone = t.exposure.drawn.copy()
    t.run_callbacks("on_train_epoch_end")
    np.savez(
        folder / f"{rank}.npz",
        first=sorted(first.elements()),
        second=sorted(second.elements()),
        alone=alone,
        summed=t.exposure.drawn,
        images=t.exposure.images,
        own=multipliers,
        followed=t.sampling.schedule.multipliers,
        requested=t.resolved.statistics.box_shares(t.sampling.schedule.balanced.expectation),
    )
    leave(folder, rank, world_size)


@pytest.mark.parametrize("world_size", sampled([2, 3], [2]))
def test_ranks_share_one_plan_and_one_record(long_tail, tmp_path, world_size):
    mp.spawn(one_rank, args=(world_size, long_tail, tmp_path), nprocs=world_size)
    ranks = [np.load(tmp_path / f"{rank}.npz") for rank in range(world_size)]
    alone = trainer(long_tail, tmp_path)
    alone.sampling.schedule.follow(np.array([1.0, 2.0, 4.0]), np.zeros(1000, bool))
    for epoch, name in enumerate(("first", "second")):
        assert len({len(rank[name]) for rank in ranks}) == 1
        together = Counter([file for rank in ranks for file in rank[name].tolist()])
        expected = planned(alone, epoch)
        assert sum((together - expected).values()) == -1000 % world_size  # the padding, and nothing missing
        assert not expected - together
    for rank in ranks:
        np.testing.assert_array_equal(rank["summed"], sum(r["alone"] for r in ranks))
        np.testing.assert_allclose(rank["followed"], [1, 2, 4])  # rank 0's, on all
        assert rank["images"] == 2 * (1000 + -1000 % world_size)
    assert [rank["own"].tolist() == [1, 1, 1] for rank in ranks] == [False, *[True] * (world_size - 1)]
    shares = ranks[0]["summed"] / ranks[0]["summed"].sum()
    np.testing.assert_allclose(shares, ranks[0]["requested"], atol=0.02)  # two epochs only


def read_by_one_rank(rank, world_size, data, folder, threshold):
    dist.init_process_group("gloo", init_method=f"file://{folder}/reading", rank=rank, world_size=world_size)
    np.save(folder / f"alarms{rank}.npy", alarms(data, folder / f"reads{rank}", threshold)[0])
    leave(folder, rank, world_size)


def alarms(data, folder, threshold):
    """The clean train images on which an untrained model reports a box, and each one's highest confidence."""
    t = trainer(data, folder, conf=1e-9, imgsz=64)
    for p in t.ema.ema.parameters():
        p.data.mul_(1.65)  # an untrained model hardly tells images apart
    t.validator.data = t.data
    t.validator.init_metrics(t.ema.ema)
    dataset = t.train_loader.dataset
    dataset.augment, transforms = False, dataset.transforms
    dataset.transforms = dataset.build_transforms(hyp=t.args)
    peaks = np.zeros(len(dataset))
    for i in np.flatnonzero(t.resolved.statistics.background):
        (found,) = t.validator.postprocess(t.ema.ema(dataset[int(i)]["img"][None].float() / 255))
        peaks[i] = float(found["conf"].max())
    dataset.augment, dataset.transforms = True, transforms
    threshold = float(np.median(peaks[t.resolved.statistics.background])) if threshold is None else threshold
    return false_alarms(t, t.resolved.statistics.background, threshold), peaks, threshold


def test_ranks_read_the_clean_images_together(tiny_data, tmp_path):
    alone, peaks, threshold = alarms(tiny_data, tmp_path, None)
    np.testing.assert_array_equal(alone, peaks >= threshold)
    assert 0 < alone.sum() < 10
    mp.spawn(read_by_one_rank, args=(2, tiny_data, tmp_path, threshold), nprocs=2)
    for rank in (0, 1):
        np.testing.assert_array_equal(np.load(tmp_path / f"alarms{rank}.npy"), alone)


# ---------------------------------------------------------------------------------------------------------------------
# Plans that change, mosaics that hold an object, and data of every kind
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [False, "ram"])
@pytest.mark.parametrize("workers", sampled([0, 2], [2]))
def test_another_plan_is_followed_from_its_first_batch(long_tail, tmp_path, cache, workers):
    """However far the loader has prefetched: the epochs before `close` and those after it, and learnt factors."""
    t = trainer(long_tail, tmp_path, {**SAMPLING, "close": 2}, workers=workers, cache=cache, epochs=4)
    (balanced,) = run_epochs(t, 1, first=1)
    assert balanced == planned(t, 1)
    drawn = t.exposure.drawn / t.exposure.drawn.sum()
    np.testing.assert_allclose(
        drawn, t.resolved.statistics.box_shares(t.sampling.schedule.balanced.expectation), atol=0.03
    )

    natural = run_epochs(t, 2, first=2)
    assert [max(files.values()) for files in natural] == [1, 1]
    drawn = t.exposure.drawn / t.exposure.drawn.sum()
    np.testing.assert_allclose(drawn, t.exposure.natural, atol=0.01)


def test_learnt_factors_are_never_late(tiny_data, tmp_path):
    """With feedback nothing is prefetched beyond an epoch, since its successor's plan is not known."""
    t = trainer(tiny_data, tmp_path, {"feedback": {}}, workers=2, batch=4)
    for epoch, recall in enumerate(([0.9, 0.9, 0.9], [0.9, 0.1, 0.9], [0.9, 0.9, 0.1])):
        t.sampling.feedback.recall = np.array(recall)
        assert run_epochs(t, 1, first=epoch) == [planned(t, epoch)]
    assert t.train_loader.batch_sampler.single


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more than this machine has cores
def test_eight_workers_follow_the_plan_together(long_tail, tmp_path):
    t = trainer(long_tail, tmp_path, workers=8, mixup=0.5, batch=16)
    assert run_epochs(t, 2) == [planned(t, 0), planned(t, 1)]
    np.testing.assert_allclose(t.exposure.drawn / t.exposure.drawn.sum(), t.exposure.requested, atol=0.02)


@pytest.fixture(scope="module")
def mostly_background(make_data):
    return make_data([[0]] * 30 + [[1]] * 10 + [[]] * 360, [[0], [1], []], size=32, box=0.5)


@pytest.mark.parametrize("cache", [False, "ram"])
def test_a_mosaic_can_be_made_to_hold_an_object(mostly_background, tmp_path, cache):
    def mosaics(foreground):
        sampling = {"power": 1.0, "foreground_mosaic": foreground}
        t = trainer(mostly_background, tmp_path, sampling, cache=cache, batch=16)
        dataset = t.train_loader.dataset
        held, counts = [], np.zeros(2)
        for index in np.concatenate([t.sampling.schedule.balanced.epoch(e) for e in range(3)]):
            boxes = t.resolved.statistics.picked([dataset[int(index)][DRAWN]])
            held.append(boxes.any())
            counts += boxes.sum(0)[:2]
        return np.mean(held), counts / counts.sum(), t.exposure.requested[:2]

    share, drawn, requested = mosaics(True)
    assert share == 1
    np.testing.assert_allclose(drawn, requested, atol=0.05)  # the classes keep their shares
    without, _, _ = mosaics(False)
    assert without == pytest.approx(1 - 0.9**4, abs=0.05)


@pytest.mark.parametrize("n", [4, 9])
def test_mosaics_of_four_and_of_nine_tiles_follow(long_tail, tmp_path, n):
    t = trainer(long_tail, tmp_path, cache="ram")
    dataset = t.train_loader.dataset
    (mosaic,) = [m for m in mixers(dataset.transforms) if isinstance(m, Mosaic)][:1]
    mosaic.n = n
    drawn = t.resolved.statistics.picked(
        [dataset[int(index)][DRAWN] for index in t.sampling.schedule.balanced.epoch(0)]
    )
    assert drawn.sum() == pytest.approx(n * 965, rel=0.02)
    np.testing.assert_allclose(drawn.sum(0) / drawn.sum(), t.exposure.requested, atol=0.02)


def test_images_without_a_label_file_are_background(make_data, tmp_path):
    data = make_data([[0], [1], [0, 1], [0], [], [0]], [[0], [1]])
    (data.parent / "labels" / "train" / "00003.txt").unlink()
    t = trainer(data, tmp_path, batch=2)
    assert t.resolved.statistics.background.tolist() == [False, False, False, True, True, False]
    assert run_epochs(t, 1) == [planned(t, 0)]


@pytest.mark.parametrize(
    ("images", "arguments", "boxes"),
    [
        ([[0, 1]], {}, [1, 1, 0]),  # one image
        ([[0], [0, 0], []], {}, [3, 0, 0]),  # one class
        ([[0], [1], [2, 2], []], {"single_cls": True}, [4]),
        ([[0], [1], [2, 1], []], {"classes": [1]}, [0, 2, 0]),  # what is filtered out becomes background
        ([[0], [0], [0], [0], [2], [2], [2], [2]], {"fraction": 0.5}, [4, 0, 0]),
    ],
)
@pytest.mark.parametrize(
    "strategy", sampled(["repeat_factor", "inverse_frequency", "effective_number", "class_uniform"], ["repeat_factor"])
)
def test_data_of_every_kind_is_drawn_as_planned(make_data, tmp_path, images, arguments, boxes, strategy):
    data = make_data(images, [[0], [1], []])
    t = trainer(data, tmp_path, {"strategy": strategy}, batch=2, imgsz=64, **arguments)
    assert t.resolved.statistics.boxes.tolist() == boxes
    assert run_epochs(t, 2) == [planned(t, 0), planned(t, 1)]
