"""A run whose hooks are not called stops in its first epoch, with one line that names the hook."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers.batches import CLASSES, batch
from helpers.loading import trainer
from ultralytics.cfg import get_cfg
from ultralytics.data.augment import Mosaic
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.data.dataset import YOLODataset
from ultralytics.models.utils.loss import RTDETRDetectionLoss
from ultralytics.nn.tasks import DetectionModel

from yolo_balance.config import RecallConfig
from yolo_balance.errors import HostError
from yolo_balance.integration.hook_watch import HookWatch
from yolo_balance.integration.hooks.criterion import balance_criterion, heads
from yolo_balance.integration.hooks.loader import start_epoch
from yolo_balance.integration.hooks.validator import balance_validator
from yolo_balance.losses.isr import ISRPositive

STOCK_LOADER = InfiniteDataLoader([0])


@pytest.fixture(scope="module", params=["yolo11n.yaml", "yolo26n.yaml"])
def model(request):
    torch.manual_seed(0)
    model = DetectionModel(request.param, nc=CLASSES, verbose=False)
    model.args = get_cfg()
    return model.train()


def balanced(model):
    return balance_criterion(model.init_criterion(), lambda head: [ISRPositive(k=1.0, bias=0.0)])


def step(watch, model, criterion, data):
    watch.batch(data, STOCK_LOADER)
    criterion(model(data["img"]), data)
    watch.step()


def test_a_balanced_criterion_passes(model):
    criterion = balanced(model)
    watch = HookWatch(criterion)
    step(watch, model, criterion, batch())
    assert watch._records == {}  # nothing is looked at again


@pytest.mark.parametrize("hook", ["assigner", "bce", "bbox_loss"])
def test_a_hook_that_is_replaced_after_us_stops_the_run(model, hook):
    criterion = balanced(model)
    watch = HookWatch(criterion)
    for head in heads(criterion).values():
        setattr(head, hook, getattr(head, hook).wrapped)
    with pytest.raises(HostError) as e:
        step(watch, model, criterion, batch())
    assert len(str(e.value).splitlines()) == 1
    # without an assigner of ours, the loss itself refuses
    assert hook in str(e.value) or (hook == "assigner" and "before it assigns targets" in str(e.value))


def test_a_criterion_that_is_built_again_stops_the_run(model):
    watch = HookWatch(balanced(model))
    with pytest.raises(HostError, match=r"to call assigner, bce, bbox_loss .*first batch was trained without"):
        step(watch, model, model.init_criterion(), batch())


def test_a_head_without_terms_is_none_of_ours():
    model = DetectionModel("yolo26n.yaml", nc=CLASSES, verbose=False)
    model.args = get_cfg()
    criterion = balance_criterion(
        model.init_criterion(), lambda head: [ISRPositive(k=1.0, bias=0.0)] if head == "one2one" else []
    )
    step(HookWatch(criterion), model.train(), criterion, batch())


def test_a_first_batch_without_objects_passes_and_the_next_is_looked_at(model):
    criterion = balanced(model)
    watch = HookWatch(criterion)
    skipped = {head: head.bbox_loss for head in heads(criterion).values()}
    for head in skipped:  # as early releases do without positives
        head.bbox_loss = lambda dist, *args: (dist.sum() * 0, dist.sum() * 0)
    step(watch, model, criterion, batch((0, 0)))
    with pytest.raises(HostError, match="to call bbox_loss"):
        step(watch, model, criterion, batch())
    for head, hook in skipped.items():
        head.bbox_loss = hook
    step(watch, model, criterion, batch())
    assert watch._records == {}


def detr_loss(criterion):
    data = {"cls": torch.zeros(1, dtype=torch.long), "bboxes": torch.full((1, 4), 0.5), "gt_groups": [1, 0]}
    criterion((torch.rand(1, 2, 5, 4), torch.rand(1, 2, 5, CLASSES)), data)


def test_the_hooks_of_rtdetr_are_seen():
    criterion = balance_criterion(
        RTDETRDetectionLoss(nc=CLASSES, use_vfl=True), lambda head: [ISRPositive(k=1.0, bias=0.0)]
    )
    watch = HookWatch(criterion)
    with pytest.raises(HostError, match="to call _get_loss, _get_loss_class, _get_loss_bbox of the balanced RTDETR"):
        watch.step()
    detr_loss(criterion)
    watch.step()


def test_rtdetr_without_varifocal_loss_is_refused():
    with pytest.raises(HostError, match="with a varifocal loss, got one without"):
        balance_criterion(RTDETRDetectionLoss(nc=CLASSES, use_vfl=False), lambda head: [ISRPositive(k=1.0, bias=0.0)])


def first_batch(t):
    start_epoch(t.train_loader, 0, None if t.sampling is None else t.sampling.plan(t))
    return next(iter(t.train_loader))


@pytest.fixture
def built(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, batch=4)
    t.epoch = 0
    return t


def test_a_balanced_loader_passes(built):
    HookWatch().batch(first_batch(built), built.train_loader)


def test_a_loader_without_a_plan_is_none_of_ours(tiny_data, tmp_path):
    t = trainer(tiny_data, tmp_path, sampling=None, batch=4)
    HookWatch().batch(first_batch(t), t.train_loader)


def test_a_data_set_that_reads_other_images_stops_the_run(built):
    class Shuffled(type(built.train_loader.dataset)):
        def __getitem__(self, index):
            return super().__getitem__((index + 1) % len(self))

    built.train_loader.dataset.__class__ = Shuffled
    with pytest.raises(HostError, match="to load the images of the plan, and Shuffled not to choose others"):
        HookWatch().batch(first_batch(built), built.train_loader)


def test_a_data_set_that_reads_its_images_otherwise_stops_the_run(built):
    dataset = built.train_loader.dataset
    dataset.transforms = dataset.build_transforms(get_cfg(overrides={"mosaic": 0.0}))
    dataset.get_image_and_label = lambda index: YOLODataset.get_image_and_label(dataset, index)
    with pytest.raises(HostError, match="YOLODataset to read each image by get_image_and_label first"):
        HookWatch().batch(first_batch(built), built.train_loader)


def test_a_loader_with_its_own_order_stops_the_run(built):
    batches = built.train_loader.batch_sampler
    batches.images.images = lambda epoch: list(range(24))
    loaded = first_batch(built)
    del batches.images.images
    with pytest.raises(HostError, match="InfiniteDataLoader to load the images of the plan"):
        HookWatch().batch(loaded, built.train_loader)


def test_a_collate_function_that_drops_the_key_stops_the_run(built):
    loaded = first_batch(built)
    del loaded["drawn"]
    with pytest.raises(HostError, match="collate_fn of YOLODataset to keep the key drawn"):
        HookWatch().batch(loaded, built.train_loader)


def test_transforms_that_are_built_around_us_stop_the_run(built):
    dataset = built.train_loader.dataset
    dataset.transforms = YOLODataset.build_transforms(dataset, built.args)
    with pytest.raises(HostError, match="expected Mosaic of YOLODataset to choose its other images by get_indexes"):
        HookWatch().batch(first_batch(built), built.train_loader)


class Headstrong(Mosaic):
    """Chooses its tiles without get_indexes."""

    def __call__(self, labels):
        labels["mix_labels"] = [self.dataset.get_image_and_label(0) for _ in range(self.n - 1)]
        return labels


def test_a_transform_that_ignores_get_indexes_stops_the_run(built):
    def find(transform):
        return transform if isinstance(transform, Mosaic) else find(transform.transforms[0])

    find(built.train_loader.dataset.transforms).__class__ = Headstrong
    with pytest.raises(HostError, match="expected each transform of YOLODataset to choose its other images"):
        HookWatch().batch(first_batch(built), built.train_loader)


def test_only_the_first_batch_is_compared_with_the_plan(built):
    watch = HookWatch()
    watch.batch(first_batch(built), built.train_loader)
    watch.batch({"cls": torch.zeros(3)}, built.train_loader)


class Choosing(YOLODataset):
    """Reads another image than the index given once `chooses` is set, as weighted data sets of tutorials do."""

    chooses = False

    def __getitem__(self, index):
        return super().__getitem__((index + 1) % len(self) if self.chooses else index)


def choosing(built):
    dataset = built.train_loader.dataset
    dataset.__class__ = type("Choosing", (type(dataset).__mro__[1], Choosing), {})
    return dataset


def test_a_data_set_that_chooses_late_in_the_first_epoch_stops_the_run(built):
    dataset, watch = choosing(built), HookWatch()
    watch.batch(first_batch(built), built.train_loader)
    dataset.chooses = True
    for loaded in itertools.islice(built.train_loader, 2, 3):
        with pytest.raises(HostError, match=r"^balance.sampling: Choosing.__getitem__ gave other images than the plan"):
            watch.batch(loaded, built.train_loader)


def test_the_epochs_after_the_first_are_not_compared(built):
    dataset, watch = choosing(built), HookWatch()
    watch.batch(first_batch(built), built.train_loader)
    for loaded in built.train_loader:
        watch.batch(loaded, built.train_loader)
    dataset.chooses = True
    for loaded in built.train_loader:
        watch.batch(loaded, built.train_loader)


def test_a_validation_that_reads_no_recall_stops_the_run(built):
    validator = balance_validator(type(built.validator).__mro__[2](args=vars(built.args)), RecallConfig())
    with pytest.raises(HostError, match="DetectionValidator to call init_metrics, _process_batch, gather_stats and"):
        HookWatch().validated(validator)
    HookWatch().validated(object())  # image classification has its own
