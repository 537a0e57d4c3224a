"""The self-check of a run's first epoch and first validation: every hook has been called, or the run stops.

A release of Ultralytics, or a class of a user's, that no longer calls a hook would train as stock without a word.
"""

from __future__ import annotations

from torch.utils.data import BatchSampler

from yolo_balance.errors import HostError
from yolo_balance.integration.hooks.criterion import records
from yolo_balance.integration.hooks.dataset import CountingMixin, PartnerIndexes, mix_transforms
from yolo_balance.integration.hooks.loader import EpochBatches
from yolo_balance.integration.hooks.validator import RecallValidatorMixin
from yolo_balance.integration.protocols import Batch, Loader, Validator


class HookWatch:
    """Sees whether the hooks of a run are called. All flags live in Python: the device is not waited for.

    Attributes:
        criterion: The training model's criterion, balanced; None without loss terms.
    """

    def __init__(self, criterion: object | None = None):
        self.criterion = criterion
        self._records = {} if criterion is None else records(criterion)
        self._batches = 0
        self._objects = 0

    def batch(self, batch: Batch, loader: Loader) -> None:
        """Check a batch of the train loader before it goes to the device.

        The first batch is compared with the plan. In the batches of the first epoch, each image is compared with the
        one that the sampler gave: a data set may choose for itself now and then.

        Raises:
            HostError: The batch does not follow the loader's plan.
        """
        self._objects = len(batch["cls"])
        if not isinstance(loader.batch_sampler, EpochBatches) or self._batches >= len(loader):
            return
        self._batches += 1
        if self._batches == 1:
            self._check_plan(batch, loader, loader.batch_sampler)
        if any(images[:1] != [images.sampled] for images in batch.get("drawn", ())):
            name = type(loader.dataset).__name__
            raise HostError(
                f"balance.sampling: {name}.__getitem__ gave other images than the plan asks for; take the choice of "
                f"images out of {name}, or leave balance.sampling out"
            )

    def step(self) -> None:
        """After a batch's loss: check that it called the criterion's hooks, until each has been called once.

        Raises:
            HostError: A hook was not called.
        """
        for head, record in list(self._records.items()):
            missing = record.missing()
            if self._objects == 0:  # early releases skip the box loss
                missing = [hook for hook in missing if hook != "bbox_loss"]
            if missing:
                where = f" of head {head}" if head else ""
                raise HostError(
                    f"balance.losses: expected Ultralytics to call {', '.join(missing)}{where} of the balanced "
                    f"{type(self.criterion).__name__}, but the first batch was trained without"
                )
            if record.called.issuperset(record.hooks):
                del self._records[head]

    def validated(self, validator: Validator) -> None:
        """After a validation, on the rank that gathers.

        Raises:
            HostError: The validator's hooks were not called.
        """
        if not isinstance(validator, RecallValidatorMixin):
            return
        if validator.recall_report is None or validator.outcomes is None or not len(validator.outcomes.files):
            raise HostError(
                f"balance.recall: expected {type(validator).__name__} to call init_metrics, _process_batch, "
                "gather_stats and get_stats, as Ultralytics' do, but recall was not read"
            )

    def _check_plan(self, batch: Batch, loader: Loader, batches: EpochBatches) -> None:
        dataset = loader.dataset
        planned = next(iter(BatchSampler(batches.images, batches.batch_size, batches.drop_last)))
        samples = getattr(dataset, "samples", None)  # of an image folder: file and class of each image
        if samples is not None and batch["cls"].tolist() != [samples[i][1] for i in planned]:
            raise HostError(f"balance.sampling: expected {type(loader).__name__} to load the images of the plan")
        if not isinstance(dataset, CountingMixin):
            return
        drawn = batch.get("drawn")
        if drawn is None:
            raise HostError(
                f"balance.sampling: expected collate_fn of {type(dataset).__name__} to keep the key drawn, which says "
                "of which images a sample was made"
            )
        if not all(drawn):
            raise HostError(
                f"balance.sampling: expected {type(dataset).__name__} to read each image by get_image_and_label first"
            )
        if [images.sampled for images in drawn] != planned:
            raise HostError(
                f"balance.sampling: expected {type(loader).__name__} to load the images of the plan, and "
                f"{type(dataset).__name__} not to choose others"
            )
        mixing = [] if dataset.partners is None else mix_transforms(dataset.transforms)
        stock = [transform for transform in mixing if not isinstance(transform.get_indexes, PartnerIndexes)]
        if stock or any(images.stock for images in drawn):
            name = type(stock[0]).__name__ if stock else "each transform"
            raise HostError(
                f"balance.sampling.partners: expected {name} of {type(dataset).__name__} to choose its other images by "
                "get_indexes, which draws from the plan, but it chose others"
            )
