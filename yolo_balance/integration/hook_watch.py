"""The self-check of a run's first batch and first validation: every hook has been called, or the run stops.

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
        self._loaded = False
        self._objects = 0

    def batch(self, batch: Batch, loader: Loader) -> None:
        """Look at a batch of the train loader before it goes to the device; at every batch but the first, do nothing.

        Raises:
            HostError: The batch does not follow the loader's plan.
        """
        self._objects = len(batch["cls"])
        if self._loaded:
            return
        self._loaded = True
        if isinstance(loader.batch_sampler, EpochBatches):
            self._check_plan(batch, loader, loader.batch_sampler)

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
        if [images[:1] for images in drawn] != [[i] for i in planned]:
            raise HostError(
                f"balance.sampling: expected {type(loader).__name__} to load the images of the plan and "
                f"{type(dataset).__name__} to read each by get_image_and_label first"
            )
        mixing = [] if dataset.partners is None else mix_transforms(dataset.transforms)
        stock = [transform for transform in mixing if not isinstance(transform.get_indexes, PartnerIndexes)]
        if stock or any(images.stock for images in drawn):
            name = type(stock[0]).__name__ if stock else "each transform"
            raise HostError(
                f"balance.sampling.partners: expected {name} of {type(dataset).__name__} to choose its other images by "
                "get_indexes, which draws from the plan, but it chose others"
            )
